# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A formula for your table
#
# **Which short formula predicts this column from the others, how well, and can it be trusted?**
#
# Give a file (text, Excel, Parquet) and the column to predict. Everything below describes the
# chosen formula; the rows held out for the test took no part in finding it.

# %% tags=["parameters"]
table: str = "kepler"  # file, or the name of a shipped table (kepler, hubble, steam)
target: str = ""  # column to predict; empty: the target of a shipped table
features: list[str] = []  # columns to predict from; empty: all others
max_time: float = 20.0  # 0.1 to 86400, time limit of the search in seconds
preset: str = "default"  # one of default|paper|fast, settings of the search
test_size: float = 0.25  # 0 to 0.9, share of the rows held out for the test
seed: int = 0  # 0 to 4294967295, of the search and of the split

# %% Upload a file
from IPython.display import display

from equate_srbench.report.figures import effect_figures, fit_figures
from equate_srbench.report.fit import user_table
from equate_srbench.report.notebooks import panels, result_tables, show

panels.upload()

# %% Search
found = user_table.fit(
    table,
    target,
    features,
    max_time=max_time,
    preset=preset,
    test_size=test_size,
    seed=seed,
    report=show.StatusLine(),
)
record = found.record
show.text(*found.notes, kind="note")

# %% [markdown]
# ## The answer

# %% The formula
typeset = fit_figures.formula(record.equation.to_latex())
display(show.svg_figure(typeset, "The formula with its constants to four digits."))
show.text(*user_table.describe(record), kind="answer")

# %% Its predictions
if len(record.features) == 1:
    display(show.svg_figure(fit_figures.curve(record), "The formula and the rows of the table."))
display(
    show.svg_figure(
        fit_figures.fitted(record), "Predicted against actual values; on the line they agree."
    )
)
show.svg_figure(
    fit_figures.residuals(record),
    "Residuals: a pattern means that the formula lacks something.",
)

# %% [markdown]
# ## One column at a time
#
# The line is the median prediction when the other columns take their values from the rows; the band
# contains 80 % of the predictions.

# %% Partial effects
show.figure(
    effect_figures.partial_effects(user_table.partial_effects(record), record.target),
    "Partial effects of the columns in the formula.",
)

# %% [markdown]
# ## Other formulas
#
# More accurate formulas are longer. Every dot is a candidate; the line is the Pareto front: no
# candidate of the same size or less is more accurate.

# %% Pareto front
display(
    show.svg_figure(
        fit_figures.front(record), "Accuracy against size; the ring marks the chosen formula."
    )
)
result_tables.front(record)

# %% Explore interactively
panels.front(found.estimator, record)

# %% [markdown]
# ## Constants

# %% Constants with standard errors
result_tables.constants(user_table.constants(record))

# %% [markdown]
# ## To copy

# %% LaTeX, Python and SymPy
for text in (record.equation.to_latex(), record.equation.to_numpy(), str(record.equation)):
    display(show.copyable(text))

# %% [markdown]
# ## How it was found

# %% The search
display(
    show.svg_figure(
        fit_figures.search(record), "Every proposal of the search over time, and the best so far."
    )
)
result_tables.sources(record)

# %% Provenance
result_tables.fit_provenance(record)

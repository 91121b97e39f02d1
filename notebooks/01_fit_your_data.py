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
# **Which short formula predicts this column from the others, how well, and can one trust it?**
#
# Give a file (CSV, TSV or Parquet) and the column to predict. Everything below is about the formula
# that was chosen; the rows kept for the test took no part in finding it.

# %% tags=["parameters"]
table: str = "kepler"  # file, or the name of a shipped table (kepler, hubble, steam)
target: str = ""  # column to predict; empty: the one of a shipped table
features: list[str] = []  # columns to predict from; empty: all others
max_time: float = 20.0  # 0.1 to 86400, most seconds for the search
preset: str = "default"  # one of default|paper|fast, how it searches
test_size: float = 0.25  # 0 to 0.9, share of the rows kept for the test
seed: int = 0  # 0 to 4294967295, of the search and of the split

# %% Choose a file by hand
from IPython.display import display

from equate_srbench.report.figures import effect_figures, fit_figures
from equate_srbench.report.fit import user_table
from equate_srbench.report.notebooks import panels, show

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
    tell=show.Line(),
)
record = found.record
show.words(*found.notes, kind="note")

# %% [markdown]
# ## The answer

# %% The formula
typeset = fit_figures.formula(record.equation.to_latex())
display(show.drawing(typeset, "Typeset with its constants to four digits."))
show.words(*user_table.in_words(record), kind="answer")

# %% Its use
if len(record.features) == 1:
    display(show.drawing(fit_figures.curve(record), "The formula and the rows."))
display(show.drawing(fit_figures.fitted(record), "On the line, prediction and measurement agree."))
show.drawing(
    fit_figures.residuals(record),
    "What the formula leaves over: a pattern here means that something is missing.",
)

# %% [markdown]
# ## One column at a time
#
# The line is the median prediction with the other columns as they are in the rows, the band holds
# 80 % of them.

# %% Partial effects
show.picture(
    effect_figures.effects(user_table.effects(record), record.target),
    "Partial effects of the columns that the formula uses.",
)

# %% [markdown]
# ## Other formulas
#
# Accuracy costs size. Every dot is a formula that was tried; the line joins those that no formula
# of their size or less beats.

# %% Front
display(show.drawing(fit_figures.front(record), "Accuracy against size, the chosen one ringed."))
show.ranking(record)

# %% Explore by hand
panels.front(found.estimator, record)

# %% [markdown]
# ## Constants

# %% Constants with their errors
show.constants(user_table.constants(record))

# %% [markdown]
# ## To copy

# %% LaTeX, Python and SymPy
for text in (record.equation.to_latex(), record.equation.to_numpy(), str(record.equation)):
    display(show.to_copy(text))

# %% [markdown]
# ## How it was found

# %% The search
display(
    show.drawing(
        fit_figures.search(record), "Every proposal when it was made, and the best so far."
    )
)
show.sources(record)

# %% Where the figures come from
show.made(record)

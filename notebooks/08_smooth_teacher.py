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
# # Smooth teachers
#
# **Does a formula get better when it learns from a network whose gradient is kept small, instead of
# from an ordinary one?**
#
# A network is trained on noisy rows, and a student learns the network's labels. The network pays
# for its slope; how much is the strength of the Jacobian penalty, and 0 is an ordinary network. The
# test rows carry no noise.

# %% tags=["parameters"]
suite: str = "strogatz"  # name of a suite, a folder of tables or one table
student: str = "equate-fast"  # name from `equate baselines list`, learns the labels
strengths: list[float] = [0.0, 0.001, 0.01, 0.1, 1.0]  # 0 to 100, of the penalty; 0 is added
noise: float = 0.1  # 0 to 10, noise of the training target, as a share of its RMS
seeds: int = 1  # 1 to 10, how many seeds
max_time: float = 15.0  # 0.1 to 86400, seconds for a fit that chooses its strength
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Make the fits that are missing
from IPython.display import display

from equate_srbench.report.figures import teaching_figures
from equate_srbench.report.notebooks import running, show
from equate_srbench.report.tables import teaching

wanted = running.plan(
    suite, ["distilled"], seeds=seeds, noise=[noise], max_time=max_time, every=every
)
rows = running.rows(wanted, run, settings=teaching.settings(student, strengths), jobs=jobs)
fits = teaching.labelled(rows)
table = teaching.by_student(fits)

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(*teaching.in_words(table), kind="answer")

# %% [markdown]
# ## What the penalty does to a network

# %% One column: slices
show.picture(
    teaching_figures.example_of_slices(),
    "Networks trained on 80 noisy rows of four columns, of which only the first says anything: "
    "along it all slices should be the dashed wave. An ordinary network has its own idea in each; "
    "a penalty brings them together, and a large one flattens the wave as well.",
)

# %% Two columns: a map
show.picture(
    teaching_figures.example_of_two_columns(),
    "The same over two columns: level lines of the truth, and of networks trained on the marked "
    "rows, which are noisy.",
)

# %% [markdown]
# ## Strength by strength

# %% Student and teacher over the strength
show.picture(
    teaching_figures.over_strength(fits),
    "Each thin line is a data set. Left: the formula that learnt the network's labels; right: the "
    "network itself.",
)

# %% [markdown]
# ## Chosen strengths

# %% Change by data set
by_data_set = teaching.by_data_set(fits)
display(teaching.shown_data_sets(by_data_set))
show.picture(
    teaching_figures.differences(by_data_set),
    "Change of the formula's test R² when the strength is chosen on rows of the fit.",
)

# %% [markdown]
# ## Where the figures come from

# %% Provenance
show.provenance(rows)

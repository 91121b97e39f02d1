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
# # Noise
#
# **How much accuracy does EQUATE keep when the training target is noisy, beside E2E and ITEA?**
#
# The training target gets Gaussian noise, as a share of its root mean square; the test rows stay
# clean, so a method that fits the noise is found out.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or one table
methods: list[str] = ["equate", "e2e", "itea"]  # names from `equate baselines list`
noise: list[float] = [0.0, 0.001, 0.01, 0.1]  # 0 to 10, levels, as shares of the target's RMS
seeds: int = 1  # 1 to 10, how many seeds
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Make the fits that are missing
from IPython.display import display

from equate_srbench.report.comparison import published_overlay
from equate_srbench.report.notebooks import running, show
from equate_srbench.report.tables import compare, sweep

wanted = running.plan(suite, methods, seeds=seeds, noise=noise, max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
blocks = compare.blocks(rows)
table = sweep.noise_levels(blocks)

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(*sweep.noise_words(table), kind="answer")

# %% Accuracy and size over noise
show.picture(
    sweep.noise_figure(table),
    "Left: accuracy on clean test rows, with 95 % intervals. Right: size of the formulas; a method "
    "that grows with the noise is fitting it.",
)

# %% [markdown]
# ## Level by level

# %% Tables
for block in blocks:
    display(show.words(block.title))
    display(show.summary(block))

# %% [markdown]
# ## Beside published results

# %% Published results at the same noise
for one in published_overlay.standings(rows):
    display(show.words(one.words))

# %% [markdown]
# ## Where the figures come from

# %% Fits without a result
for block in blocks:
    display(show.failures(block))

# %% Provenance
show.provenance(rows)

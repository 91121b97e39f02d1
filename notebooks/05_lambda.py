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
# # The weight of simplicity
#
# **What does the weight lambda of simplicity in EQUATE's score cost in accuracy, and what does it
# save in size?**
#
# The evaluator learns the score `clip(R²) + lambda * exp(-length / 50)`; a larger lambda prefers
# shorter formulas, and `auto` chooses it table by table from the rows of the fit. Each value of
# the sweep gets the same data sets, splits and seconds.

# %% tags=["parameters"]
suite: str = "strogatz"  # name of a suite, a folder of tables or one table
lambdas: list[str] = ["0", "0.1", "0.5", "1", "auto"]  # numbers from 0 on, or auto
method: str = "equate-paper"  # one of equate|equate-paper|equate-fast, preset of EQUATE
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 10.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Make the fits that are missing
from equate_srbench.equate.settings import parse_lam
from equate_srbench.report.notebooks import running, show
from equate_srbench.report.tables import sweep

wanted = running.plan(suite, [method], seeds=seeds, noise=[noise], max_time=max_time, every=every)
weights = [{"lam": parse_lam(value)} for value in lambdas]
rows = running.rows(wanted, run, settings=weights, jobs=jobs)
table = sweep.by_setting(rows, "lam")

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(
    *sweep.in_words(table, "lambda"), *sweep.chosen_in_words(rows, "lam", "lambda"), kind="answer"
)

# %% Accuracy against size
show.picture(
    sweep.curve(table, "λ"),
    "Each point is one lambda; bars are 95 % bootstrap intervals over the data sets.",
)

# %% The sweep as a table
show.sweep(table, "lambda")

# %% [markdown]
# ## Data set by data set

# %% Size over lambda
show.picture(sweep.per_data_set(rows, "lam"), "Each thin line is the formula of one data set.")

# %% Every fit
show.fits(rows, setting="lam")

# %% [markdown]
# ## Where the figures come from

# %% Provenance
show.provenance(rows)

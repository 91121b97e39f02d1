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
# **How much accuracy does the weight lambda of simplicity in EQUATE's score cost, and how much size
# does it save?**
#
# The evaluator learns the score `clip(R²) + lambda * exp(-length / 50)`; a larger lambda prefers
# shorter formulas, and `auto` chooses it for each table from the rows of the fit. Each value of
# the sweep gets the same data sets, splits and time.

# %% tags=["parameters"]
suite: str = "strogatz"  # name of a suite, a folder of tables or a table
lambdas: list[str] = ["0", "0.1", "0.5", "1", "auto"]  # non-negative numbers, or auto
method: str = "equate-paper"  # one of equate|equate-paper|equate-fast, preset of EQUATE
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 10.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Run the missing fits
from equate_srbench.equate.settings import parse_lam
from equate_srbench.report.figures import sweep_figures
from equate_srbench.report.notebooks import result_tables, running, show
from equate_srbench.report.tables import sweep

wanted = running.plan(suite, [method], seeds=seeds, noise=[noise], max_time=max_time, every=every)
weights = [{"lam": parse_lam(value)} for value in lambdas]
rows = running.rows(wanted, run, settings=weights, jobs=jobs)
table = sweep.by_setting(rows, "lam")

# %% [markdown]
# ## The answer

# %% Summary
show.text(
    *sweep.describe(table, "lambda"), *sweep.describe_auto(rows, "lam", "lambda"), kind="answer"
)

# %% Accuracy against size
show.figure(
    sweep_figures.accuracy_size(table, "λ"),
    "Each point is one lambda; bars are 95 % bootstrap intervals over the data sets.",
)

# %% The sweep as a table
result_tables.sweep(table, "lambda")

# %% [markdown]
# ## Data set by data set

# %% Size over lambda
show.figure(
    sweep_figures.size_by_dataset(rows, "lam"), "Each thin line is the formula of one data set."
)

# %% Every fit
result_tables.fits(rows, setting="lam")

# %% [markdown]
# ## Provenance

# %% Provenance
result_tables.run_provenance(rows)

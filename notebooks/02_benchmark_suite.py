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
# # A benchmark suite
#
# **How accurate, short and fast are these methods on this suite of data sets?**
#
# Every fit runs in its own process and stores a row. Existing rows are read, so an interrupted run
# continues where it stopped, and more methods or seeds can be added.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or a table
methods: list[str] = ["equate", "e2e"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: list[float] = [0.0]  # 0 to 10, levels of target noise, as shares of its RMS
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
engine: str = "local"  # one of local|dask|slurm, where the fits run
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Run the missing fits
from IPython.display import display

from equate_srbench.report.comparison import narrative
from equate_srbench.report.comparison.compare_page import CAPTIONS
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.notebooks import panels, result_tables, running, show
from equate_srbench.report.tables import compare

wanted = running.plan(suite, methods, seeds=seeds, noise=noise, max_time=max_time, every=every)
rows = running.rows(wanted, run, engine=engine, jobs=jobs)
blocks = compare.blocks(rows)

# %% [markdown]
# ## The answer

# %% Summary
for block in blocks:
    display(show.text(*narrative.headline(block), kind="answer"))

# %% [markdown]
# ## Methods

# %% Tables and figures
for block in blocks:
    figures = compare_figures.draw(block)
    display(result_tables.methods(block))
    for name, figure in figures.items():
        display(show.figure(figure, f"{block.title}. {CAPTIONS[name]}"))

# %% [markdown]
# ## Every fit

# %% Rows
result_tables.fits(rows)

# %% Fits without a result
for block in blocks:
    display(result_tables.failures(block))

# %% [markdown]
# ## Provenance

# %% Provenance
result_tables.run_provenance(rows)

# %% Run more fits
panels.benchmark(run)

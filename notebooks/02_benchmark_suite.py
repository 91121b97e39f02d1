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
# # A benchmark suite, run and reported
#
# **How do these methods do on this suite of data sets?**
#
# Every fit runs in a process of its own and leaves a row. What is in the folder already is read, so
# an interrupted run goes on where it stopped, and further methods or seeds join the ones there.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or one table
methods: list[str] = ["equate", "e2e"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: list[float] = [0.0]  # 0 to 10, levels of target noise, as shares of its RMS
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
engine: str = "local"  # one of local|dask|slurm, where the fits run
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Make the fits that are missing
from IPython.display import display

from equate_srbench.report.comparison import narrative
from equate_srbench.report.comparison.compare_page import CAPTIONS
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.notebooks import panels, running, show
from equate_srbench.report.tables import compare

wanted = running.plan(suite, methods, seeds=seeds, noise=noise, max_time=max_time, every=every)
rows = running.rows(wanted, run, engine=engine, jobs=jobs)
blocks = compare.blocks(rows)

# %% [markdown]
# ## The answer

# %% The answer in words
for block in blocks:
    display(show.words(*narrative.headline(block), kind="answer"))

# %% [markdown]
# ## Methods

# %% Tables and pictures
for block in blocks:
    figures = compare_figures.draw(block)
    display(show.summary(block))
    for name, figure in figures.items():
        display(show.picture(figure, f"{block.title}. {CAPTIONS[name]}"))

# %% [markdown]
# ## Every fit

# %% Rows
show.fits(rows)

# %% Fits without a result
for block in blocks:
    display(show.failures(block))

# %% [markdown]
# ## Where the figures come from

# %% Provenance
show.provenance(rows)

# %% Run more, by hand
panels.benchmark(run)

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
# # EQUATE beside its rivals
#
# **How accurate, how short and how fast to find are EQUATE's formulas beside those of E2E, TFS and
# ITEA, and where does it lose?**
#
# All methods get the same rows, splits and machine. Fits that are missing are made first; a second
# run reads them. TFS is planning on the same backbone (TPSR), which is our reading of that name.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or one table
methods: list[str] = ["equate", "e2e", "tfs", "itea"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Make the fits that are missing
from IPython.display import display

from equate_srbench.report.comparison import narrative, published_overlay
from equate_srbench.report.comparison.compare_page import CAPTIONS
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.notebooks import running, show
from equate_srbench.report.tables import compare

wanted = running.plan(suite, methods, seeds=seeds, noise=[noise], max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
block = compare.blocks(rows)[0]
figures = compare_figures.draw(block)

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(*narrative.headline(block), kind="answer")

# %% Accuracy, size and time
display(show.picture(figures["triple"], CAPTIONS["triple"]))
show.summary(block)

# %% [markdown]
# ## Accuracy against size
#
# A method is better the further up and left it stands; only the methods on the line are not beaten
# in both at once.

# %% Trade-off, profile, and time
for name in ("trade_off", "profile", "convergence"):
    display(show.picture(figures.get(name), CAPTIONS[name]))

# %% [markdown]
# ## Are the differences more than luck?

# %% Ranks and critical differences
show.picture(figures.get("ranks"), CAPTIONS["ranks"])

# %% [markdown]
# ## Where it loses, and why
#
# Data sets on which another method is more accurate, the largest gap first. The reason is what the
# row itself tells: its status, its fit on training and test rows, and when it last improved.

# %% Data sets that are lost
lost = narrative.losses(block)
display(show.lost(lost, narrative.subject(block)))
show.picture(figures.get("data_sets"), CAPTIONS["data_sets"])

# %% [markdown]
# ## Beside published results
#
# SRBench's published figures come from other machines, much longer runs (up to 8 hours for a fit)
# and all data sets of a group, so they give a rough idea of where our rows would stand, no more.

# %% Published results beside ours
for one in published_overlay.standings(rows):
    display(show.words(one.words))
    display(show.picture(published_overlay.draw(one), one.caption))

# %% [markdown]
# ## Where the figures come from

# %% Fits without a result
show.failures(block)

# %% Provenance
show.provenance(rows)

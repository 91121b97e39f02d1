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
# # EQUATE compared with other methods
#
# **How accurate and short are EQUATE's formulas, and how fast is it, compared with E2E, TFS and
# ITEA, and where does it lose?**
#
# All methods get the same rows, splits and machine. Missing fits are run first; a second run reads
# them. TFS is planning on the same backbone (TPSR), which is our interpretation of that name.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or a table
methods: list[str] = ["equate", "e2e", "tfs", "itea"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Run the missing fits
from IPython.display import display

from equate_srbench.report.comparison import narrative, published_overlay
from equate_srbench.report.comparison.compare_page import CAPTIONS
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.notebooks import result_tables, running, show
from equate_srbench.report.tables import compare

wanted = running.plan(suite, methods, seeds=seeds, noise=[noise], max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
block = compare.blocks(rows)[0]
figures = compare_figures.draw(block)

# %% [markdown]
# ## The answer

# %% Summary
show.text(*narrative.headline(block), kind="answer")

# %% Accuracy, size and time
display(show.figure(figures["triple"], CAPTIONS["triple"]))
result_tables.methods(block)

# %% [markdown]
# ## Accuracy against size
#
# Up and left is better; the line joins the methods that no other method beats in both accuracy and
# size.

# %% Trade-off, profile, and time
for name in ("trade_off", "profile", "convergence"):
    display(show.figure(figures.get(name), CAPTIONS[name]))

# %% [markdown]
# ## Are the differences significant?

# %% Ranks and critical differences
show.figure(figures.get("ranks"), CAPTIONS["ranks"])

# %% [markdown]
# ## Where it loses, and why
#
# Data sets on which another method is more accurate, ordered by decreasing gap. The reason is
# inferred from the row: its status, its accuracy on fit and test rows, and its last improvement.

# %% Data sets on which it loses
losses = narrative.losses(block)
display(result_tables.losses(losses, narrative.subject(block)))
show.figure(figures.get("data_sets"), CAPTIONS["data_sets"])

# %% [markdown]
# ## Compared with published results
#
# SRBench's published results come from other machines, much longer runs (up to 8 hours per fit) and
# all data sets of a group: they only indicate roughly where these rows would rank.

# %% Published results
for overlay in published_overlay.overlays(rows):
    display(show.text(overlay.sentence))
    display(show.figure(published_overlay.draw(overlay), overlay.caption))

# %% [markdown]
# ## Provenance

# %% Fits without a result
result_tables.failures(block)

# %% Provenance
result_tables.run_provenance(rows)

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
# # The entry for SRBench
#
# **Does our submission keep SRBench's contract, and where would its results stand among the
# published ones?**
#
# The check runs the contract and the reviewers' list; the standing compares rows made here with the
# figures that SRBench published, which come from other machines and much longer runs.

# %% tags=["parameters"]
submission: str = ""  # folder with `algorithms` and `experiment`; empty: the one that ships
checks: list[str] = []  # names of checks; empty: all
suite: str = "strogatz"  # name of a suite, a folder of tables or one table
methods: list[str] = ["equate"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 10.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, fits at the same time; 0: one per processor

# %% Check the submission
from pathlib import Path

from IPython.display import display

from equate_srbench.report.comparison import narrative, published_overlay
from equate_srbench.report.notebooks import running, show
from equate_srbench.srbench.check import check
from equate_srbench.srbench.submission import find, own

line, findings = show.Line(), []
for finding in check(find(Path(submission)) if submission else own(), checks):
    findings.append(finding)
    line(f"{len(findings)} checks made, the last one: {finding.name}")

# %% Make the fits that are missing
wanted = running.plan(suite, methods, seeds=seeds, noise=[noise], max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
places = published_overlay.standings(rows)

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(narrative.checks(findings), *[place.words for place in places], kind="answer")

# %% [markdown]
# ## The contract

# %% Checks
show.findings(findings)

# %% [markdown]
# ## Among published results

# %% Standing
for place in places:
    display(show.picture(published_overlay.draw(place), place.caption))

# %% Every fit
show.fits(rows)

# %% [markdown]
# ## Where the figures come from

# %% Provenance
show.provenance(rows)

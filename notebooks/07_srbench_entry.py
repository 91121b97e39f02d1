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
# # The submission to SRBench
#
# **Does the submission satisfy SRBench's contract, and where would its results rank among the
# published ones?**
#
# The checks cover the contract and the reviewers' list. The ranking compares rows measured here
# with SRBench's published results, which come from other machines and much longer runs.

# %% tags=["parameters"]
submission: str = ""  # folder with `algorithms` and `experiment`; empty: the shipped one
checks: list[str] = []  # names of checks; empty: all
suite: str = "strogatz"  # name of a suite, a folder of tables or a table
methods: list[str] = ["equate"]  # names from `equate baselines list`
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 10.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Check the submission
from pathlib import Path

from IPython.display import display

from equate_srbench.report.comparison import narrative, published_overlay
from equate_srbench.report.notebooks import result_tables, running, show
from equate_srbench.srbench.check import check
from equate_srbench.srbench.submission import find, own

status, findings = show.StatusLine(), []
for finding in check(find(Path(submission)) if submission else own(), checks):
    findings.append(finding)
    status(f"{len(findings)} checks done, the last one: {finding.name}")

# %% Run the missing fits
wanted = running.plan(suite, methods, seeds=seeds, noise=[noise], max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
overlays = published_overlay.overlays(rows)

# %% [markdown]
# ## The answer

# %% Summary
sentences = [overlay.sentence for overlay in overlays]
show.text(narrative.contract(findings), *sentences, kind="answer")

# %% [markdown]
# ## The contract

# %% Checks
result_tables.findings(findings)

# %% [markdown]
# ## Among published results

# %% Ranking
for overlay in overlays:
    display(show.figure(published_overlay.draw(overlay), overlay.caption))

# %% Every fit
result_tables.fits(rows)

# %% [markdown]
# ## Provenance

# %% Provenance
result_tables.run_provenance(rows)

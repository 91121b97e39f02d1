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
# **How much accuracy does EQUATE keep when the training target is noisy, compared with E2E and
# ITEA?**
#
# The training target gets Gaussian noise, as a share of its root mean square; the test rows stay
# clean, which exposes methods that fit the noise.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or a table
methods: list[str] = ["equate", "e2e", "itea"]  # names from `equate baselines list`
noise: list[float] = [0.0, 0.001, 0.01, 0.1]  # 0 to 10, levels, as shares of the target's RMS
seeds: int = 1  # 1 to 10, how many seeds
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Run the missing fits
from IPython.display import display

from equate_srbench.report.comparison import published_overlay
from equate_srbench.report.figures import sweep_figures
from equate_srbench.report.notebooks import result_tables, running, show
from equate_srbench.report.tables import compare, sweep

wanted = running.plan(suite, methods, seeds=seeds, noise=noise, max_time=max_time, every=every)
rows = running.rows(wanted, run, jobs=jobs)
blocks = compare.blocks(rows)
table = sweep.noise_levels(blocks)

# %% [markdown]
# ## The answer

# %% Summary
show.text(*sweep.describe_noise(table), kind="answer")

# %% Accuracy and size over noise
show.figure(
    sweep_figures.noise(table),
    "Left: accuracy on clean test rows, with 95 % intervals. Right: size of the formulas; if it "
    "grows with the noise, the method fits the noise.",
)

# %% [markdown]
# ## Level by level

# %% Tables
for block in blocks:
    display(show.text(block.title))
    display(result_tables.methods(block))

# %% [markdown]
# ## Compared with published results

# %% Published results at the same noise
for overlay in published_overlay.overlays(rows):
    display(show.text(overlay.sentence))

# %% [markdown]
# ## Provenance

# %% Fits without a result
for block in blocks:
    display(result_tables.failures(block))

# %% Provenance
result_tables.run_provenance(rows)

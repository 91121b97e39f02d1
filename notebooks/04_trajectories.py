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
# # The search, step by step
#
# **What does gradient ascent on the joint embedding do step by step: does R² improve, does the
# evaluator predict it, and which part of the method do the final formulas come from?**
#
# The fits are run with the estimator and stored with all their steps; a second run reads them.
# Whether predicted and true changes of the score agree is not examined in the publication.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or a table
preset: str = "default"  # one of default|paper|fast, paper takes 20 ascent steps and makes no edits
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 15.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the stored fits

# %% Run the missing fits
from equate_srbench.report.figures import trajectory_figures
from equate_srbench.report.notebooks import panels, result_tables, show, trajectory_runs
from equate_srbench.report.tables import trajectories

wanted = trajectory_runs.tasks(
    suite, preset, seeds=seeds, noise=noise, max_time=max_time, every=every
)
found = trajectory_runs.collect(wanted, run, show.StatusLine())
table = trajectories.per_step(found.steps)

# %% [markdown]
# ## The answer

# %% Summary
show.text(*trajectories.describe(found, table), kind="answer")

# %% R2 and scores per step
show.figure(
    trajectory_figures.steps(table),
    "Lines are medians over all starts of all fits, bands their quartiles; grey lines are single "
    "starts. Right: the score that the evaluator predicted, and that of the decoded formula.",
)

# %% [markdown]
# ## Does the ascent explore?

# %% New skeletons per step
show.figure(
    trajectory_figures.new_skeletons(table),
    "A step that decodes only known skeletons explores nothing.",
)

# %% Predicted and true change
show.figure(
    trajectory_figures.predicted_against_true(table),
    "Each point is the best proposal of a step relative to its start: above the horizontal line it "
    "is better. A perfect evaluator has all points on the diagonal.",
)

# %% [markdown]
# ## Where the final formulas come from

# %% Sources
show.figure(
    trajectory_figures.sources(found),
    "The source that first reached the final accuracy. Backbone: sampled from the pretrained "
    "network. Ascent: decoded after gradient steps. Edit: a neighbour of a good formula. Shorten: "
    "only the simplification at the end.",
)

# %% Map of the embeddings
show.figure(
    trajectory_figures.embedding_map(found),
    "Joint embeddings of formula and data in two dimensions; each point is a decoded proposal.",
)

# %% [markdown]
# ## Fit by fit

# %% Every fit
result_tables.trajectories(found.fits)

# %% [markdown]
# ## One fit step by step

# %% One fit
panels.trajectory(found.fitted())

# %% [markdown]
# ## Provenance

# %% Provenance
result_tables.run_provenance(found.fits)

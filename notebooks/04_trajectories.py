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
# **What does gradient ascent on the joint embedding do, step by step: does R² rise, does the
# evaluator know beforehand, and which part of the method do the answers come from?**
#
# The fits are made here through the estimator and kept step by step; a second run reads them.
# Whether predicted and true changes of the score agree is a check that the publication leaves open.

# %% tags=["parameters"]
suite: str = "quick"  # name of a suite, a folder of tables or one table
preset: str = "default"  # one of default|paper|fast, paper climbs 20 steps and makes no edits
seeds: int = 1  # 1 to 10, how many seeds
noise: float = 0.0  # 0 to 10, noise of the training target, as a share of its RMS
max_time: float = 15.0  # 0.1 to 86400, seconds for one fit
every: int = 1  # 1 to 1000, only every so manieth data set
run: str = "runs/reports"  # folder of what the fits leave

# %% Make the fits that are missing
from equate_srbench.report.figures import trajectory_figures
from equate_srbench.report.notebooks import panels, show
from equate_srbench.report.tables import trajectories

wanted = trajectories.tasks(suite, preset, seeds=seeds, noise=noise, max_time=max_time, every=every)
found = trajectories.collect(wanted, run, show.Line())
table = trajectories.per_step(found.steps)

# %% [markdown]
# ## The answer

# %% The answer in words
show.words(*trajectories.in_words(found, table), kind="answer")

# %% R2 and scores per step
show.picture(
    trajectory_figures.steps(table),
    "Lines are medians over all starts of all fits, bands their quartiles; grey lines are single "
    "starts. Right: what the evaluator predicted, and what the decoded formula reached.",
)

# %% [markdown]
# ## Does the search search?

# %% New skeletons per step
show.picture(
    trajectory_figures.flips(table),
    "A step that decodes only formulas that were seen before has not moved.",
)

# %% Predicted and true change
show.picture(
    trajectory_figures.predicted_against_true(table),
    "Each point is the best proposal of one step, beside its line's start: above the horizontal "
    "line it is better. An evaluator that knows beforehand has its points along the diagonal.",
)

# %% [markdown]
# ## Where the answers come from

# %% Sources
show.picture(
    trajectory_figures.sources(found),
    "Who first was as accurate as the answer. Backbone: sampled from the pretrained network. "
    "Ascent: decoded after gradient steps. Edit: a neighbour of a good formula. Shorten: none of "
    "them, only what was made shorter at the end.",
)

# %% The map of formulas
show.picture(
    trajectory_figures.embedding_map(found),
    "Joint embeddings of formula and data in two dimensions; each point is a decoded proposal.",
)

# %% [markdown]
# ## Fit by fit

# %% Every fit
show.trajectories(found.fits)

# %% [markdown]
# ## One fit, to be played

# %% One fit
panels.trajectory(found.one())

# %% [markdown]
# ## Where the figures come from

# %% Provenance
show.provenance(found.fits)

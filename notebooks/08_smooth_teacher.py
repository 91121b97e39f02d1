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
# # Smooth teachers
#
# **Does a formula get more accurate when it learns from a network with a small gradient instead of
# an ordinary one?**
#
# A network, the teacher, is trained on noisy rows, and a student learns its labels. A Jacobian
# penalty keeps the teacher's gradient small; a strength of 0 is an ordinary network. The test rows
# are clean.

# %% tags=["parameters"]
suite: str = "strogatz"  # name of a suite, a folder of tables or a table
student: str = "equate-fast"  # name from `equate baselines list`, the method that learns the labels
strengths: list[float] = [0.0, 0.001, 0.01, 0.1, 1.0]  # 0 to 100, of the penalty; 0 is added
noise: float = 0.1  # 0 to 10, noise of the training target, as a share of its RMS
seeds: int = 1  # 1 to 10, how many seeds
max_time: float = 15.0  # 0.1 to 86400, seconds for a fit that chooses its strength
every: int = 1  # 1 to 1000, use every k-th dataset
run: str = "runs/reports"  # folder of the rows
jobs: int = 0  # 0 to 1024, number of parallel fits; 0: one per processor

# %% Run the missing fits
from IPython.display import display

from equate_srbench.report.figures import distillation_figures
from equate_srbench.report.notebooks import result_tables, running, show
from equate_srbench.report.tables import distillation

wanted = running.plan(
    suite, ["distilled"], seeds=seeds, noise=[noise], max_time=max_time, every=every
)
rows = running.rows(wanted, run, settings=distillation.settings(student, strengths), jobs=jobs)
fits = distillation.labelled(rows)
table = distillation.by_student(fits)

# %% [markdown]
# ## The answer

# %% Summary
show.text(*distillation.describe(table), kind="answer")

# %% [markdown]
# ## Effect of the penalty on a network

# %% One column: slices
show.figure(
    distillation_figures.example_slices(),
    "Networks trained on 80 noisy rows of four columns, of which only the first matters: all "
    "slices along it should be the dashed sine wave. Those of an ordinary network differ; a "
    "penalty brings them together, and a strong one flattens the wave as well.",
)

# %% Two columns: a map
show.figure(
    distillation_figures.example_map(),
    "The same over two columns: contours of the truth, and of networks trained on the marked noisy "
    "rows.",
)

# %% [markdown]
# ## Effect of the strength

# %% Student and teacher over the strength
show.figure(
    distillation_figures.r2_by_strength(fits),
    "Each thin line is a data set. Left: the student's formula; right: the teacher network.",
)

# %% [markdown]
# ## Chosen strengths

# %% Change by data set
by_dataset = distillation.by_dataset(fits)
display(result_tables.teachers(by_dataset))
show.figure(
    distillation_figures.differences(by_dataset),
    "Change of the formula's test R² when the strength is chosen on rows of the fit.",
)

# %% [markdown]
# ## Provenance

# %% Provenance
result_tables.run_provenance(rows)

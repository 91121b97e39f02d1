"""Figures of the search steps of a suite."""

from __future__ import annotations

from equate_srbench.report.figures import trajectory_figures
from equate_srbench.report.tables import trajectories
from equate_srbench.report.tables.trajectories import SuiteTrajectories


def test__figures__steps__drawn_or_none(found: SuiteTrajectories) -> None:
    """Every figure exists, and an empty table gives none."""
    table = trajectories.per_step(found.steps)
    assert len(trajectory_figures.steps(table).axes) == 2
    assert len(trajectory_figures.new_skeletons(table).axes) == 1
    assert len(trajectory_figures.sources(found).axes) == 1
    assert trajectory_figures.predicted_against_true(table) is not None
    assert trajectory_figures.embedding_map(found) is not None
    empty = table.iloc[:0]
    assert trajectory_figures.steps(empty) is None
    assert trajectory_figures.new_skeletons(empty) is None
    assert trajectory_figures.predicted_against_true(empty) is None

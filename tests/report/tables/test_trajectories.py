"""Search steps of a suite: what they say about the gradient ascent."""

from __future__ import annotations

import pytest

from equate_srbench.report.tables import trajectories
from equate_srbench.report.tables.trajectories import SuiteTrajectories
from tests.report.made_up import SCORES


def test__per_step__proposals__best_of_each_step(found: SuiteTrajectories) -> None:
    """The better proposal stands for its step; the best so far never falls."""
    table = trajectories.per_step(found.steps)
    assert table["score"].tolist() == [score for scores in SCORES for score in scores]
    assert table["best_score"].tolist() == [0.1, 0.3, 0.3, 0.5, 0.5, 0.6]
    assert table["flipped"].tolist() == [False, True, False] * 2


def test__shares__steps__by_hand(found: SuiteTrajectories) -> None:
    """Three of four steps do not lose; both ascents improve; predictions rank perfectly."""
    table = trajectories.per_step(found.steps)
    assert trajectories.monotone_share(table) == 0.75
    assert trajectories.improved_share(table) == 1.0
    assert trajectories.spearman(table) == pytest.approx(1.0)
    assert trajectories.source_shares(found.fits)["share"].tolist() == [0.5, 0.5]


def test__describe__with_and_without_ascent__said(found: SuiteTrajectories) -> None:
    """Sentences count fits, starts and steps; without an ascent the reason is given."""
    text = " ".join(trajectories.describe(found, trajectories.per_step(found.steps)))
    assert "1 of 2 fits ran the gradient ascent, from 2 starts of up to 2 steps." in text
    assert "75 % of the steps" in text
    none = found.steps.assign(source="edit")
    assert "No fit ran" in " ".join(trajectories.describe(found, trajectories.per_step(none)))


def test__fitted__one_fit__rows_and_embeddings_of_it(found: SuiteTrajectories) -> None:
    """Panels read a fit without its estimator."""
    assert len(found.fitted(0).trajectory_) == len(found.fitted(0).embeddings_) == 12
    assert len(found.fitted(1).trajectory_) == 0

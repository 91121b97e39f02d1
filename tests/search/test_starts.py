"""What a fit tries first."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.equate.settings import preset
from equate_srbench.problem.archive import Archive
from equate_srbench.refine import Refiner
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.pipeline import FitPipeline, PipelineOptions
from equate_srbench.search.starts import most_correlated, simple_formulas

RNG = np.random.default_rng(0)
X = RNG.uniform(0.5, 4.0, (200, 3))


@pytest.mark.parametrize(
    "y",
    [
        3.0 * X[:, 0] - X[:, 1] + 0.1 * X[:, 2] + 7.0,
        2.0 * X[:, 0] ** 1.5 / X[:, 2] ** 0.7,
        4.0 * np.exp(-0.7 * X[:, 1]) + 2.0,
        np.minimum(X[:, 0], X[:, 1]) * X[:, 2],
        np.maximum(X[:, 1], X[:, 2]) + 1.0,
    ],
    ids=["sum", "power law", "decay", "smaller times", "larger"],
)
def test__simple_formulas__laws_of_their_kind__exact(y):
    """Least squares, power laws, one and two columns, and a factor."""
    archive = Archive(X, y, deadline=Deadline())
    archive.refine(simple_formulas(X, y), "family")
    assert archive.is_exact(archive.best)


def options(name: str) -> PipelineOptions:
    """Options of a preset."""
    return PipelineOptions("compact", preset(name), "cpu", name == "paper", False)


@pytest.mark.parametrize("y", [np.exp(np.sin(5.0 * X[:, 0])) / X[:, 1], RNG.normal(size=200)])
def test__start__one_call__better_than_a_constant(y, monkeypatch):
    """Whatever the time: a deadline that is over does not keep an answer from being there."""
    calls = []
    fit = Refiner.fit
    monkeypatch.setattr(Refiner, "fit", lambda *a, **k: calls.append(len(a[1])) or fit(*a, **k))
    archive = Archive(X, y, deadline=Deadline(0.0))
    search = FitPipeline(archive, np.random.default_rng(0), options("default"))
    search.start()
    assert len(calls) == 1
    assert calls[0] < 150
    assert archive.best.tree.columns
    assert not search.has_begun
    assert search.n_started == sum(archive.tried.values()) > 0


def test__start__paper__nothing():
    """The published method is as published."""
    archive = Archive(X, X[:, 0], deadline=Deadline())
    FitPipeline(archive, np.random.default_rng(0), options("paper")).start()
    assert len(archive) == 1


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test__simple_formulas__extremes__no_crash(scale):
    """Constant columns, overflow, one row, negative targets."""
    rows = np.column_stack([X * scale, np.ones(200), -X[:, 0]])
    for y in (X[:, 0] * scale, -X[:, 0], np.ones(200), np.zeros(200)):
        archive = Archive(rows, y, deadline=Deadline())
        archive.refine(simple_formulas(rows, y), "family")
    assert simple_formulas(rows[:1], y[:1]) == []
    assert simple_formulas(np.ones((50, 2)), y[:50]) == []


def test__most_correlated__constant_columns_last():
    """The largest first."""
    rows = np.column_stack([np.ones(200), X])
    assert most_correlated(rows, X[:, 1], 4)[0] == 2
    assert most_correlated(rows, X[:, 1], 4)[-1] == 0
    assert len(most_correlated(rows, X[:, 1], 2)) == 2

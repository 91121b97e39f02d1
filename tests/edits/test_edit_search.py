"""The edit search on made-up tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.edits.island import Individual
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.floor import EXACT
from equate_srbench.runtime.clock import Deadline

SMALL = EditSettings(library=3000, population=150, children=120)
a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


def table(n: int = 120, p: int = 3, seed: int = 0) -> np.ndarray:
    """Uniform columns."""
    return np.random.default_rng(seed).uniform(0.5, 3.0, (n, p))


def search(X, y, *, seconds=20.0, seed=0, **kwargs) -> Archive:
    """An archive after an edit search."""
    archive = Archive(X, y, deadline=Deadline(seconds))
    edits = EditSearch(
        archive, list(range(X.shape[1])), rng=np.random.default_rng(seed), settings=SMALL
    )
    edits.run(archive.deadline, **kwargs)
    return archive


@pytest.mark.parametrize(
    "target",
    [
        lambda X: X[:, 0] * np.sqrt(X[:, 1] ** 2 + X[:, 2] ** 2),
        lambda X: 2.0 * X[:, 0] * np.exp(-X[:, 1] * X[:, 2]),
        lambda X: (X[:, 0] + X[:, 1]) / (1.0 + X[:, 0] * X[:, 1]),
        lambda X: np.sin(X[:, 0]) - 0.3 * np.cos(X[:, 1] - X[:, 2]),
        lambda X: -np.exp(-X[:, 0] - X[:, 1] * X[:, 2]),
        lambda X: np.arcsin(0.3 * X[:, 0] / X[:, 1] / 3.0),
    ],
)
def test__edit_search__noise_free_law__is_found_exactly(target):
    """Short laws come out to the last digits, whatever view of the target they need."""
    X = table()
    archive = search(X, target(X))
    assert archive.error < EXACT
    probe = table(seed=9)
    np.testing.assert_allclose(evaluate(archive.best.tree, probe), target(probe), rtol=1e-8)


@pytest.mark.parametrize("scale", [1e160, -1e160, 1e-160, 0.0])
def test__grafts__scale_out_of_range__nothing_grafted(scale):
    """A formula of values near 1e-160 has a scale whose square no double holds."""
    X = table()
    archive = Archive(X, X[:, 0] / X[:, 1], deadline=Deadline(60.0))
    edits = EditSearch(archive, [0, 1], rng=np.random.default_rng(0), settings=SMALL)
    edits._populate(archive.deadline, [], None)
    island = edits.islands[0]
    parent = Individual(a, scale=2.0, offset=0.0, error=0.5)
    island.population, island.best_of_size, island.seen = [parent], {1: parent}, set()
    assert island.grafts(10)
    parent.scale = scale
    assert island.grafts(10) == []


def test__edit_search__same_seed__same_candidates():
    """What is found depends on data and seed, not on the clock."""
    X = table()
    y = X[:, 0] ** 1.7 + np.tanh(X[:, 1]) * X[:, 2]
    runs = [
        [c.tree for c in search(X, y, patience=1500, seconds=60.0).candidates] for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test__edit_search__patience_spent__ends_before_the_deadline():
    """Noise is not searched until the time is up."""
    X = table(30)
    y = np.random.default_rng(3).normal(size=30)
    archive = search(X, y, seconds=60.0, patience=500, length=lambda c: c.loss * (1 + c.size))
    assert archive.deadline.elapsed() < 30.0


def test__edit_search__starts__are_refined_in_the_plain_view():
    """A formula handed over by the backbone is used."""
    X = table()
    start = f("tanh", f("mul", Tree.constant(1.0), f("mul", a, f("cos", f("mul", b, c)))))
    y = evaluate(f("tanh", f("mul", Tree.constant(0.7), f("mul", a, f("cos", f("mul", b, c))))), X)
    archive = search(X, y, starts=[start])
    assert archive.error < EXACT


def test__edit_search__over_deadline__stops():
    """A deadline in the past means no rounds."""
    X = table()
    archive = Archive(X, X[:, 0] ** 1.3 * X[:, 1], deadline=Deadline(0.0))
    EditSearch(archive, [0, 1, 2], rng=np.random.default_rng(0)).run(archive.deadline)
    assert len(archive) >= 1

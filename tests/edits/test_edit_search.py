"""The edit search on made-up tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.floor import EXACT
from equate_srbench.runtime.clock import Deadline

SMALL = EditSettings(library=3000, edits=800)
a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


def table(n: int = 120, p: int = 3, seed: int = 0) -> np.ndarray:
    """Uniform columns."""
    return np.random.default_rng(seed).uniform(0.5, 3.0, (n, p))


def search(X, y, *, seconds=20.0, seed=0, n_jobs=1, **kwargs) -> Archive:
    """An archive after an edit search."""
    archive = Archive(X, y, deadline=Deadline(seconds))
    edits = EditSearch(
        archive, list(range(X.shape[1])), rng=np.random.default_rng(seed), settings=SMALL,
        n_jobs=n_jobs,
    )  # fmt: skip
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


@pytest.mark.parametrize("n_jobs", [1, 2])
def test__edit_search__same_seed_and_jobs__same_candidates(n_jobs):
    """What is found depends on data, seed and number of threads, not on the clock."""
    X = table()
    y = X[:, 0] ** 1.7 + np.tanh(X[:, 1]) * X[:, 2]
    y += 0.1 * np.random.default_rng(1).normal(size=len(y))
    runs = [search(X, y, patience=6000, seconds=200.0, n_jobs=n_jobs) for _ in range(2)]
    found = [[c.tree for c in archive.candidates] for archive in runs]
    assert found[0] == found[1]
    assert runs[0].tried == runs[1].tried
    assert runs[0].deadline.left() > 0.0


def test__edit_search__two_jobs__finds_the_law():
    """Islands side by side."""
    X = table()
    archive = search(X, X[:, 0] * np.exp(-X[:, 1] * X[:, 2]) + X[:, 1], n_jobs=2, seconds=60.0)
    assert archive.error < EXACT


@pytest.mark.parametrize("n_jobs", [1, 2])
def test__edit_search__interrupted__archive_and_populations_are_sound(n_jobs):
    """Ctrl-C at any tick leaves an answer, and a search that can go on."""
    X = table()
    y = X[:, 0] ** 1.7 + np.tanh(X[:, 1]) * np.random.default_rng(2).normal(size=len(X))
    archive = Archive(X, y, deadline=Deadline(60.0))
    edits = EditSearch(
        archive, [0, 1, 2], rng=np.random.default_rng(0), settings=SMALL, n_jobs=n_jobs
    )
    ticks = iter(range(12))

    def tick() -> None:
        if next(ticks, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edits.run(archive.deadline, tick=tick)
    assert archive.error < 1.0
    for island in edits.islands:
        best = island.population.error[:, 0].copy()
        island.step(200, 20, deadline=archive.deadline)
        assert (island.population.error[:, 0] <= best).all()


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

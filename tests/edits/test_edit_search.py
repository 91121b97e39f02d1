"""Edit search, shortening and the choice by description length, on made-up tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.edits.island import Individual
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import EXACT, Archive
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.base import UNDEFINED_COST, Search
from equate_srbench.search.shorten import shorten

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


def test__archive__seen_skeleton__gives_the_same_candidate():
    """Skeletons are refined once."""
    X = table()
    archive = Archive(X, X[:, 0] * 2.0, deadline=Deadline(10.0))
    tree = f("mul", Tree.constant(3.0), a)
    first = archive.refine([tree], "edit")[0]
    again = archive.refine([tree.with_constants([5.0])], "backbone")[0]
    assert first is again
    assert archive.tried == {"edit": 1}


def test__archive__undefined_formula__is_none():
    """A formula that is not finite on every fit row is no candidate."""
    X = table()
    archive = Archive(X, X[:, 0], deadline=Deadline(10.0))
    assert archive.refine([f("log", f("sub", a, b))], "edit") == [None]


def test__shorten__needlessly_long_exact_formula__becomes_the_law():
    """Parts that do nothing, and constants that are 0 or 1, go."""
    X = table()
    y = X[:, 0] * X[:, 1]
    long = f(
        "add",
        f("mul", Tree.constant(2.0), f("exp", f("add", f("log", f("mul", Tree.constant(0.5), a)),
                                                  f("log", b)))),
        f("mul", Tree.constant(1e-17), f("sin", c)),
    )  # fmt: skip
    archive = Archive(X, y, deadline=Deadline(20.0))
    start = archive.refine([long], "edit")[0]
    short = shorten(archive, start, rewrite=rewrite, deadline=archive.deadline)
    assert sorted(short.tree.symbols) == sorted(f("mul", a, b).symbols)


def test__description_length__noise__prefers_the_law_to_the_overfit():
    """On noisy rows the law is shorter than a longer formula that fits a little better."""
    rng = np.random.default_rng(0)
    X = table(300)
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.2, 300)
    law, more = f("mul", a, b), f("add", f("mul", a, b), f("mul", Tree.constant(0.01), f("sin", c)))
    archive = Archive(X, y, deadline=Deadline(10.0))
    short, long = archive.refine([law, more], "edit")
    assert long.loss < short.loss
    length = [
        description_length(k.tree, k.loss, archive.variance, archive.n_rows) for k in (short, long)
    ]
    assert length[0] < length[1]


def test__description_length__as_many_constants_as_rows__loses_to_the_law():
    """Six planets do not support five fitted constants, however well these fit."""
    law = f("cube", f("sqrt", a))
    constants = [Tree.constant(v) for v in (0.9997, 1.50013, 3.7e-4, 0.484, 2.8e-5)]
    power = f("mul", constants[0], f("pow", a, constants[1]))
    wave = f("exp", f("mul", constants[2], f("cos", f("mul", constants[3], a))))
    overfit = f("add", f("mul", power, wave), constants[4])
    assert description_length(law, 1e-9, 1.0, 6) < description_length(overfit, 1e-16, 1.0, 6)


def search_on(X: np.ndarray, y: np.ndarray) -> Search:
    """A search that has not begun."""
    return Search(Archive(X, y, deadline=Deadline(20.0)), np.random.default_rng(0))


def extra_cost(run: Search, tree: Tree) -> float:
    """What a formula pays beside its description length."""
    archive = run.archive
    (candidate,) = archive.refine([tree], "edit")
    plain = description_length(candidate.tree, candidate.loss, archive.variance, len(archive.y))
    return run.length(candidate) - plain


def test__length__pole_between_the_rows__costs_extra():
    """What goes wild for other combinations of the values seen pays, what stays tame does not."""
    x = np.linspace(0.0, 1.0, 60)
    gap = 1.0 + 0.1 * np.sin(9.0 * x)
    # x1 - x0 is about 1 on every row, and nearly 0 in between
    run = search_on(np.column_stack([x, x + gap]), x + 1.0 / gap)
    assert extra_cost(run, a) == pytest.approx(0.0)
    assert extra_cost(run, f("inv", f("sub", b, a))) == pytest.approx(UNDEFINED_COST)


def test__length__pole_next_to_the_rows__costs_extra():
    """A column from .1 to 10 is 0 one day; it is never negative."""
    x = np.linspace(0.1, 10.0, 60)
    run = search_on(x[:, None], 1.0 / x + x)
    assert extra_cost(run, f("inv", a)) == pytest.approx(UNDEFINED_COST)
    assert extra_cost(run, f("sqrt", a)) == pytest.approx(0.0)

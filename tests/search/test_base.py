"""The choice of the answer: formulas with poles near the rows pay."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.canonical import prepare
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.base import UNDEFINED_COST, Search

a, b = Tree.variable(0), Tree.variable(1)
f = Tree.apply


def search_on(X: np.ndarray, y: np.ndarray) -> Search:
    """A search that has not begun."""
    return Search(Archive(X, y, deadline=Deadline(20.0)), np.random.default_rng(0))


def extra_cost(run: Search, tree: Tree) -> float:
    """What a formula pays beside its description length."""
    archive = run.archive
    (candidate,) = archive.refine([tree], "edit")
    plain = description_length(candidate.tree, candidate.loss, archive.variance, len(archive.y))
    return run.length(candidate) - plain


def test__length__runs_off_between_the_rows__costs_extra():
    """What goes wild for other combinations of the values seen pays, what stays tame does not."""
    x = np.linspace(0.0, 1.0, 60)
    gap = 1.0 + 0.1 * np.sin(9.0 * x)
    # x1 - x0 is about 1 on every row, and nearly 0 for other combinations
    run = search_on(np.column_stack([x, x + gap]), x + 1.0 / gap)
    assert extra_cost(run, a) == pytest.approx(0.0)
    assert extra_cost(run, f("inv", f("sub", b, a))) == pytest.approx(UNDEFINED_COST)


def test__length__runs_off_next_to_the_rows__costs_extra():
    """Positive columns may be half as large one day; they are never 0."""
    x = np.linspace(0.1, 10.0, 60)
    run = search_on(x[:, None], 1.0 / x + x)
    assert extra_cost(run, f("inv", a)) == pytest.approx(0.0)
    power = f("inv", f("square", f("square", f("square", a))))
    assert extra_cost(run, power) == pytest.approx(UNDEFINED_COST)
    assert extra_cost(run, f("sqrt", a)) == pytest.approx(0.0)


def test__choose__pole_among_the_rows__only_if_nothing_else_is_near():
    """A pole is worth a tenfold error: below that another formula is the answer, above it is."""
    X = np.random.default_rng(0).uniform(0.0, 4.0, (200, 2))
    y = X[:, 0] * X[:, 1]
    run = search_on(X, y)
    archive = run.archive
    pole = f("add", f("mul", a, b), f("div", Tree.constant(1e-4), f("sub", a, b)))
    plain = f("add", f("mul", a, b), f("mul", Tree.constant(1e-4), f("sin", a)))
    archive.add(pole, pole, 1e-6, "edit")
    near = archive.add(plain, plain, 5e-6, "edit")
    assert run.choose("best") is near
    far = archive.add(pole, pole, 1e-7, "edit")
    assert run.choose("best") is far


def test__choose__at_the_floor__the_shortest():
    """Twenty nodes more do not win by 1e-28 against 1e-24, nor by luck among rounded numbers."""
    X = np.random.default_rng(0).uniform(0.5, 4.0, (300, 2))
    for y in (X[:, 0] * X[:, 1], np.round(X[:, 0] * X[:, 1], 2)):
        problem = prepare(X, y, None)
        archive = Archive(problem.X, problem.y, deadline=Deadline(), floor=problem.floor)
        run = Search(archive, np.random.default_rng(0))
        short = f("mul", a, b)
        long = short
        for rate in (2.0, 3.0, 5.0):
            wave = f("sin", f("mul", Tree.constant(rate), a))
            long = f("add", long, f("mul", Tree.constant(1e-9), wave))
        first, second = archive.refine([short, long], "edit", max_steps=60)
        assert archive.is_exact(first)
        assert archive.is_exact(second)
        for select in ("best", "accurate"):
            assert run.choose(select) is first


def test__choose__absurd_constants__lose_to_what_is_near():
    """What cancels 1e40 is no law where another formula is within a tenfold error."""
    X = np.random.default_rng(0).uniform(0.5, 4.0, (200, 2))
    run = search_on(X, X[:, 0] * X[:, 1])
    archive = run.archive
    absurd = f("mul", Tree.constant(1e40), f("mul", Tree.constant(1e-40), a))
    power = f("pow", a, Tree.constant(39.2))
    near = archive.add(f("add", a, b), a, 5e-4, "edit")
    archive.add(absurd, absurd, 1e-4, "edit")
    archive.add(power, power, 1e-4, "edit")
    assert run.choose("best") is near

"""The choice of the answer: formulas with poles near the rows pay."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
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

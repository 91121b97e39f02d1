"""Shortening of one formula."""

from __future__ import annotations

import numpy as np

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.shorten import shorten

a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


def table(n: int = 120, p: int = 3, seed: int = 0) -> np.ndarray:
    """Uniform columns."""
    return np.random.default_rng(seed).uniform(0.5, 3.0, (n, p))


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

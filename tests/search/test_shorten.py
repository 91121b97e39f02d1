"""Shortening of one formula."""

from __future__ import annotations

import itertools

import numpy as np

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.shorten import pareto_front, shorten, shorten_front

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


def fitted(X: np.ndarray, y: np.ndarray, *trees: Tree) -> Archive:
    """An archive that knows ``trees``."""
    archive = Archive(X, y, deadline=Deadline(60.0))
    archive.refine(list(trees), "edit")
    return archive


def test__pareto_front__each_size__only_what_is_more_accurate():
    """One formula of a size, and none that a smaller one beats."""
    X = table()
    archive = fitted(X, X[:, 0] * X[:, 1], a, f("mul", a, b), f("mul", f("mul", a, b), c))
    front = pareto_front(archive.candidates)
    assert [x.size for x in front] == sorted({x.size for x in front})
    assert all(x.loss > y.loss for x, y in itertools.pairwise(front))


def test__shorten_front__law_hidden_in_a_long_formula__found():
    """The exact long formula is shortened, though a short inexact one is ranked before."""
    X = table()
    y = X[:, 0] * X[:, 1] - X[:, 2]
    parts = [f("square", f("add", a, b)), f("square", f("sub", a, b)), c]
    hidden = f("sub", f("mul", Tree.constant(0.25), f("sub", *parts[:2])), c)
    noisy = f("add", f("mul", hidden, f("exp", f("mul", Tree.constant(1e-15), a))), f("sub", a, a))
    archive = fitted(X, y, f("mul", a, b), noisy)
    best = shorten_front(archive, deadline=archive.deadline)[0]
    assert best.loss < 1e-20 * archive.variance
    assert best in archive.candidates
    assert sorted(best.tree.symbols) == sorted(f("sub", f("mul", a, b), c).symbols)


def test__shorten_front__power_that_means_an_exponential__becomes_it():
    """``(1 + x/n)**n`` gives way to its limit."""
    X = table()
    y = 3.0 * np.exp(-0.7 * X[:, 0])
    n = 1e7
    inner = f("add", Tree.constant(1.0), f("mul", Tree.constant(-0.7 / n), a))
    tree = f("mul", Tree.constant(3.0), f("pow", inner, Tree.constant(n)))
    archive = Archive(X, y, deadline=Deadline(60.0))
    residual = evaluate(tree, X) - y
    archive.add(tree, tree, float(np.mean(residual**2)), "edit")
    best = shorten_front(archive, deadline=archive.deadline)[0]
    assert best.loss < 1e-20 * archive.variance
    assert f("exp", a).symbols[0] in best.tree.symbols
    assert max(map(abs, best.tree.constants)) < 10.0


def test__shorten_front__deadline_over__nothing_done():
    """No time, no refits and no rewriting, which takes time for long formulas."""
    X = table()
    archive = fitted(X, X[:, 0] * X[:, 1], f("mul", f("mul", a, b), f("div", c, c)))
    tried = archive.tried["shorten"]
    best = shorten_front(archive, deadline=Deadline(0.0))[0]
    assert best.tree in [candidate.tree for candidate in archive.candidates]
    assert best.tree.symbols != f("mul", a, b).symbols
    assert archive.tried["shorten"] == tried


def test__shorten_front__same_archive__same_result():
    """Nothing is left to chance."""
    X = table()
    y = np.sin(X[:, 0]) + 0.1 * X[:, 1]
    trees = [f("add", f("sin", a), f("mul", b, f("add", c, Tree.constant(1.0)))), f("sin", b), a]
    results = [
        [s.tree for s in shorten_front(fitted(X, y, *trees), deadline=Deadline(60.0))]
        for _ in range(2)
    ]
    assert results[0] == results[1]

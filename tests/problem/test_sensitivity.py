"""Slopes and rounding of a formula, against finite differences and long doubles."""

from __future__ import annotations

import random

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate, run_prefix
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.sensitivity import sensitivities

X = np.random.default_rng(0).uniform(0.5, 2.0, (64, 3))


def trees(n: int = 60) -> list[Tree]:
    """Random formulas that are smooth and moderate on the rows."""
    mutator = Mutator([0, 1, 2], random.Random(3), 12)
    found: list[Tree] = []
    while len(found) < n:
        tree = mutator.tree()
        with np.errstate(all="ignore"):
            values = evaluate(tree, X)
        if tree.columns and np.isfinite(values).all() and np.abs(values).max() < 1e3:
            found.append(tree)
    return found


def test__slopes__finite_differences__agree():
    """Derivatives by every column of sixty random formulas, on most rows."""
    for tree in trees():
        values, _, slopes = sensitivities(tree, X)
        np.testing.assert_array_equal(values, evaluate(tree, X))
        for j in range(3):
            ahead, back = X.copy(), X.copy()
            ahead[:, j] += 1e-6
            back[:, j] -= 1e-6
            with np.errstate(all="ignore"):
                wanted = (evaluate(tree, ahead) - evaluate(tree, back)) / 2e-6
            good = np.isclose(slopes[:, j], wanted, rtol=1e-4, atol=1e-4)
            assert np.mean(good) > 0.9, tree


def test__rounding__long_doubles__same_order():
    """The error of float64 is what the estimate says, within its margin of ten, also below it."""
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("no long doubles here")
    wide = X.astype(np.longdouble)
    for tree in trees():
        values, rounding, _ = sensitivities(tree, X)
        exact = run_prefix(
            tree.symbols, [np.longdouble(c) for c in tree.constants], lambda j: wide[:, j], np
        )
        error = float(np.sqrt(np.mean((np.asarray(exact - values, dtype=np.float64)) ** 2)))
        assert error <= 10.0 * np.sqrt(rounding.mean()), tree


def test__rounding__cancellation__is_large():
    """What cancels ten digits keeps six."""
    big = Tree.constant(1e10)
    x = Tree.variable(0)
    tree = Tree.apply("sub", Tree.apply("add", x, big), big)
    values, rounding, _ = sensitivities(tree, X)
    error = np.sqrt(np.mean((values - X[:, 0]) ** 2))
    assert 1e-8 < error < 1e-5
    assert 0.1 < error / np.sqrt(rounding.mean()) < 10.0


def test__slopes__where_there_is_none__zero():
    """The exponent of a power of zero, the root at zero: 0, not NaN."""
    rows = np.array([[0.0, 1.0, 2.0]])
    tree = Tree.apply("pow", Tree.variable(0), Tree.variable(2))
    assert np.isfinite(sensitivities(tree, rows)[2]).all()

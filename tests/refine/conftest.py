"""Random formulas and a table for the tests of this folder."""

import numpy as np
import pytest

from equate_srbench.expr.operators import BINARY, UNARY
from equate_srbench.expr.tree import Tree


def _tree(rng, depth):
    if depth == 1 or rng.random() < 0.1:
        if rng.random() < 0.3:
            return Tree.constant(round(float(rng.normal(0.0, 1.5)), 3))
        return Tree.variable(int(rng.integers(3)))
    op = rng.choice(BINARY if rng.random() < 0.6 else UNARY)
    return Tree.apply(op.name, *(_tree(rng, depth - 1) for _ in range(op.arity)))


@pytest.fixture(scope="session")
def random_trees():
    """``random_trees(seed, n)``: formulas over three columns, up to five levels deep."""

    def make(seed, n):
        rng = np.random.default_rng(seed)
        return [_tree(rng, int(rng.integers(1, 6))) for _ in range(n)]

    return make


@pytest.fixture(scope="session")
def table():
    """X (40, 3) where most operators are defined, and a y that no small formula fits."""
    rng = np.random.default_rng(3)
    X = rng.uniform(0.2, 2.0, (40, 3))
    y = X[:, 0] * np.sin(2.0 * X[:, 1]) + 0.3 * X[:, 2] ** 2 + 0.1 * rng.normal(size=40)
    return X, y

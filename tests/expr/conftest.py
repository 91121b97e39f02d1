"""Random formulas and tables for the tests of ``expr``."""

from collections.abc import Callable

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import UNARY
from equate_srbench.expr.tree import Tree

_BINARY = ("add", "sub", "mul", "div", "pow")
_SHARES = (0.3, 0.2, 0.28, 0.18, 0.04)
_EXPONENTS = (1.5, -2.0, 4.0, 0.25, 2.3, -0.5)


def _constant(rng: np.random.Generator) -> Tree:
    if rng.random() < 0.3:
        return Tree.constant(float(rng.integers(-5, 10)))
    return Tree.constant(float(rng.normal() * 10.0 ** rng.integers(-2, 3)))


def _grow(rng: np.random.Generator, depth: int, n_columns: int) -> Tree:
    r = rng.random()
    if depth <= 1 or r < 0.15:
        leaf = rng.random() < 0.3
        return _constant(rng) if leaf else Tree.variable(int(rng.integers(n_columns)))
    if rng.random() < 0.38:
        name = UNARY[rng.integers(len(UNARY))].name
        return Tree.apply(name, _grow(rng, depth - 1, n_columns))
    name = str(rng.choice(_BINARY, p=_SHARES))
    left = _grow(rng, depth - 1, n_columns)
    if name == "pow" and rng.random() < 0.7:
        return Tree.apply(name, left, Tree.constant(float(rng.choice(_EXPONENTS))))
    return Tree.apply(name, left, _grow(rng, depth - 1, n_columns))


@pytest.fixture(scope="session")
def random_tree() -> Callable[..., Tree]:
    """``random_tree(rng, depth=5, n_columns=3)``: any operators, whole and other constants."""

    def draw(rng: np.random.Generator, depth: int = 5, n_columns: int = 3) -> Tree:
        return _grow(rng, depth, n_columns)

    return draw


@pytest.fixture(scope="session")
def table() -> np.ndarray:
    """Rows of both signs without exact zeros, where divisions by zero hide nothing."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.uniform(-3.0, 3.0, (40, 3)), rng.uniform(0.1, 4.0, (40, 3))])


@pytest.fixture(scope="session")
def rounding() -> Callable[[Tree, np.ndarray], np.ndarray]:
    """How far rounding of the inputs alone moves the values of a tree, row by row."""

    def spread(tree: Tree, X: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        wanted = evaluate(tree, X)
        moved = [evaluate(tree, X * (1.0 + 1e-15 * rng.normal(size=X.shape))) for _ in range(8)]
        with np.errstate(all="ignore"):
            return np.max(np.abs(np.array(moved) - wanted), axis=0)

    return spread


@pytest.fixture(scope="session")
def sound_rows() -> Callable[[Tree, np.ndarray], np.ndarray]:
    """Rows where a tree and all its parts are finite and of ordinary size."""

    def rows(tree: Tree, X: np.ndarray) -> np.ndarray:
        parts = np.array([evaluate(tree.subtree(i), X) for i in range(tree.size)])
        return np.all(np.isfinite(parts) & (np.abs(parts) < 1e4), axis=0)

    return rows

"""Formulas that a fit tries first: a few milliseconds of work, and better than a constant."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.target_views import monomial_factor, power_tree

Array = NDArray[np.float64]

#: Rows from which the constants of the sum and the power law are found; they are refined on all.
MAX_ROWS = 1000
#: Columns in functions of one column, and in pairs.
ONE, TWO = 6, 4
#: Exponents smaller than this leave their column out, and exponents this near a half are that.
SMALLEST_EXPONENT, NEAR = 1e-3, 1e-3


def simple_formulas(X: Array, y: Array) -> list[Tree]:
    """Least squares, a power law, and functions of one and two columns.

    The same times a monomial of columns, where one appears to be a factor of the target.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)

    Returns
    -------
    list of Tree
        Different ones; scale and offset are to be fitted around each.
    """
    some = np.linspace(0, len(y) - 1, min(len(y), MAX_ROWS)).astype(np.int64)
    X, y = X[some], y[some]
    columns = [j for j in range(X.shape[1]) if np.ptp(X[:, j]) > 0.0]
    if not columns:
        return []
    with np.errstate(all="ignore"):
        trees = _simple(X, y, columns)
        factor = monomial_factor(X, y)
        others = [j for j in columns if factor is None or j not in factor.columns]
        if factor is not None and others:
            quotient = y / evaluate(factor, X)
            trees += [Tree.apply("mul", factor, t) for t in _simple(X, quotient, others)]
    return list(dict.fromkeys(trees))


def _simple(X: Array, y: Array, columns: list[int]) -> list[Tree]:
    ranked = [columns[j] for j in most_correlated(X[:, columns], y, ONE)]
    product = power_law(X, y, columns)
    trees = [linear(X, y, columns), *([] if product is None else [product])]
    for j in ranked:
        trees += _functions(j, X[:, j])
    for i, j in combinations(sorted(ranked[:TWO]), 2):
        trees += _pairs(i, j)
    return trees


def linear(X: Array, y: Array, columns: list[int]) -> Tree:
    """The least-squares sum of columns, without its offset."""
    scale = np.ptp(X[:, columns], axis=0)
    A = (X[:, columns] - X[:, columns].mean(axis=0)) / scale
    coefficients = np.linalg.lstsq(A, y - y.mean(), rcond=1e-10)[0] / scale
    terms = [
        Tree.apply("mul", Tree.constant(c), Tree.variable(j))
        for c, j in zip(coefficients.tolist(), columns, strict=True)
        if c != 0.0 and np.isfinite(c)
    ]
    return _joined("add", terms or [Tree.variable(columns[0])])


def power_law(X: Array, y: Array, columns: list[int]) -> Tree | None:
    """The product of powers of the positive columns that is least squares in logarithms."""
    columns = [j for j in columns if (X[:, j] > 0.0).all()]
    if not columns or not ((y > 0.0).all() or (y < 0.0).all()):
        return None
    A = np.log(X[:, columns])
    target = np.log(np.abs(y))
    exponents = np.linalg.lstsq(A - A.mean(axis=0), target - target.mean(), rcond=1e-10)[0]
    if not np.isfinite(exponents).all():
        return None
    factors = []
    for j, exponent in zip(columns, exponents.tolist(), strict=True):
        half = round(2.0 * exponent) / 2.0
        if abs(exponent) < SMALLEST_EXPONENT:
            continue
        if half and abs(half) <= 4.0 and abs(exponent - half) < NEAR:
            factors.append(power_tree(j, half))
        else:
            factors.append(Tree.apply("pow", Tree.variable(j), Tree.constant(exponent)))
    return _joined("mul", factors) if factors else None


def _functions(j: int, column: Array) -> list[Tree]:
    x = Tree.variable(j)
    rate = Tree.apply("mul", Tree.constant(1.0 / float(column.std())), x)
    simple = [Tree.apply(name, x) for name in ("square", "cube", "sqrt", "inv", "log", "exp")]
    return [x, *simple, *(Tree.apply(name, rate) for name in ("exp", "sin", "cos", "tanh"))]


def _pairs(i: int, j: int) -> list[Tree]:
    a, b = Tree.variable(i), Tree.variable(j)
    gap = Tree.apply("abs", Tree.apply("sub", a, b))  # a smaller or a larger one
    mix = Tree.apply("add", a, Tree.apply("mul", Tree.constant(1.0), b))
    return [
        *(Tree.apply(name, a, b) for name in ("mul", "div")),
        Tree.apply("div", b, a),
        gap,
        Tree.apply("add", mix, Tree.apply("mul", Tree.constant(1.0), gap)),
        Tree.apply("square", mix),
    ]


def most_correlated(X: Array, y: Array, most: int) -> list[int]:
    """Columns of largest correlation with the target, the largest first.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    most : int
    """
    some = np.linspace(0, len(y) - 1, min(len(y), MAX_ROWS)).astype(np.int64)
    with np.errstate(all="ignore"):
        Z, target = X[some] - X[some].mean(axis=0), y[some] - y[some].mean()
        found = np.abs(target @ Z) / np.sqrt(np.sum(Z**2, axis=0))
    found = np.where(np.isfinite(found), found, -1.0)  # a constant column has none
    return [int(j) for j in np.argsort(-found, kind="stable")[:most]]


def _joined(name: str, trees: list[Tree]) -> Tree:
    out = trees[0]
    for tree in trees[1:]:
        out = Tree.apply(name, out, tree)
    return out

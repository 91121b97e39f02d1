"""Explanation of a formula: impact of its branches, partial effects of its columns, pruning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]


def r2(tree: Tree, X: Array, y: Array) -> float:
    """Coefficient of determination; -inf if undefined on a row, NaN if ``y`` is constant."""
    variance = float(np.var(y))
    return 1.0 - mean_square(tree, X, y) / variance if variance > 0.0 else float("nan")


def pruned(tree: Tree, start: int, X: Array) -> Tree:
    """Replace the branch at ``start`` by a constant: its mean over the rows.

    Parameters
    ----------
    tree : Tree
    start : int
        Position of the branch's root, 0 .. size - 1.
    X : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    Tree
        Constants are as they were; the new one is a start for ``fit_constants``. It is 1 where
        the branch is not finite on any row.

    Raises
    ------
    IndexError
        If there is no such node.
    """
    if not 0 <= start < tree.size:
        raise IndexError(f"no node {start}: the formula has nodes 0 .. {tree.size - 1}")
    values = evaluate(tree.subtree(start), X)
    finite = values[np.isfinite(values)]
    return tree.replace(start, Tree.constant(float(finite.mean()) if len(finite) else 1.0))


def impacts(tree: Tree, X: Array, y: Array) -> Array:
    """Fall of R2 when a branch is replaced by its mean, per node, without refitting.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)

    Returns
    -------
    ndarray of shape (tree.size,)
        0 for constants; negative where the formula is better without the branch; inf where it is
        not defined without it; NaN if ``y`` is constant.
    """
    whole = r2(tree, X, y)
    out = np.zeros(tree.size)
    for start in range(tree.size):
        if tree.subtree(start).columns:
            out[start] = whole - r2(pruned(tree, start, X), X, y)
    return out


@dataclass(frozen=True, slots=True)
class Effect:
    """Partial effect of one column on the prediction.

    Attributes
    ----------
    grid : ndarray of shape (n_points,)
        Values of the column, from its smallest to its largest.
    mean, low, high : ndarray of shape (n_points,)
        Mean, 10 % and 90 % quantile of the predictions; NaN where none is finite.
    """

    grid: Array
    mean: Array
    low: Array
    high: Array


def partial_effect(tree: Tree, X: Array, column: int, *, points: int = 50) -> Effect:
    """Partial dependence: predictions over a grid of one column, averaged over the rows.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)
        At least one row; a few hundred are enough.
    column : int
    points : int, default=50

    References
    ----------
    Friedman (2001), partial dependence.
    """
    grid = np.linspace(X[:, column].min(), X[:, column].max(), points)
    table = np.tile(X, (points, 1))
    table[:, column] = np.repeat(grid, len(X))
    values = evaluate(tree, table).reshape(points, len(X))
    values[~np.isfinite(values)] = np.nan
    mean, low, high = np.full((3, points), np.nan)
    known = np.isfinite(values).any(axis=1)
    mean[known] = np.nanmean(values[known], axis=1)
    low[known], high[known] = np.nanquantile(values[known], (0.1, 0.9), axis=1)
    return Effect(grid, mean, low, high)

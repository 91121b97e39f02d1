"""The table a fit works on: canonical rows, chosen columns, moderate units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

#: Root mean squares within this range are left as they are, so that constants keep their meaning.
MODERATE = (1e-3, 1e4)


@dataclass(frozen=True, slots=True)
class Problem:
    """Fit rows in moderate units, and the way back to the user's.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_kept)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
        How many of the user's rows a row stands for.
    kept : tuple of int
        The user's column behind each column of ``X``.
    x_scale : ndarray of shape (n_kept,)
        ``X = user's column / x_scale``; powers of ten, mostly 1.
    y_scale : float
        ``y = user's target / y_scale``.
    """

    X: Array
    y: Array
    weights: Array | None
    kept: tuple[int, ...]
    x_scale: Array
    y_scale: float

    def to_user(self, tree: Tree) -> Tree:
        """The formula in the user's columns and units."""
        out = tree
        for i in range(tree.size - 1, -1, -1):
            if tree.symbols[i] >= VARIABLE:
                j = tree.symbols[i] - VARIABLE
                leaf = Tree((VARIABLE + self.kept[j],))
                if self.x_scale[j] != 1.0:
                    leaf = Tree.apply("mul", Tree.constant(1.0 / self.x_scale[j]), leaf)
                out = out.replace(i, leaf)
        if self.y_scale != 1.0:
            if out.symbols == (CONSTANT,):
                return Tree.constant(out.constants[0] * self.y_scale)
            out = Tree.apply("mul", Tree.constant(self.y_scale), out)
        return out


def prepare(X: Array, y: Array, weights: Array | None, max_features: int) -> Problem:
    """Merge equal rows, choose columns, and bring extreme units to moderate ones.

    Rows are sorted and equal ones merged into one with the sum of their weights, so that a
    repeated row and a weight of 2 are the same fit, and the order of rows does not matter.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
        Rows of weight 0 are left out.
    max_features : int
        Most columns kept; see ``rank_columns``.
    """
    if weights is not None:
        X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
    rows, inverse = np.unique(np.column_stack([X, y]), axis=0, return_inverse=True)
    counts = np.bincount(
        inverse.ravel(),
        weights=np.ones(len(y)) if weights is None else weights,
        minlength=len(rows),
    )
    X, y = rows[:, :-1], rows[:, -1]
    kept = tuple(sorted(rank_columns(X, y)[:max_features]))
    X = X[:, kept]
    x_scale = np.array([_unit(X[:, j]) for j in range(X.shape[1])])
    y_scale = _unit(y)
    return Problem(
        np.ascontiguousarray(X / x_scale),
        y / y_scale,
        None if (counts == 1.0).all() else counts,
        kept,
        x_scale,
        y_scale,
    )


def _unit(column: Array) -> float:
    """1 for a column of moderate size, else the power of ten next to its root mean square."""
    largest = float(np.abs(column).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    rms = largest * float(np.sqrt(np.mean((column / largest) ** 2)))
    if MODERATE[0] <= rms <= MODERATE[1]:
        return 1.0
    return 10.0 ** np.floor(np.log10(rms))


def rank_columns(X: Array, y: Array) -> list[int]:
    """Columns by what they seem to tell about ``y``, most first.

    The larger of the absolute correlations of values, of ranks, and of squared deviations from the
    mean, so that monotone and even dependences count; ties keep the column order.
    """
    from scipy.stats import rankdata

    def correlation(a: Array, b: Array) -> float:
        a, b = a - a.mean(), b - b.mean()
        scale = np.sqrt((a @ a) * (b @ b))
        return float(abs(a @ b) / scale) if np.isfinite(scale) and scale > 0 else 0.0

    def unit(a: Array) -> Array:
        centred = a - a.mean()
        top = np.abs(centred).max(initial=0.0)
        return centred / top if top > 0 else centred

    target, ranks = unit(y), rankdata(y)
    strength = []
    for j in range(X.shape[1]):
        x = unit(X[:, j])
        strength.append(
            max(
                correlation(x, target),
                correlation(rankdata(X[:, j]), ranks),
                correlation(x**2, target),
            )
        )
    return sorted(range(X.shape[1]), key=lambda j: (-strength[j], j))

"""Canonical coordinates of a table: merged rows, the columns searched on, moderate scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.domain import Domain
from equate_srbench.problem.floor import Floor
from equate_srbench.problem.resolution import DOUBLE, Resolution, resolution_of

Array = NDArray[np.float64]

#: Columns whose root mean square is in this range are not scaled, so that constants stay readable.
MODERATE = (1e-3, 1e4)
#: Most rows that a fit works on: more of them add time, not knowledge of the formula.
MAX_ROWS = 5000
#: Rows whose numbers show how a column was rounded.
SHOWN_ROWS = 2000
#: Powers of scales in this range neither overflow nor underflow.
EXTREME = (1e-30, 1e30)


@dataclass(frozen=True, slots=True)
class Problem:
    """Canonical rows of a table (merged, scaled, columns selected), and the way back to raw ones.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_kept)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
        Number of raw rows that a row stands for.
    kept : tuple of int
        The raw column behind each column of ``X``.
    x_scale : ndarray of shape (n_kept,)
        ``X = raw column / x_scale``; powers of ten, mostly 1.
    y_scale : float
        ``y = raw target / y_scale``.
    rows : ndarray of shape (n_all_rows, n_kept) or None
        All rows, where ``X`` is a sample of them.
    columns : tuple of Resolution
        Grid of each raw column that is kept; whole numbers and even spacings are not rounded.
    target : Resolution
        Grid of the raw target.
    """

    X: Array
    y: Array
    weights: Array | None
    kept: tuple[int, ...]
    x_scale: Array
    y_scale: float
    rows: Array | None
    columns: tuple[Resolution, ...]
    target: Resolution

    @property
    def floor(self) -> Floor:
        """Roundings of the rows."""
        units = np.append(self.x_scale, self.y_scale)
        return Floor(self.X, self.y, self.weights, self.target, self.columns, units)

    def roundings(self, names: Sequence[str], target: str = "y") -> list[str]:
        """How target and columns were rounded, such as ``y has 3 decimals``; one text each.

        Parameters
        ----------
        names : sequence of str
            Of all raw columns.
        target : str, default="y"
        """
        grids = [(self.target, target)]
        grids += [(grid, names[j]) for grid, j in zip(self.columns, self.kept, strict=True)]
        return [grid.describe(name) for grid, name in grids if grid.is_rounded]

    @property
    def extreme(self) -> bool:
        """Whether a scale is so large or small that its powers may overflow or underflow."""
        units = np.append(self.x_scale, self.y_scale)
        return bool((units < EXTREME[0]).any() or (units > EXTREME[1]).any())

    def of_columns(self, columns: list[int]) -> Problem:
        """The problem restricted to some columns of ``X``, in their order."""
        columns = sorted(columns)
        return replace(
            self,
            X=np.ascontiguousarray(self.X[:, columns]),
            kept=tuple(self.kept[j] for j in columns),
            x_scale=self.x_scale[columns],
            rows=None if self.rows is None else np.ascontiguousarray(self.rows[:, columns]),
            columns=tuple(self.columns[j] for j in columns),
        )

    def domain(self, n_features: int) -> Domain:
        """Ranges of the raw columns that are kept, and mean of the raw target."""
        rows = self.X if self.rows is None else self.rows
        own = Domain.of(rows * self.x_scale, self.y * self.y_scale, self.weights)
        low, high = np.full(n_features, -np.inf), np.full(n_features, np.inf)
        low[list(self.kept)], high[list(self.kept)] = own.low, own.high
        return Domain(low, high, own.mean)

    def raw_rows(self, X: Array, n_features: int) -> Array:
        """Canonical rows ``X`` in raw columns and units; columns that were left out are 0."""
        rows = np.zeros((len(X), n_features))
        rows[:, self.kept] = X * self.x_scale
        return rows

    def without_rows(self) -> Problem:
        """The problem without its rows: enough for the way back, and light in pickles."""
        return replace(self, X=self.X[:0], y=self.y[:0], weights=None, rows=None)

    def to_raw(self, tree: Tree) -> Tree:
        """The formula over raw columns, in raw units."""
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


def prepare(X: Array, y: Array, weights: Array | None) -> Problem:
    """Merge equal rows and scale columns of extreme size.

    Rows are sorted and equal ones merged into one with the sum of their weights, so that a
    repeated row and a weight of 2 are the same fit, and the order of rows does not matter. Of
    more than ``MAX_ROWS`` different rows an even sample is taken.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
        Whole numbers count rows. Others are relative: they are scaled to sum to the number of
        rows. Rows of weight 0 are left out.
    """
    if weights is not None:
        X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        if (weights != np.round(weights)).any():
            weights = weights / weights.max()
            weights = weights * (len(weights) / weights.sum())
    table = np.column_stack([X, y]) + 0.0  # no negative zeros: they equal zero but sort apart
    rows, inverse = np.unique(table, axis=0, return_inverse=True)
    counts = np.bincount(
        inverse.ravel(),
        weights=np.ones(len(y)) if weights is None else weights,
        minlength=len(rows),
    ).astype(np.float64)
    shown = rows[np.linspace(0, len(rows) - 1, min(len(rows), SHOWN_ROWS)).astype(np.int64)]
    columns = tuple(
        _column_resolution(few, every)
        for few, every in zip(shown[:, :-1].T, rows[:, :-1].T, strict=True)
    )
    target = resolution_of(shown[:, -1])
    x_scale = np.array([_scale_of(column) for column in rows[:, :-1].T])
    y_scale = (
        _scale_of(rows[:, -1]) if np.ptp(rows[:, -1]) > 0.0 else 1.0
    )  # exact to the last digit
    rows /= np.append(x_scale, y_scale)
    some: slice | NDArray[np.int64] = slice(None)
    if len(rows) > MAX_ROWS:  # rows are sorted: evenly spaced ones are a fair sample
        some = np.linspace(0, len(rows) - 1, MAX_ROWS).astype(np.int64)
    X, y, counts = rows[some, :-1], rows[some, -1], counts[some]
    return Problem(
        np.ascontiguousarray(X),
        np.ascontiguousarray(y),
        None if (counts == 1.0).all() else counts,
        tuple(range(len(x_scale))),
        x_scale,
        y_scale,
        rows[:, :-1] if len(y) < len(rows) else None,
        columns,
        target,
    )


def _column_resolution(shown: Array, column: Array) -> Resolution:
    """Grid of a column; whole numbers are counts, and what was planned was not rounded.

    Planned values are evenly spaced, each in as many rows.
    """
    found = resolution_of(shown)
    if not found.is_rounded or (column == np.rint(column)).all():
        return DOUBLE
    values, counts = np.unique(column, return_counts=True)
    gaps = np.diff(values)
    planned = np.ptp(gaps) <= 1e-6 * gaps.max() and np.ptp(counts) == 0
    return DOUBLE if planned else found


def _scale_of(column: Array) -> float:
    """Scale of a column: 1 if its size is moderate, else the power of ten below its RMS."""
    largest = float(np.abs(column).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    rms = largest * float(np.sqrt(np.mean((column / largest) ** 2)))
    if MODERATE[0] <= rms <= MODERATE[1]:
        return 1.0
    return float(10.0 ** np.clip(np.floor(np.log10(rms)), -300, 300))  # and so has an inverse


def bad_columns(X: Any) -> str:
    """Describe the columns of a DataFrame that are not finite numbers; empty if there are none."""
    if not hasattr(X, "columns") or not hasattr(X, "iloc"):
        return ""
    words, gaps = [], []
    for j, name in enumerate(X.columns):
        try:
            values = np.asarray(X.iloc[:, j], dtype=np.float64)
        except (ValueError, TypeError):
            words.append(str(name))
            continue
        if not np.isfinite(values).all():
            gaps.append(str(name))
    lines = []
    if words:
        lines.append(f"not numbers: {', '.join(words)} (encode or drop these columns first)")
    if gaps:
        lines.append(f"missing or infinite values: {', '.join(gaps)}")
    return "; ".join(lines)

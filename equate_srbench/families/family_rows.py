"""What all families share: a sample of the rows, the columns that matter, views, proposals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree
from equate_srbench.families.least_squares import DEPENDENT, FLOOR
from equate_srbench.families.term_trees import exponents_up_to, monomial_values
from equate_srbench.problem.target_views import (
    COMPOSITIONS,
    IDENTITY,
    TRANSFORMS,
    TargetView,
    monomial_factor,
    view,
)

Array = NDArray[np.float64]

#: Most rows that the families look at: they propose, and the archive judges on all rows.
MAX_ROWS = 300
#: Most rows that the choice of columns looks at.
SCREENED_ROWS = 1000
#: Most columns that the families look at, and how many of them whatever the surrogate says.
MAX_COLUMNS, ALWAYS = 8, 4
#: Distance from 0, in ranges, from which on a column is looked at less a round number.
FAR = 8.0
#: Most rows beyond ``OUTLYING`` times the typical residual for them to be outliers, as a share.
OUTLIERS, OUTLYING = 0.15, 10.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A formula for the target.

    Attributes
    ----------
    tree : Tree
        For ``y``, over canonical columns; scale and offset are fitted around it.
    family : str
    """

    tree: Tree
    family: str


@dataclass(frozen=True)
class FamilyRows:
    """Sampled rows of a table with the views of their target.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
        The target, divided by ``factor`` if there is one.
    weights : ndarray of shape (n_rows,) or None
    columns : tuple of int
        Those that matter, the most important first.
    trees : tuple of Tree
        What each column of ``X`` is, over canonical columns: the column itself, less a large
        number, or a group of columns.
    factor : Tree or None
        Over canonical columns.
    """

    X: Array
    y: Array
    weights: Array | None
    columns: tuple[int, ...]
    trees: tuple[Tree, ...]
    factor: Tree | None = None

    @property
    def n(self) -> int:
        """Number of sampled rows."""
        return len(self.y)

    @cached_property
    def views(self) -> tuple[TargetView, ...]:
        """All views that are defined on all rows, the identity first."""
        return _views_of(self.X, self.y, self.weights)

    def named(self, *names: str) -> list[TargetView]:
        """Views without a factor by the names of their transforms."""
        return [v for v in self.views if v.factor is None and v.transform.name in names]

    def written(self, tree: Tree) -> Tree:
        """A formula of these columns for ``y`` as one of canonical columns for the target."""
        out = substituted(tree, self.trees)
        return out if self.factor is None else Tree.apply("mul", self.factor, out)

    def at(self, rows: slice | NDArray[np.bool_]) -> FamilyRows:
        """Some of the rows, with the same columns."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, X=self.X[rows], y=self.y[rows], weights=weights)

    def over(self, trees: Sequence[Tree], factor: Tree | None = None) -> FamilyRows:
        """The same rows with other columns: functions ``trees`` of these; divided by ``factor``."""
        X = np.stack([evaluate(tree, self.X) for tree in trees], axis=1)
        out = replace(
            self, X=X, columns=tuple(range(len(trees))),
            trees=tuple(substituted(tree, self.trees) for tree in trees),
        )  # fmt: skip
        if factor is None:
            return out
        assert self.factor is None
        m = evaluate(factor, self.X)
        own = np.maximum((m / np.abs(m).max()) ** 2, 1e-12)  # a row of no weight is no row
        weights = own if self.weights is None else self.weights * own
        return replace(out, y=self.y / m, weights=weights, factor=substituted(factor, self.trees))

    def centred(self) -> FamilyRows | None:
        """Columns less a round number next to them, where they are far from 0; None if none is.

        Squares and exponentials of columns of a large offset have lost their digits, and no sum of
        their powers is short.
        """
        trees = [_centred(self.X[:, j], j) for j in range(self.X.shape[1])]
        if all(tree.size == 1 for tree in trees):
            return None
        return replace(self.over(trees), columns=self.columns)


def sampled(
    X: Array, y: Array, weights: Array | None, columns: Sequence[int], rng: np.random.Generator
) -> FamilyRows:
    """Sample at most ``SCREENED_ROWS`` in random order, and choose columns.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    columns : sequence of int
        Columns that may appear.
    rng : numpy Generator
    """
    rows = rng.permutation(len(y))[:SCREENED_ROWS]
    X, y = np.ascontiguousarray(X[rows]), y[rows]
    weights = None if weights is None else weights[rows]
    chosen = _important(X, y, _distinct(X, columns))
    trees = tuple(Tree.variable(j) for j in range(X.shape[1]))
    return FamilyRows(X, y, weights, tuple(chosen), trees)


def _centred(column: Array, j: int) -> Tree:
    """``x_j``, or ``x_j - c`` for the number of fewest digits in its range, where that is far."""
    low, high = float(column.min()), float(column.max())
    width = high - low
    x = Tree.variable(j)
    if not FAR * width < min(abs(low), abs(high)):
        return x
    for power in range(math.ceil(math.log10(abs(high))) + 1, -300, -1):
        unit = 10.0**power
        for share in (1.0, 0.5):
            near = round((0.5 * (low + high)) / (unit * share)) * unit * share
            if near != 0.0 and low - 0.3 * width <= near <= high + 0.3 * width:
                if near < 0.0:
                    return Tree.apply("add", x, Tree.constant(-near))
                return Tree.apply("sub", x, Tree.constant(near))
    return x


def substituted(tree: Tree, trees: Sequence[Tree]) -> Tree:
    """``tree`` with its columns replaced by ``trees``."""
    symbols: list[int] = []
    constants: list[float] = []
    values = iter(tree.constants)
    for symbol in tree.symbols:
        if symbol >= VARIABLE:
            symbols += trees[symbol - VARIABLE].symbols
            constants += trees[symbol - VARIABLE].constants
        else:
            symbols.append(symbol)
            if symbol == CONSTANT:
                constants.append(next(values))
    return Tree(symbols, constants)


def _views_of(X: Array, y: Array, weights: Array | None) -> tuple[TargetView, ...]:
    """All views that are defined on all rows, also of the quotient by a monomial factor."""
    factor = monomial_factor(X, y) if X.shape[1] <= MAX_COLUMNS else None
    out = [view(t, X, y, weights) for t in (*TRANSFORMS, *COMPOSITIONS)]
    if factor is not None:
        out += [view(t, X, y, weights, factor) for t in (*TRANSFORMS, *COMPOSITIONS)]
    return tuple(v for v in out if v is not None and np.isfinite(v.target).all())


def is_plain(seen: TargetView) -> bool:
    """Whether scale and offset of the target itself are those around the formula."""
    return seen.transform is IDENTITY and seen.factor is None


def floor_of(target: Array) -> float:
    """Share of the target's mean square that counts as no error: rounding of large offsets."""
    square = float(np.mean(target**2))
    share = float(np.var(target)) / square if square > 0.0 else 1.0
    return max(FLOOR * share, 1e-31)


def standardised(columns: Array) -> Array:
    """Columns without mean and of unit deviation; 0 where they are constant or overflow."""
    size = np.abs(columns).max(axis=0)
    out = columns / np.where(size > 0.0, size, 1.0)
    out = out - out.mean(axis=0)
    spread = out.std(axis=0)
    out = out / np.where(spread > 0.0, spread, 1.0)
    return np.where(np.isfinite(out), out, 0.0)


def bulk(values: Array) -> tuple[float, float]:
    """Middle and half width of the values, without a long tail at either end.

    Products of columns have such tails, and a grid over all of their range has no points where the
    rows are.
    """
    low, high = float(values.min()), float(values.max())
    below, above = np.quantile(values, [0.2, 0.8]).tolist()
    if not above > below:  # most values are alike
        return 0.5 * (low + high), 0.5 * (high - low)
    if (tail := low + 3.0 * (above - low)) < high:
        high = tail
    elif (tail := high - 3.0 * (high - below)) > low:
        low = tail
    return 0.5 * (low + high), 0.5 * (high - low)


def _distinct(X: Array, columns: Sequence[int]) -> list[int]:
    """Columns that vary, without copies of others."""
    out: list[int] = []
    for j in columns:
        column = X[:, j]
        if np.ptp(column) > 0.0 and not any(np.array_equal(column, X[:, i]) for i in out):
            out.append(j)
    return out


def _important(X: Array, y: Array, columns: list[int]) -> list[int]:
    """At most ``MAX_COLUMNS`` columns that a quadratic surrogate of ``y`` or its logarithm needs.

    Each column's share is what the fit loses without its terms. Beyond the first four, columns
    without a significant share are left out.
    """
    if len(columns) <= 1 or len(y) < 12:
        return columns[:MAX_COLUMNS]
    targets = [standardised(y[:, None])[:, 0]]
    if (y > 0.0).all() or (y < 0.0).all():
        targets.append(standardised(np.log(np.abs(y))[:, None])[:, 0])
    if len(columns) > MAX_COLUMNS:
        columns = _marginal(X, targets, columns)
    Z = standardised(X[:, columns])
    n, k = Z.shape
    degree = 2 if (k + 1) * (k + 2) // 2 <= n // 3 else 1
    exponents = exponents_up_to(k, degree)
    if len(exponents) > n // 2:
        return columns[:MAX_COLUMNS]
    A = monomial_values(Z, exponents)
    norms = np.linalg.norm(A, axis=0)
    q, r = np.linalg.qr(A / norms)
    if not (np.abs(np.diag(r)) > DEPENDENT).all():
        return columns
    inverse = np.linalg.inv(r)
    gram = inverse @ inverse.T
    ratio = np.zeros(k)
    for target in targets:
        inside = q.T @ target
        c = inverse @ inside
        noise = max(float(target @ target - inside @ inside), 1e-9 * n) / (n - len(c))
        for j in range(k):
            own = np.flatnonzero(exponents[:, j])
            lost = float(c[own] @ np.linalg.solve(gram[np.ix_(own, own)], c[own]))
            ratio[j] = max(ratio[j], lost / len(own) / noise)
    order = np.argsort(-ratio, kind="stable")
    kept = [j for i, j in enumerate(order.tolist()) if i < ALWAYS or ratio[j] > 2.0]
    return [columns[j] for j in kept[:MAX_COLUMNS]]


def _marginal(X: Array, targets: list[Array], columns: list[int]) -> list[int]:
    """The ``MAX_COLUMNS`` columns that cubics of single columns pick one after the other.

    Each is the one that explains most of what those before it leave of a target.
    """
    Z = standardised(X[:, columns])
    spaces = [np.linalg.qr(np.stack([z**0, z, z**2, z**3], axis=1))[0] for z in Z.T]
    chosen: list[int] = []
    rests = [target.copy() for target in targets]
    while len(chosen) < min(MAX_COLUMNS, len(columns)):
        sizes = [max(float(rest @ rest), 1e-300) for rest in rests]
        scores = np.array(
            [max(float(np.sum((q.T @ r) ** 2)) / n for r, n in zip(rests, sizes, strict=True))
             for q in spaces]
        )  # fmt: skip
        scores[chosen] = -1.0
        chosen.append(int(np.argmax(scores)))
        q, _ = np.linalg.qr(np.concatenate([spaces[i] for i in chosen], axis=1))
        rests = [target - q @ (q.T @ target) for target in targets]
    return [columns[i] for i in sorted(chosen)]


def outliers_of(rows: FamilyRows) -> NDArray[np.bool_] | None:
    """Rows far from a robust quadratic surface that carry most of the residual; None if none do.

    Iteratively reweighted least squares with Cauchy's weights (Holland & Welsch 1977).
    """
    Z = standardised(rows.X[:, rows.columns[:5]])
    target = standardised(rows.y[:, None])[:, 0]
    exponents = exponents_up_to(Z.shape[1], 2)
    if Z.shape[1] == 0 or len(exponents) > rows.n // 4:
        return None
    A = monomial_values(Z, exponents)
    weights = np.ones(rows.n)
    residual = target
    for _ in range(12):
        roots = np.sqrt(weights)
        c, *_ = np.linalg.lstsq(A * roots[:, None], target * roots, rcond=None)
        residual = target - A @ c
        width = 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        weights = 1.0 / (1.0 + (residual / (2.0 * width)) ** 2)
    far = np.abs(residual) > OUTLYING * width
    carried = float(np.sum(residual[far] ** 2)) / max(float(np.sum(residual**2)), 1e-300)
    return far if 0.0 < far.mean() <= OUTLIERS and carried > 0.8 else None

"""``Floor``: the error that the numbers of a table carry, whatever the formula.

Three roundings reach the target: of the target itself, of the columns through the formula's slopes,
and of the arithmetic. A formula whose residuals are no larger than these and show nothing else is
at the floor: the table cannot tell it from the law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.problem.decades import spans_decades
from equate_srbench.problem.randomness import looks_random
from equate_srbench.problem.resolution import DOUBLE, FEWEST, Resolution
from equate_srbench.problem.sensitivity import sensitivities

Array = NDArray[np.float64]

#: Relative error below which a formula counts as exact: float64 leaves about 1e-30.
EXACT = 1e-20
#: Most rows on which a formula's residuals are compared with the floor.
MAX_ROWS = 1000
#: Standard deviations by which the mean square of residuals may exceed that of the roundings.
DEVIATIONS = 5.0
#: Share of the roundings' mean square below which residuals say that nothing was rounded.
BELOW = 0.5
#: Steps that show whether residuals are uniform, in deviations of what the fit adds to them.
SHOWN = 12.0
#: Kolmogorov's statistic times the root of the rows above which residuals are not uniform (.0007).
UNIFORM = 2.0
#: Factor by which arithmetic may be less accurate than a rounding per operator says, and the most
#: of the variance that it may leave: a formula that cancels more is no law.
ARITHMETIC, MOST_ARITHMETIC = 10.0, 1e-12
#: A rounding to single precision in roundings to double precision; the most that it may leave.
SINGLE, MOST_SINGLE = 2.0**29, 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """Roundings of a canonical table.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    target : Resolution
        Grid of the raw target.
    columns : tuple of Resolution
        Grids of the raw columns, one each.
    units : ndarray of shape (n_columns + 1,)
        Raw units of the canonical columns and the target.
    """

    X: Array
    y: Array
    weights: Array | None
    target: Resolution
    columns: tuple[Resolution, ...]
    units: Array

    @classmethod
    def of_doubles(cls, X: Array, y: Array, weights: Array | None) -> Floor:
        """The floor of a table that was not rounded."""
        columns = (DOUBLE,) * X.shape[1]
        return cls(X, y, weights, DOUBLE, columns, np.ones(X.shape[1] + 1))

    @property
    def is_wide(self) -> bool:
        """Whether small values count as much as large ones: the target spans many decades."""
        return spans_decades(self.y)

    def mean_square(self) -> float:
        """Mean square of the target's own rounding; 0 in double precision."""
        if not self.target.is_rounded:
            return 0.0
        return float(np.average(self._target_steps(self.y) ** 2, weights=self.weights)) / 12.0

    def largest_rounding(self) -> float:
        """Half a step of the target, the median one over the rows; 0 in double precision."""
        return 0.5 * float(np.median(self._target_steps(self.y))) if self.target.is_rounded else 0.0

    @property
    def rounds_columns(self) -> bool:
        """Whether a column is rounded."""
        return any(grid.is_rounded for grid in self.columns)

    def _target_steps(self, y: Array) -> Array:
        return np.asarray(self.target.steps(y * self.units[-1]) / self.units[-1])

    def _column_steps(self, X: Array) -> Array:
        steps = np.zeros(X.shape)
        for j, grid in enumerate(self.columns):
            if grid.is_rounded:
                steps[:, j] = grid.steps(X[:, j] * self.units[j]) / self.units[j]
        return steps

    def reach(self, tree: Tree, variance: float) -> float:
        """Loss that a formula at the floor has at most, if its slopes are like those of ``tree``.

        Parameters
        ----------
        tree : Tree
        variance : float
            Loss of the best constant.
        """
        single = self.target.kind == "single"
        arithmetic = (MOST_SINGLE if single else MOST_ARITHMETIC) * variance
        if not self.rounds_columns:
            return max(arithmetic, 2.0 * self.mean_square())
        return max(arithmetic, 4.0 * self._through_columns(tree))

    def _through_columns(self, tree: Tree) -> float:
        """Mean square that the roundings of target and columns leave, at this formula's slopes."""
        X, y, w = self._rows()
        _, _, slopes = sensitivities(tree, X)
        reached = np.sum((slopes * self._column_steps(X)) ** 2, axis=1)
        if self.target.is_rounded:
            reached = reached + self._target_steps(y) ** 2
        return float(np.average(reached, weights=w)) / 12.0

    def disproof(self, tree: Tree, variance: float) -> float | None:
        """Loss below which another formula shows that this one is not at the floor; None if none.

        Tried in turn are arithmetic alone, the target's rounding, and the columns' as well.
        Residuals have to look random. Those of roundings have to stay within half a step on every
        row and to have the mean square of the rounding, and of the target's alone to be uniform.

        Parameters
        ----------
        tree : Tree
            The whole formula.
        variance : float
            Loss of the best constant.

        Returns
        -------
        float or None
            None if the residuals are more than the roundings.
        """
        X, y, w = self._rows()
        values, arithmetic, slopes = sensitivities(tree, X)
        residual = values - y
        if not np.isfinite(residual).all():
            return None
        arithmetic = ARITHMETIC**2 * (arithmetic + np.spacing(np.abs(y)) ** 2 / 12.0)
        if float(np.average(arithmetic, weights=w)) > MOST_ARITHMETIC * variance:
            arithmetic = np.zeros(len(y))
        loss = float(np.average(residual**2, weights=w))
        if self.is_wide and _mean_square(residual, arithmetic + EXACT * y**2, w) <= 1.0:
            return loss / ARITHMETIC**2
        if _is_arithmetic(residual, arithmetic, w, X):
            return loss / ARITHMETIC**2
        # constants that were fitted to rounded rows carry their share of the roundings to all rows
        free = (len(tree.constants) + 1.0) / len(self.y)
        own = self._target_steps(y) if self.target.is_rounded else np.zeros(len(y))
        level = float(np.average(own**2, weights=w)) / 12.0
        if level > 0.0 and _is_rounding(residual, own[:, None], arithmetic + free * level, w, X):
            shown = own > SHOWN * np.sqrt(free * level)
            if _is_uniform(residual[shown] / own[shown]):
                return BELOW * level
        single = self.target.kind == "single"  # the law may have been evaluated in it, too
        if single and _is_arithmetic(residual, SINGLE**2 * arithmetic, w, X):
            return loss / ARITHMETIC**2
        if self.rounds_columns:
            steps = np.column_stack([slopes * self._column_steps(X), own])
            level = float(np.average(np.sum(steps**2, axis=1), weights=w)) / 12.0
            if _is_rounding(residual, steps, arithmetic + free * level, w, X):
                return BELOW * level
        return None

    def _rows(self) -> tuple[Array, Array, Array | None]:
        some = np.linspace(0, len(self.y) - 1, min(len(self.y), MAX_ROWS)).astype(np.int64)
        return self.X[some], self.y[some], None if self.weights is None else self.weights[some]


def _is_arithmetic(residual: Array, variance: Array, weights: Array | None, X: Array) -> bool:
    """Whether residuals are no more than arithmetic leaves, and look random."""
    if not _mean_square(residual, variance, weights) <= 1.0:
        return False
    return _look_random(residual, weights, X)


def _is_rounding(
    residual: Array, steps: Array, more: Array, weights: Array | None, X: Array
) -> bool:
    """Whether residuals may be sums of roundings with these steps, of shape (rows, terms).

    ``more`` is the variance of what else is in them.
    """
    steps = np.abs(steps)
    largest = 0.5 * steps.sum(axis=1) + DEVIATIONS * np.sqrt(more)
    if not (np.abs(residual) <= (1.0 + 1e-6) * largest).all():
        return False
    variance = np.sum(steps**2, axis=1) / 12.0 + more
    found = _mean_square(residual, variance, weights)
    # the fourth moment of a uniform number is 9/5, of a sum of them up to 3 squared variances
    spread = 0.8 if np.count_nonzero(steps.any(axis=0)) == 1 else 2.0
    if not BELOW <= found <= 1.0 + DEVIATIONS * float(np.sqrt(spread / len(residual))):
        return False
    return _look_random(residual, weights, X)


def _look_random(residual: Array, weights: Array | None, X: Array) -> bool:
    """Whether residuals look random in the units in which their sum of squares is least."""
    return looks_random(X, residual if weights is None else np.sqrt(weights) * residual)


def _mean_square(residual: Array, variance: Array, weights: Array | None) -> float:
    """Mean of squares in units of their variances; a residual without variance has to be 0."""
    with np.errstate(all="ignore"):
        share = np.where(residual == 0.0, 0.0, residual**2 / variance)
    return float(np.average(share, weights=weights))


def _is_uniform(steps: Array) -> bool:
    """Kolmogorov's test of residuals in steps, which should be uniform in -1/2 .. 1/2."""
    n = len(steps)
    if n < FEWEST:
        return True
    place = np.sort(steps) + 0.5
    grid = np.arange(n + 1) / n
    distance = max(float((grid[1:] - place).max()), float((place - grid[:-1]).max()))
    return bool(distance * np.sqrt(n) <= UNIFORM)

"""The constants of one formula by least squares: the small solver behind ``Equation`` and ``snap``.

A fit of thousands of formulas belongs to ``refine``; this one serves single formulas, and so that
``expr`` stands on nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

_STEP = 6e-6  # cube root of a double's epsilon: best for central differences
_RANK = 1e-9  # a little above what those leave of a dependence


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of ``fit_constants``.

    Attributes
    ----------
    tree : Tree
        The formula with its fitted constants.
    loss : float
        Weighted mean squared residual; inf where the formula is not defined on a row.
    covariance : ndarray of shape (n_constants, n_constants)
        Covariance of the constants, from the residuals and the Jacobian; NaN when the data do not
        determine them, 0 for constants that were held.
    """

    tree: Tree
    loss: float
    covariance: Array


def mean_square(tree: Tree, X: Array, y: Array, weights: Array | None = None) -> float:
    """Weighted mean squared residual of ``tree``; inf where it is not defined on a row."""
    with np.errstate(all="ignore"):
        loss = float(np.average((evaluate(tree, X) - y) ** 2, weights=weights))
    return loss if np.isfinite(loss) else float("inf")


def fit_constants(
    tree: Tree,
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    held: Collection[int] = (),
    max_steps: int = 100,
) -> Fit:
    """Least-squares constants of ``tree``, started from those it has.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,), optional
        Not negative.
    held : collection of int, default=()
        Positions of constants that stay as they are.
    max_steps : int, default=100
        Levenberg-Marquardt evaluations per free constant.

    Returns
    -------
    Fit
        Never worse than the start.
    """
    n = len(tree.constants)
    free = [i for i in range(n) if i not in held]
    best = Fit(tree, mean_square(tree, X, y, weights), np.zeros((n, n)))
    if not free or not np.isfinite(best.loss):
        return best
    problem = _Problem(tree, X, y, weights, free)
    tight = float(4 * np.finfo(np.float64).eps)
    solved = least_squares(
        problem.residuals, problem.start, jac=problem.jacobian,
        method="lm" if len(y) >= len(free) else "trf",
        ftol=tight, xtol=tight, gtol=tight, max_nfev=max_steps * (len(free) + 1),
    )  # fmt: skip
    new, values = problem.tree(solved.x), solved.x
    loss = mean_square(new, X, y, weights)
    if not loss <= best.loss:
        new, loss, values = tree, best.loss, problem.start
    best.covariance[np.ix_(free, free)] = problem.covariance(values)
    return Fit(new, loss, best.covariance)


class _Problem:
    """Residuals by the free constants, in units in which all numbers are of size one.

    (Squares of a target of size 1e-200 would underflow, and the solver's own tolerances are
    absolute.)
    """

    def __init__(
        self, tree: Tree, X: Array, y: Array, weights: Array | None, free: list[int]
    ) -> None:
        self._tree, self._X, self._y, self._free = tree, X, y, free
        self._root = np.sqrt(weights) if weights is not None else np.ones(len(y))
        self._scale = float(np.max(np.abs(y), initial=0.0)) or 1.0
        constants = np.array(tree.constants, dtype=np.float64)[free]
        self._units = np.where(constants == 0.0, 1.0, np.abs(constants))
        self.start = constants / self._units

    def tree(self, values: Array) -> Tree:
        constants = np.array(self._tree.constants, dtype=np.float64)
        constants[self._free] = values * self._units
        return self._tree.with_constants(constants.tolist())

    def residuals(self, values: Array) -> Array:
        with np.errstate(all="ignore"):
            difference = evaluate(self.tree(values), self._X) - self._y
            out: Array = self._root * (difference / self._scale)
        # a step off the formula's domain must look bad, not stop the solver
        return np.where(np.isfinite(out), np.clip(out, -1e100, 1e100), 1e100)

    def jacobian(self, values: Array) -> Array:
        steps = _STEP * np.maximum(np.abs(values), 1e-3)
        pairs = [
            self.residuals(values + move) - self.residuals(values - move) for move in np.diag(steps)
        ]
        slopes: Array = np.array(pairs).T / (2.0 * steps)
        return slopes

    def covariance(self, values: Array) -> Array:
        """``s^2 (J'J)^-1``, ``s^2`` the residual variance; NaN if the data do not determine it."""
        jacobian = self.jacobian(values)
        n_rows, n_free = jacobian.shape
        norms = np.linalg.norm(jacobian, axis=0)
        if n_rows > n_free and np.all(norms > 0.0) and np.all(np.isfinite(norms)):
            # columns of length 1, since constants may matter very differently
            _, sizes, rows = np.linalg.svd(jacobian / norms, full_matrices=False)
            if sizes[-1] > _RANK * sizes[0]:
                variance = float(np.sum(self.residuals(values) ** 2)) / (n_rows - n_free)
                units = self._units / norms
                out: Array = variance * ((rows.T / sizes**2) @ rows) * np.outer(units, units)
                return out
        return np.full((n_free, n_free), np.nan)

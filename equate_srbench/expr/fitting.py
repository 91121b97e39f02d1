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
    free = [i for i in range(len(tree.constants)) if i not in held]
    root = np.sqrt(weights) if weights is not None else np.ones(len(y))
    scale = float(np.max(np.abs(y), initial=0.0)) or 1.0  # squares of 1e-200 would underflow
    start = np.array(tree.constants, dtype=np.float64)

    def with_free(values: Array) -> Tree:
        constants = start.copy()
        constants[free] = values
        return tree.with_constants(constants.tolist())

    def residuals(values: Array) -> Array:
        with np.errstate(all="ignore"):
            out: Array = root * ((evaluate(with_free(values), X) - y) / scale)
        # a step off the formula's domain must look bad, not stop the solver
        return np.where(np.isfinite(out), np.clip(out, -1e100, 1e100), 1e100)

    best = Fit(tree, mean_square(tree, X, y, weights), np.zeros((len(start), len(start))))
    if not free or not np.isfinite(best.loss):
        return best
    method = "lm" if len(y) >= len(free) else "trf"
    tight = float(4 * np.finfo(np.float64).eps)
    solved = least_squares(
        residuals, start[free], method=method, x_scale="jac" if method == "lm" else 1.0,
        ftol=tight, xtol=tight, gtol=tight, max_nfev=max_steps * (len(free) + 1),
    )  # fmt: skip
    new = with_free(solved.x)
    loss = mean_square(new, X, y, weights)
    if not loss <= best.loss:
        new, loss = tree, best.loss
    return Fit(new, loss, _covariance(solved.jac, loss, scale, root, free, len(start)))


def _covariance(
    jacobian: Array, loss: float, scale: float, root: Array, free: list[int], n_constants: int
) -> Array:
    """``s^2 (J'J)^-1`` over the free constants, with ``s^2`` the residual variance."""
    out = np.zeros((n_constants, n_constants))
    spare = len(root) - len(free)
    block = np.full((len(free), len(free)), np.nan)
    norms = np.linalg.norm(jacobian, axis=0)
    if spare > 0 and np.all(norms > 0.0) and np.all(np.isfinite(norms)):
        # columns of length 1, since constants may have very different sizes
        _, sizes, rows = np.linalg.svd(jacobian / norms, full_matrices=False)
        if sizes[-1] > 1e-12 * sizes[0]:
            variance = loss / scale**2 * float(np.sum(root**2)) / spare
            inverse = (rows.T / sizes**2) @ rows
            block = variance * inverse / np.outer(norms, norms)
    out[np.ix_(free, free)] = block
    return out

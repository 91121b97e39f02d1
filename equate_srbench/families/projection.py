"""Levenberg-Marquardt on the parameters that are left when linear ones are projected out.

Variable projection (Golub & Pereyra 1973) with Kaufman's (1975) Jacobian, which is what a family
gives: slopes with the span of the linear part taken out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
T = TypeVar("T")

#: Share of the target's sum of squares that is rounding, and relative gain that ends the steps.
ROUNDING, SMALL_GAIN = 1e-29, 1e-5


@dataclass(frozen=True, slots=True)
class Linear:
    """The linear part, by normal equations: they cost a tenth of a decomposition of the columns.

    A second solve on the residual restores the digits that they lose.

    Attributes
    ----------
    columns : ndarray of shape (n_rows, n_terms)
        Of unit length or so.
    inverse : ndarray of shape (n_terms, n_terms)
        Of their inner products.
    """

    columns: Array
    inverse: Array

    @classmethod
    def of(cls, columns: Array) -> Linear:
        """Of given columns."""
        gram = columns.T @ columns
        gram.flat[:: len(gram) + 1] *= 1.0 + 1e-13
        return cls(columns, np.asarray(np.linalg.inv(gram), dtype=np.float64))

    def solve(self, target: Array) -> tuple[Array, Array]:
        """Coefficients and residual of a target, (n_terms,) and (n_rows,)."""
        c = self.inverse @ (self.columns.T @ target)
        more = self.inverse @ (self.columns.T @ (target - self.columns @ c))
        c = c + more
        return c, target - self.columns @ c

    def outside(self, values: Array) -> Array:
        """What the columns do not explain of ``values``, (n_rows, n_values)."""
        return np.asarray(values - self.columns @ (self.inverse @ (self.columns.T @ values)))


def projected(
    start: T,
    linearised: Callable[[T], tuple[Array, Array] | None],
    moved: Callable[[T, Array], T],
    total: float,
    *,
    steps: int,
) -> tuple[T, float]:
    """The best parameters, and the share of the target that they leave.

    Parameters
    ----------
    start : object
        Parameters.
    linearised : callable
        Parameters -> (Jacobian of shape (n_rows, n_parameters), residual of shape (n_rows,)), both
        orthogonal to the linear part; None where it is undefined.
    moved : callable
        Parameters and a step -> parameters.
    total : float
        Sum of squares of the target.
    steps : int
        Most evaluations.

    Returns
    -------
    tuple of object and float
        The error is inf if ``start`` is undefined.
    """
    best, at, error, damping = start, start, math.inf, 1e-2
    jacobian, rest = np.zeros((1, 0)), np.zeros(1)
    for _ in range(steps):
        state = linearised(at)
        left = math.inf if state is None else float(state[1] @ state[1]) / total
        if state is not None and left < error:
            gained = 1.0 - left / error
            jacobian, rest = state
            best, error, damping = at, left, max(0.1 * damping, 1e-12)
            if error < ROUNDING or gained < SMALL_GAIN:
                break
        else:
            damping = 20.0 * max(damping, 1e-6)
        if jacobian.shape[1] == 0:
            break
        normal = jacobian.T @ jacobian
        diagonal = np.diag(normal)
        normal = normal + np.diag(damping * diagonal + 1e-14 * diagonal.max() + 1e-300)
        if not np.isfinite(normal).all():
            break
        step = np.asarray(np.linalg.solve(normal, jacobian.T @ rest), dtype=np.float64)
        at = moved(best, step)
    return best, error

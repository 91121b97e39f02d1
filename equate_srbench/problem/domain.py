"""Finite predictions on rows where a formula is undefined."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from equate_srbench.equation import Equation
from equate_srbench.expr.evaluate import evaluate

Array = NDArray[np.float64]


class UndefinedWarning(RuntimeWarning):
    """The formula is undefined on some rows; a nearby value was predicted there."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Ranges of the columns and mean of the target seen in a fit.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        Smallest and largest value of each column; infinite where nothing is known.
    mean : float
        Of the target.
    """

    low: Array
    high: Array
    mean: float

    @classmethod
    def of(cls, X: Array, y: Array, weights: Array | None = None) -> Self:
        """Ranges and mean of a table."""
        return cls(X.min(axis=0), X.max(axis=0), float(np.average(y, weights=weights)))

    def predict(self, equation: Equation, X: Array) -> Array:
        """Values of a formula, all of them finite.

        Where it is undefined (a pole, the logarithm of a negative number: mostly rows outside of
        what the fit has seen) its columns are moved into the ranges of the fit rows; where that
        does not help, the answer is the mean of the target.

        Parameters
        ----------
        equation : Equation
        X : ndarray of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows,)

        Warns
        -----
        UndefinedWarning
            With the number of such rows and the first of them.
        """
        with np.errstate(all="ignore"):
            values = evaluate(equation.tree, X)
            rows = np.flatnonzero(~np.isfinite(values))
            if not len(rows):
                return values
            near = evaluate(equation.tree, np.clip(X[rows], self.low, self.high))
        warnings.warn(
            f"the formula is undefined on {len(rows)} of {len(X)} rows, row {rows[0]} the first: "
            "predicted there with the columns moved into the ranges of the fit rows, or the mean "
            "of the target. Its own values: equation_.predict(X)",
            UndefinedWarning,
            stacklevel=3,
        )
        out = values.copy()
        out[rows] = np.where(np.isfinite(near), near, self.mean)
        return out

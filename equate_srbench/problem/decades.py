"""Targets over many decades, where the squared error sees only the largest values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Decades between the tenth and the ninetieth percentile of a target's size that are many.
MANY = 3.0
#: Smallest size that has its own weight, as a percentile: relative errors near 0 say nothing.
SMALLEST = 2.0


def spans_decades(y: Array) -> bool:
    """Whether most of what the target says is lost in its squared error.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    """
    size = np.abs(y[y != 0.0])
    if len(size) < 10:
        return False
    low, high = np.percentile(np.log10(size), [10.0, 90.0])
    return bool(high - low > MANY)


def relative_weights(y: Array, weights: Array | None) -> Array:
    """Weights that make squared errors relative ones, of the same sum as before.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    size = np.abs(y)
    size = np.maximum(size, np.percentile(size[size > 0.0], SMALLEST))
    given = np.ones(len(y)) if weights is None else weights
    relative = given * (size.min() / size) ** 2
    return np.asarray(relative * (given.sum() / relative.sum()))

"""Values far from the others, and codes for missing values among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: What instruments write for a missing value: nines of either sign.
_CODES = [sign * (10.0**n - 1.0) for n in range(2, 8) for sign in (-1, 1)]


def is_far(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Values beyond Tukey's outer fences (Exploratory Data Analysis, 1977).

    These are three times the interquartile range from the quartiles; a column more than half of
    which is one value has none.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        NaN is not far.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(len(values), dtype=bool)
    low, high = np.quantile(finite, [0.25, 0.75])
    reach = 3.0 * (high - low)
    far: NDArray[np.bool_] = (values < low - reach) | (values > high + reach)
    return far & bool(reach > 0.0)


def is_code(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Values such as -9999 that are far from the others: perhaps codes for missing ones."""
    return is_far(values) & np.isin(values, _CODES)

"""Whether residuals look like noise: nothing in the columns tells them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

#: Rows that are looked at.
MAX_ROWS = 1000
#: Standard deviations beyond which a pattern is none of chance.
DEVIATIONS = 4.0
#: Nearest neighbours whose mean is compared with a row.
NEIGHBOURS = 3


def looks_random(X: Array, residual: Array) -> bool:
    """Whether neither a row's neighbours nor squares and products of columns tell its residual.

    Two tests, each at ``DEVIATIONS`` standard deviations: correlation with the mean of the nearest
    neighbours' residuals in standardised columns (Moran 1950), and the share that a quadratic
    surface explains.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    residual : ndarray of shape (n_rows,)
    """
    some = np.linspace(0, len(X) - 1, min(len(X), MAX_ROWS)).astype(np.int64)
    X, residual = X[some], residual[some]
    n = len(residual)
    spread = float(residual.std())
    if n < 2 * NEIGHBOURS or not spread > 0.0 or not np.isfinite(spread):
        return True
    r = (residual - residual.mean()) / spread
    Z = X[:, np.ptp(X, axis=0) > 0.0]
    if not Z.shape[1]:
        return True
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    _, near = cKDTree(Z).query(Z, k=NEIGHBOURS + 1)
    around = r[near[:, 1:]].mean(axis=1)
    # mutual neighbours share their product, which doubles its variance at most
    if float(r @ around) > DEVIATIONS * np.sqrt(2.0 * n / NEIGHBOURS):
        return False
    return not _has_surface(Z, r)


def _has_surface(Z: Array, r: Array) -> bool:
    """Whether a quadratic surface explains more of ``r`` than of noise."""
    n, p = Z.shape
    pairs = [(i, j) for i in range(p) for j in range(i, p)]
    columns = [np.ones(n), *Z.T, *(Z[:, i] * Z[:, j] for i, j in pairs)]
    if len(columns) > n // 4:
        columns = columns[: p + 1]
    if len(columns) > n // 4:
        return False
    q, _ = np.linalg.qr(np.column_stack(columns))
    k = len(columns) - 1
    explained = float(np.sum((q.T @ r) ** 2))  # chi-square of k degrees of freedom for noise
    return bool(explained > k + DEVIATIONS * np.sqrt(2.0 * k))

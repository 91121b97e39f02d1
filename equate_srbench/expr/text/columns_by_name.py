"""Tables of any type as the numeric columns that a formula reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_table(
    X: Any, names: Sequence[str], used: Sequence[int], *, named: bool, wider: bool = False
) -> NDArray[np.float64]:
    """Read the columns of a formula from a table.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Columns of a DataFrame are found by name, those of an array by position.
    names : sequence of str
        Columns of the formula.
    used : sequence of int
        Positions in ``names`` that the formula needs; other columns of a DataFrame may hold
        anything or be missing.
    named : bool
        Whether ``names`` are labels. If not, a DataFrame with other labels is read by position.
    wider : bool, default=False
        Whether a table read by position may have further columns.

    Returns
    -------
    ndarray of shape (n_rows, n_names or more)
        Columns that are not used may be zero.

    Raises
    ------
    ValueError
        If columns are missing or the number of columns is wrong.
    """
    if not hasattr(X, "columns"):
        return _by_position(np.asarray(X), len(names), wider)
    labels = {str(label): label for label in X.columns}
    missing = [names[j] for j in used if names[j] not in labels]
    if missing and not named:
        return _by_position(X.to_numpy(), len(names), wider)
    if missing:
        raise ValueError(f"columns missing from the table: {', '.join(missing)}")
    out = np.zeros((len(X), len(names)))
    for j in used:
        out[:, j] = np.asarray(X[labels[names[j]]], dtype=np.float64)
    return out


def _by_position(X: NDArray[Any], n: int, wider: bool) -> NDArray[np.float64]:
    if X.ndim != 2:
        raise ValueError(f"expected a two-dimensional table, got shape {X.shape}")
    if X.shape[1] < n or (X.shape[1] > n and not wider):
        raise ValueError(f"{X.shape[1]} columns, the formula expects {n}")
    return X.astype(np.float64)

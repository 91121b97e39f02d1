"""Tables of any make as the columns that a formula reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_table(
    X: Any, names: Sequence[str], used: Sequence[int], *, named: bool
) -> NDArray[np.float64]:
    """Numbers for a formula over columns ``names`` of which it uses those at ``used``.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_rows, n_columns)
        A table with column names is read by name, anything else by position.
    names : sequence of str
    used : sequence of int
        Other columns of a DataFrame may hold anything or be missing.
    named : bool
        Whether ``names`` come from the user; default names also fit tables with other ones.

    Returns
    -------
    ndarray of shape (n_rows, n_names or more)
        Columns that are not used may be zero.

    Raises
    ------
    ValueError
        For missing columns or another number of columns.
    """
    if not hasattr(X, "columns"):
        return _by_position(np.asarray(X), len(names), named)
    labels = {str(label): label for label in X.columns}
    missing = [names[j] for j in used if names[j] not in labels]
    if missing and not named:
        return _by_position(X.to_numpy(), len(names), named)
    if missing:
        raise ValueError(f"columns missing from the table: {', '.join(missing)}")
    out = np.zeros((len(X), len(names)))
    for j in used:
        out[:, j] = np.asarray(X[labels[names[j]]], dtype=np.float64)
    return out


def _by_position(X: NDArray[Any], n: int, named: bool) -> NDArray[np.float64]:
    if X.ndim != 2:
        raise ValueError(f"expected a table of rows and columns, got shape {X.shape}")
    if X.shape[1] != n and (named or X.shape[1] < n):
        raise ValueError(f"{X.shape[1]} columns, the formula expects {n}")
    return X.astype(np.float64)

"""Columns that become numbers without a meaning, or an error without a name, in scikit-learn."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_TIMES = ("m", "M")  # kinds of NumPy's types
_WAY_OUT = {
    "dates": "turn them into elapsed time, as (column - column.min()).dt.total_seconds()",
    "sparse columns": "make them dense with .sparse.to_dense()",
    "complex numbers": "give real and imaginary part as two columns. Complex data not supported",
}


def refuse_columns(X: Any, *y: Any) -> None:
    """Refuse dates, which would become nanoseconds, sparse columns and complex numbers, by name.

    Parameters
    ----------
    X : DataFrame or array-like
    *y : Series or array-like
        The target, where there is one.

    Raises
    ------
    ValueError
        It names the kind, the columns, and the way out. Other types are left to scikit-learn.
    """
    found: dict[str, list[str]] = {}
    for name, column in [*_columns(X), *(("y", target) for target in y)]:
        if kind := _kind(column):
            found.setdefault(kind, []).append(name)
    if found:
        raise ValueError(
            "; ".join(f"{kind}: {', '.join(names)} ({_WAY_OUT[kind]})"
                      for kind, names in found.items())
        )  # fmt: skip


def _columns(X: Any) -> list[tuple[str, Any]]:
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        return [(str(name), X.iloc[:, j]) for j, name in enumerate(X.columns)]
    return [("X", X)] if getattr(getattr(X, "dtype", None), "kind", "") in _TIMES else []


def _kind(column: Any) -> str:
    dtype = getattr(column, "dtype", None)
    if getattr(dtype, "kind", "") in _TIMES or str(dtype).startswith(("period", "date", "time")):
        return "dates"
    if str(dtype).startswith("Sparse"):
        return "sparse columns"
    if getattr(dtype, "kind", "") == "c" and hasattr(column, "iloc"):
        return "complex numbers"
    if getattr(dtype, "kind", "") == "O" and hasattr(column, "iloc") and len(column):
        present = column[column.notna()]
        return "dates" if len(present) and isinstance(present.iloc[0], _DATES) else ""
    return ""

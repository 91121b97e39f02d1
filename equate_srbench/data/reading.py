"""Read tables from files; errors name the file, column and value."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.data import SHIPPED
from equate_srbench.runtime.hints import did_you_mean

_TEXT = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": None}
_PARQUET = (".parquet", ".pq")
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class TableError(ValueError):
    """A table cannot be used as requested; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """Features and target of a table.

    Attributes
    ----------
    X : DataFrame of shape (n_rows, n_features), float64
        Finite everywhere, at least one column.
    y : Series of shape (n_rows,), float64
        Named after the target column.
    notes : tuple of str
        What was omitted, one line each.
    """

    X: pd.DataFrame
    y: pd.Series
    notes: tuple[str, ...] = ()


def read_table(source: str) -> pd.DataFrame:
    """Read a bundled table by name, or a CSV, TSV or Parquet file, optionally compressed.

    Parameters
    ----------
    source : str
        A name in ``SHIPPED`` or a path. An existing file wins over a name.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        At least one row and one column; all column names are text.

    Raises
    ------
    TableError
        If the file does not exist, has an unknown type, or has no rows.
    """
    path = Path(source)
    if not path.exists():
        if source not in SHIPPED:
            raise TableError(
                f"no file {source!r} and no bundled table of that name"
                f" ({', '.join(SHIPPED)}){did_you_mean(source, SHIPPED)}"
            )
        path = SHIPPED[source].path
    if path.is_dir():
        raise TableError(f"{source!r} is a folder, not a table")
    try:
        frame = _read(path)
    except (OSError, EOFError, zlib.error, ValueError, ImportError) as error:
        # parser, decoding and Arrow errors are ValueErrors
        raise TableError(f"cannot read {source!r}: {_one_line(error)}") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    if frame.empty:
        raise TableError(f"{source!r} has no rows")
    doubled = sorted(set(frame.columns[frame.columns.duplicated()]))
    if doubled:
        raise TableError(f"{source!r} has more than one column {doubled[0]!r}")
    return frame


def load_table(source: str, target: str = "", features: Sequence[str] = ()) -> LoadedTable:
    """Read a table and split it into features and target.

    Parameters
    ----------
    source : str
        As ``read_table`` takes it.
    target : str, optional
        A shipped table has one of its own.
    features : sequence of str, optional
        Both as ``split_columns`` takes them.

    Raises
    ------
    TableError
        For tables and columns that cannot be used.
    """
    frame = read_table(source)
    if not target and source not in SHIPPED:
        names = ", ".join(map(repr, frame.columns[:20]))
        raise TableError(f"which column should be predicted? Give target, one of {names}")
    return split_columns(frame, target or SHIPPED[source].target, list(features) or None)


def _read(path: Path) -> pd.DataFrame:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind in _PARQUET:
        return pd.read_parquet(path)
    if kind not in _TEXT:
        raise TableError(
            f"unknown kind {kind!r}: use .csv, .tsv, .txt or .parquet, optionally compressed"
        )
    separator = _TEXT[kind]
    engine = "c" if separator else "python"  # only the Python engine guesses a separator
    # encoding: spreadsheet programs put a byte order mark before the first column's name
    how: dict[str, Any] = {"sep": separator, "engine": engine, "encoding": "utf-8-sig"}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **how).iloc[0]
    names = [str(name).strip() for name in header.fillna("")]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if len(names) == 1 and (other := next((c for c in ";\t|" if c in names[0]), None)):
        raise ValueError(
            f"its fields are separated by {other!r}: name it .tsv for tabs, .txt for anything else"
        )
    if doubled:  # pandas would number them
        raise ValueError(f"more than one column {doubled[0]!r}")
    with warnings.catch_warnings():
        # rows longer than the header, of which pandas would drop the end
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False, **how)
        except pd.errors.ParserWarning:
            raise ValueError(
                f"rows have more fields than the header, which has {len(names)}"
            ) from None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


def split_columns(
    frame: pd.DataFrame, target: str, features: Sequence[str] | None = None
) -> LoadedTable:
    """Split a table into features and target as finite floats.

    Columns without any number (names, labels) are omitted with a note unless they were
    requested. Boolean columns count as 0 and 1.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
    target : str
        Column to predict.
    features : sequence of str, optional
        Columns to predict from; default all others.

    Returns
    -------
    LoadedTable

    Raises
    ------
    TableError
        If a column is missing, or has text, gaps or infinities among its numbers.
    """
    for name in (target, *(features or ())):
        if name not in frame.columns:
            raise TableError(
                f"no column {name!r} among {_some(frame.columns)}"
                f"{did_you_mean(name, frame.columns)}"
            )
    if features is not None and target in features:
        raise TableError(f"{target!r} cannot be both target and feature")
    for name in features or ():
        if list(features or ()).count(name) > 1:
            raise TableError(f"feature {name!r} is given more than once")
    y = _numbers(frame[target], "target column")
    columns, labels = {}, []
    for name in features if features is not None else frame.columns.drop(target):
        if features is None and _is_label(frame[name]):
            labels.append(name)
        else:
            columns[name] = _numbers(frame[name], "column")
    if not columns:
        raise TableError(f"no numeric column to predict {target!r} from")
    notes = (f"left out, not numbers: {_some(labels)}",) if labels else ()
    return LoadedTable(pd.DataFrame(columns), pd.Series(y, name=target), notes)


def _some(names: Iterable[str], limit: int = 8) -> str:
    """At most ``limit`` names in quotes, and the number of further ones."""
    names = [repr(str(name)) for name in names]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _is_label(column: pd.Series) -> bool:
    """Whether no value of the column is a number: it holds names or labels."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    return bool(np.isnan(_coerced(column)).all())


def _coerced(column: pd.Series) -> NDArray[np.float64]:
    """The column as float64, NaN where a value is not a number."""
    try:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError:  # a whole number of more than 308 digits
        raise TableError(f"column {column.name!r} holds a number beyond 1e308") from None
    return np.asarray(values)


def _numbers(column: pd.Series, role: str) -> NDArray[np.float64]:
    """The column as finite float64 of shape (n_rows,)."""
    if pd.api.types.is_complex_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise TableError(f"{role} {column.name!r} holds {column.dtype}, not real numbers")
    values = _coerced(column)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        first = column.iloc[bad[0]]
        what = "is empty" if pd.isna(first) else f"holds {str(first)!r}"
        count = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
        raise TableError(
            f"{role} {column.name!r} {what} in row {bad[0] + 1}{count}: numbers needed"
        )
    return values

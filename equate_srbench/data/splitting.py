"""Split a table into features and target; errors name the line, the column and the value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.data.dates import has_dates
from equate_srbench.data.numerals import is_missing, is_numeral, number
from equate_srbench.data.outliers import is_code
from equate_srbench.data.table import LoadedTable, Table, TableError, counted, quoted
from equate_srbench.runtime.hints import did_you_mean

Array = NDArray[np.float64]


def split_columns(
    table: Table,
    target: str,
    features: Sequence[str] | None = None,
    *,
    missing: str = "refuse",
) -> LoadedTable:
    """Split a table into features and target as finite floats.

    Columns without any number (names, labels) are left out with a note unless they were
    requested. Boolean columns count as 0 and 1. Rows without a target are left out with a note.

    Parameters
    ----------
    table : Table
    target : str
        Column to predict.
    features : sequence of str, optional
        Columns to predict from; default all others.
    missing : {"refuse", "drop"}, default="refuse"
        Rows with an empty cell in a feature are an error or left out, with a note.

    Returns
    -------
    LoadedTable

    Raises
    ------
    TableError
        If a column does not exist, or has text, dates or infinities among its numbers.
    """
    frame = table.frame
    target, features = _existing(table, target, features)
    y = _numbers(table, target, "target column")
    columns, labels = {}, []
    for name in features if features is not None else frame.columns.drop(target):
        if features is None and _is_label(frame[name]):
            labels.append(name)
        else:
            columns[name] = _numbers(table, name, "column")
    if not columns:
        raise TableError(f"no numeric column to predict {target!r} from")
    kept, dropped = _complete_rows(table, target, y, columns, missing)
    notes = [*_understood(table, dropped), *table.notes]
    for name, column in [*columns.items(), (target, y)]:
        if (codes := is_code(column)).any():
            notes.append(
                f"{name!r} holds {column[codes][0]:g} in {counted(int(codes.sum()), 'row')}: if it "
                "is a code for a missing value, empty these cells"
            )
    if labels:
        notes.append(
            f"left out, not numbers: {quoted(labels)} (encode categories as columns of 0 and 1)"
        )
    X = pd.DataFrame({name: column[kept] for name, column in columns.items()})
    units = {name: unit for name, unit in table.units.items() if name in {*columns, target}}
    return LoadedTable(X, pd.Series(y[kept], name=target), tuple(notes), units)


def _existing(
    table: Table, target: str, features: Sequence[str] | None
) -> tuple[str, list[str] | None]:
    """Names of columns that exist; a name may be given with its unit, as in the file."""
    frame = table.frame
    with_units = {f"{name} [{unit}]": name for name, unit in table.units.items()}
    target, *given = (
        name if name in frame.columns else with_units.get(name, name)
        for name in (target, *(features or ()))
    )
    for name in (target, *given):
        if name not in frame.columns:
            unnamed = " (it has no header)" if "no header" in table.understood else ""
            raise TableError(
                f"no column {name!r} among {quoted(frame.columns)}{unnamed}"
                f"{did_you_mean(name, frame.columns)}"
            )
    if target in given:
        raise TableError(f"{target!r} cannot be both target and feature")
    for name in given:
        if given.count(name) > 1:
            raise TableError(f"feature {name!r} is given more than once")
    return target, None if features is None else given


def _understood(table: Table, dropped: list[str]) -> list[str]:
    """What the file was taken for, its size, and rows that were left out, in one line."""
    if not table.understood:
        return dropped
    rows, columns = table.frame.shape
    size = [counted(columns, "column"), counted(rows, "row")]
    units = [f"{name} in {unit}" for name, unit in table.units.items()]
    return [", ".join([*table.understood, *units, *size, *dropped])]


def _complete_rows(
    table: Table, target: str, y: Array, columns: dict[str, Array], missing: str
) -> tuple[NDArray[np.bool_], list[str]]:
    """Rows without an empty cell, and what is said about the others."""
    kept = ~np.isnan(y)
    if not kept.any():
        raise TableError(f"target column {target!r} is empty")
    words = []
    if not kept.all():
        words.append(f"{counted(int((~kept).sum()), 'row')} left out: no {target}")
    for name, column in columns.items():
        gaps = np.isnan(column) & kept
        if not gaps.any():
            continue
        if missing == "refuse":
            more = f" ({counted(int(gaps.sum()), 'such row')})" if gaps.sum() > 1 else ""
            raise TableError(
                f"column {name!r} is empty in {table.where(int(gaps.argmax()))}{more}: fill it, "
                "leave such rows out with --missing drop, or choose other columns with --features"
            )
        words.append(f"{counted(int(gaps.sum()), 'row')} left out: no {name}")
        kept &= ~gaps
    if not kept.any():
        raise TableError("no row has a value in every column: choose columns with --features")
    return kept, words


def _is_label(column: pd.Series) -> bool:
    """Whether no value of the column is a number: it holds names or labels."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    return not has_dates(column) and bool(np.isnan(numbers_of(column)).all())


def numbers_of(column: pd.Series) -> Array:
    """The column as float64, NaN where a cell has no number; text has none, once it was read."""
    if pd.api.types.is_complex_dtype(column):
        return np.full(len(column), np.nan)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.array([_value(value) for value in column], dtype=np.float64)


def _value(value: object) -> float:
    if isinstance(value, str):
        return np.inf if is_numeral(value) and number(value) is None else np.nan
    try:
        return float(value)  # type: ignore[arg-type] # whatever the cell holds
    except (ValueError, TypeError):
        return np.nan
    except OverflowError:
        return np.inf


def _numbers(table: Table, name: str, role: str) -> Array:
    """The column as float64 of shape (n_rows,), NaN where it is empty.

    Raises
    ------
    TableError
        If a cell holds something else than a finite number.
    """
    column = table.frame[name]
    if pd.api.types.is_complex_dtype(column):
        raise TableError(
            f"{role} {name!r} holds {column.dtype}, not real: choose columns with --features"
        )
    if has_dates(column):
        first = next(value for value in column if not is_missing(value))
        raise TableError(
            f"{role} {name!r} holds dates ({str(first)!r}), not numbers: --dates days or --dates "
            "seconds makes them elapsed time, or choose other columns with --features"
        )
    values = numbers_of(column)
    bad = ~np.isfinite(values)
    bad[bad] = ~column[bad].map(is_missing).to_numpy(dtype=bool)
    if bad.any():
        row = int(bad.argmax())
        value = str(column.iloc[row])
        count = f" ({counted(int(bad.sum()), 'such row')})" if bad.sum() > 1 else ""
        raise TableError(
            f"{role} {name!r} holds {value[:60]!r} in {table.where(row)}{count}, not a "
            f"{'finite ' if np.isinf(values[row]) else ''}number: "
            + ("mend it" if role != "column" else "mend it, or choose columns with --features")
        )
    return values

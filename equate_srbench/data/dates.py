"""Columns of dates and times, and the time elapsed since the earliest one."""

from __future__ import annotations

import datetime
import re
import warnings

import numpy as np
import pandas as pd

from equate_srbench.data.numerals import is_missing
from equate_srbench.data.table import ELAPSED, Table, TableError

_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?"
_ZONE = r"(?:Z| ?[+-]\d{2}:?\d{2}| UTC)?"
_ZONED = r":\d{2}(?:[.,]\d+)?(?:Z| ?[+-]\d{2}:?\d{2}| UTC)$"
_ISO = rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}(?:[T ]{_TIME}{_ZONE})?"
_DAY_MONTH = r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)"
_NUMBERED = rf"{_DAY_MONTH}\d{{2,4}}(?:,? {_TIME})?"
_MONTH = rf"\d{{1,2}}[ -][A-Z][a-z]{{2,8}}[ -]\d{{2,4}}(?: {_TIME})?"
_KINDS = {name: re.compile(pattern) for name, pattern in (
    ("iso", _ISO), ("numbered", _NUMBERED), ("month", _MONTH), ("time", _TIME))}  # fmt: skip


def has_dates(column: pd.Series) -> bool:
    """Whether all values of a column that are not missing are dates or times."""
    return _kind(column) != ""


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind in "mM":
        return "dates"
    if isinstance(column.dtype, pd.PeriodDtype):
        return "periods"
    if pd.api.types.is_numeric_dtype(column):
        return ""
    present = [value for value in column if not is_missing(value)]
    if not present:
        return ""
    dates = (datetime.date, datetime.time, datetime.timedelta)
    if all(isinstance(value, dates) for value in present):
        return "objects"
    if not all(isinstance(value, str) for value in present):
        return ""
    return next(
        (name for name, p in _KINDS.items() if all(p.fullmatch(v.strip()) for v in present)), ""
    )


def elapsed(table: Table, unit: str) -> Table:
    """Replace all dates in a table by the time since the earliest of their column.

    Parameters
    ----------
    table : Table
    unit : str
        A key of ``ELAPSED``.

    Returns
    -------
    Table
        The unit is among its ``units``, the first date among what was ``understood``.

    Raises
    ------
    TableError
        If dates cannot be read, or have day and month in an order that no row tells.
    """
    frame, units, said = table.frame.copy(), dict(table.units), list(table.understood)
    for name in frame.columns:
        kind = _kind(frame[name])
        if not kind:
            continue
        moments = _moments(frame[name], kind)
        first = moments.min()
        frame[name] = (moments - first) / pd.Timedelta(seconds=ELAPSED[unit])
        units[name] = unit
        said.append(f"{name} since {first}")
    return Table(frame, units, tuple(said), table.notes, table.places, table.place)


def _moments(column: pd.Series, kind: str) -> pd.Series:
    """The column as datetimes or timedeltas."""
    if kind == "periods":
        return column.dt.to_timestamp()
    if kind == "dates":
        return column
    values = column.map(lambda value: None if is_missing(value) else value)
    if kind == "objects":
        times = [isinstance(v, datetime.time | datetime.timedelta) for v in values.dropna()]
        values = values.map(str, na_action="ignore")
        kind = "time" if all(times) else "iso"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pandas' on formats that it guesses
            if kind == "time":
                return pd.to_timedelta(_with_seconds(values))
            if kind == "iso":
                zoned = bool(values.dropna().str.contains(_ZONED).all())
                return pd.to_datetime(values.str.replace(",", "."), format="ISO8601", utc=zoned)
            return pd.to_datetime(values, dayfirst=_is_day_first(values, kind), format="mixed")
    except (ValueError, OverflowError, TypeError) as error:
        raise TableError(
            f"column {column.name!r} has dates that cannot be read ({' '.join(str(error).split())})"
            ": write them as 2024-05-01 or 2024-05-01 13:00"
        ) from None


def _with_seconds(values: pd.Series) -> pd.Series:
    return values.map(lambda v: v if v.count(":") == 2 else f"{v}:00", na_action="ignore")


def _is_day_first(values: pd.Series, kind: str) -> bool:
    if kind != "numbered":
        return True
    found = [m for v in values.dropna() if (m := _KINDS[kind].fullmatch(v.strip()))]
    first, second = (np.array([int(m[part]) for m in found]) for part in ("first", "second"))
    if found[0]["sign"] == "." or (first > 12).any():
        return True
    if (second > 12).any():
        return False
    raise TableError(
        f"column {values.name!r} has dates such as {found[0].group()!r}, and no row tells whether "
        "the day or the month is first: write them as 2024-05-01"
    )

"""What is in a table before a fit: each column, its values, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.data.dates import has_dates
from equate_srbench.data.numerals import is_missing
from equate_srbench.data.outliers import is_code, is_far
from equate_srbench.data.splitting import numbers_of
from equate_srbench.data.table import Table, counted, quoted

Array = NDArray[np.float64]

BARS = " ▁▂▃▄▅▆▇█"
_BINS = 12
_MAX_DECIMALS = 12  # more are those of a computed number, not of a measured one
_MAX_LABELS = 20  # a column with more different labels is no category
_SAME = 1.0 - 1e-9  # columns of this correlation are one column in two units
_MIN_ROWS = 4  # fewer are on a line too easily
_MAX_PAIRS = 8


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column of a table.

    Attributes
    ----------
    name, unit : str
    kind : str
        ``numbers``, ``whole`` (numbers), ``true/false``, ``dates``, ``categories``, ``text``,
        ``mixed`` (numbers and text), ``complex`` or ``constant``.
    missing, distinct : int
        Empty cells, and different values in the others.
    low, median, high : float or None
        Of the numbers; None without any.
    decimals : int or None
        Digits after the point; None for more than twelve, or without numbers.
    outliers : int
        Values beyond Tukey's outer fences, three times the interquartile range from the quartiles.
    picture : str
        Histogram in 12 bars; empty without numbers.
    advice : tuple of str
        What to do about it.
    """

    name: str
    unit: str
    kind: str
    missing: int
    distinct: int
    low: float | None
    median: float | None
    high: float | None
    decimals: int | None
    outliers: int
    picture: str
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table, column by column, and its rows.

    Attributes
    ----------
    understood : str
        What the file was taken for.
    notes : tuple of str
        What was left out on reading.
    rows : int
    duplicates : int
        Rows that are equal to an earlier one.
    columns : tuple of ColumnFacts
    correlations : tuple of (str, str, float)
        The pairs of columns with the largest rank correlations (Spearman), largest first.
    advice : tuple of str
        What to do about rows and pairs of columns.
    """

    understood: str
    notes: tuple[str, ...]
    rows: int
    duplicates: int
    columns: tuple[ColumnFacts, ...]
    correlations: tuple[tuple[str, str, float], ...]
    advice: tuple[str, ...]


def facts_of(table: Table) -> TableFacts:
    """Describe a table.

    Parameters
    ----------
    table : Table

    Returns
    -------
    TableFacts
    """
    frame = table.frame
    numbers = {name: numbers_of(frame[name]) for name in frame.columns}
    columns = tuple(_column(table, name, numbers[name]) for name in frame.columns)
    numeric = [c.name for c in columns if c.low is not None and c.kind != "constant"]
    duplicates = int(frame.astype(str).duplicated().sum())
    advice = []
    if duplicates:
        repeat = "repeats" if duplicates == 1 else "repeat"
        advice.append(f"{counted(duplicates, 'row')} {repeat} an earlier one, and counts as often")
    ranks = pd.DataFrame({name: numbers[name] for name in numeric})
    pairs = _correlations(ranks.rank())
    advice += [
        f"{a!r} and {b!r} say the same in two units: leave one of them out"
        for a, b, r in _correlations(ranks)
        if abs(r) >= _SAME and len(frame) >= _MIN_ROWS
    ]
    return TableFacts(
        ", ".join(table.understood), table.notes, len(frame), duplicates, columns,
        tuple(pairs[:_MAX_PAIRS]), tuple(advice),
    )  # fmt: skip


def _correlations(columns: pd.DataFrame) -> list[tuple[str, str, float]]:
    matrix = columns.corr()
    names = list(columns.columns)
    pairs = [
        (a, b, float(matrix.iloc[i, j]))
        for i, a in enumerate(names)
        for j, b in enumerate(names[:i])
        if np.isfinite(matrix.iloc[i, j])
    ]
    return sorted(((b, a, r) for a, b, r in pairs), key=lambda pair: -abs(pair[2]))


# -- one column ----------------------------------------------------------------------------------


def _column(table: Table, name: str, values: Array) -> ColumnFacts:
    column = table.frame[name]
    missing = column.map(is_missing).to_numpy(dtype=bool)
    present = column[~missing]
    finite = values[np.isfinite(values)]
    kind = _kind(column, present, values, missing)
    has_numbers = bool(len(finite)) and kind not in ("dates", "text", "categories", "complex")
    far = is_far(values) if has_numbers else np.zeros(len(values), dtype=bool)
    return ColumnFacts(
        name,
        table.units.get(name, ""),
        kind,
        int(missing.sum()),
        int(present.astype(str).nunique()),
        float(finite.min()) if has_numbers else None,
        float(np.median(finite)) if has_numbers else None,
        float(finite.max()) if has_numbers else None,
        _decimals(finite) if has_numbers else None,
        int(far.sum()),
        picture(finite) if has_numbers else "",
        tuple(_advice(table, kind, present, values, missing, far)),
    )


def _kind(column: pd.Series, present: pd.Series, values: Array, missing: NDArray[np.bool_]) -> str:
    if has_dates(column):
        return "dates"
    bad = np.isnan(values) & ~missing
    if bad.any():
        if np.isfinite(values).any():
            return "mixed"
        if pd.api.types.is_complex_dtype(column):
            return "complex"
        labels = present.astype(str).nunique()
        return "categories" if labels <= min(_MAX_LABELS, len(present) // 2) else "text"
    finite = values[np.isfinite(values)]
    if len(finite) and np.ptp(finite) == 0.0:
        return "constant"
    if pd.api.types.is_bool_dtype(column):
        return "true/false"
    return "whole" if (finite == np.rint(finite)).all() else "numbers"


def _decimals(values: Array) -> int | None:
    """Digits after the point with which all values are written; None for more than twelve."""
    for digits in range(_MAX_DECIMALS + 1):
        if (np.round(values, digits) == values).all():
            return digits
    return None


def picture(values: Array, bins: int = _BINS) -> str:
    """Histogram of finite values in one line of bars.

    Examples
    --------
    >>> picture(np.array([0.0, 0.0, 1.0, 3.0]), 3)
    '█▄▄'
    """
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    counts, _ = np.histogram(values / scale, bins=bins)
    heights = np.ceil(counts / max(int(counts.max()), 1) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def _advice(
    table: Table,
    kind: str,
    present: pd.Series,
    values: Array,
    missing: NDArray[np.bool_],
    far: NDArray[np.bool_],
) -> list[str]:
    """What to do about a column."""
    said = []
    if kind == "dates":
        said.append("dates: --dates days or --dates seconds makes them elapsed time")
    elif kind == "categories":
        labels = quoted(present.astype(str).unique(), 4)
        said.append(
            f"categories {labels}: encode them as columns of 0 and 1 (pandas.get_dummies), else "
            "they are left out"
        )
    elif kind == "complex":
        said.append("complex numbers: save real and imaginary part as two columns")
    elif kind == "text":
        said.append("text: left out of a fit")
    elif kind == "constant":
        said.append("always the same: it tells nothing")
    elif kind == "mixed":
        bad = np.isnan(values) & ~missing
        row = int(bad.argmax())
        cell = str(table.frame[present.name].iloc[row])[:40]
        said.append(
            f"{counted(int(bad.sum()), 'cell')} not a number, as {cell!r} in "
            f"{table.where(row)}: mend it or leave the column out"
        )
    if missing.any() and kind != "text":
        row = int(missing.argmax())
        said.append(
            f"{counted(int(missing.sum()), 'empty cell')}, first in {table.where(row)}: such rows "
            "are left out where this is the target, and with --missing drop"
        )
    if np.isinf(values).any():
        said.append(f"a number that is not finite in {table.where(int(np.isinf(values).argmax()))}")
    if kind == "whole" and len(values) > 2 and (np.diff(values) == 1.0).all():
        said.append("counts the rows: leave it out unless it is a time")
    if far.any():
        said.append(_far_text(table, values, far))
    return said


def _far_text(table: Table, values: Array, far: NDArray[np.bool_]) -> str:
    codes = is_code(values)
    if codes.any():
        row = int(codes.argmax())
        return (
            f"{values[row]:g} in {counted(int(codes.sum()), 'row')}, first in {table.where(row)}: "
            "if it is a code for a missing value, empty these cells"
        )
    row = int(np.nanargmax(np.where(far, np.abs(values - np.nanmedian(values)), -1.0)))
    return (
        f"{counted(int(far.sum()), 'value')} far from the others, as {values[row]:g} in "
        f"{table.where(row)}: check"
    )

"""From cells to a table: names, row numbers, empty rows and columns, numbers."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.data import dialect
from equate_srbench.data.numerals import (
    MISSING_WORDS,
    CellColumn,
    column_of,
    decimal_sign,
    is_missing,
    is_numeral,
)
from equate_srbench.data.table import ReadOptions, Table, TableError, counted, quoted

_WITH_UNIT = re.compile(r"(?P<name>.*\S)\s+\[(?P<unit>[^\[\]]*[^\W\d_%°‰][^\[\]]*|[%°‰][^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells as they stand in a file, below the header.

    Attributes
    ----------
    names : list of str or None
        As in the header; None without one.
    cells : DataFrame of shape (n_rows, n_columns)
        Columns are numbered; each is numbers, text or a mixture.
    units : list of str
        One for each column, or none at all.
    decimal : str
    places : ndarray of shape (n_rows,)
        Number of each row in the file.
    place : str
        ``line`` or ``row``.
    understood : list of str
    """

    names: list[str] | None
    cells: pd.DataFrame
    units: list[str]
    decimal: str
    places: NDArray[np.int64]
    place: str
    understood: list[str]


def of_text(text: str, options: ReadOptions) -> Grid:
    """Cells of a text table, parsed by pandas.

    Raises
    ------
    TableError
        If the lines make no table, or the decimal sign cannot be told.
    """
    layout = dialect.find_layout(text, options.separator)
    if not layout.body:
        raise TableError("it has no rows")
    places = dialect.places_of(layout)
    body, separator, width, widest = dialect.as_csv(layout)

    def parsed(decimal: str, dtype: type[str] | None = None) -> pd.DataFrame:
        try:
            return pd.read_csv(
                io.StringIO(body), sep=separator, decimal=decimal, dtype=dtype, header=None,
                names=range(widest), usecols=range(width), index_col=False, low_memory=False,
                skipinitialspace=True, skip_blank_lines=False, keep_default_na=False,
                na_values=sorted(MISSING_WORDS),
                quoting=csv.QUOTE_MINIMAL if '"' in body else csv.QUOTE_NONE,
            )  # fmt: skip
        except (ValueError, OverflowError) as error:  # a parser's error is a ValueError
            raise TableError(" ".join(str(error).split())) from None

    cells, decimal, understood = parsed(options.decimal or "."), options.decimal, layout.understood
    if not decimal and not _has_comma(cells):
        decimal = "."
    elif not decimal:
        words = parsed(".", str).astype("str")
        decimal = decimal_sign(_titled(words, layout.names), places.tolist(), "line")
        cells = parsed(",") if decimal == "," else cells
    if decimal == ",":
        understood = [*understood, "decimal comma"]
    if len(cells) != len(places):
        raise TableError("its quotation marks do not match")
    return Grid(layout.names, cells, layout.units, decimal, places, "line", understood)


def _titled(words: pd.DataFrame, names: list[str] | None) -> dict[str, pd.Series]:
    """Columns of text by name."""
    return {names[j] if names else f"c{j + 1}": words[j].str.strip() for j in words}


def _has_comma(cells: pd.DataFrame) -> bool:
    """Whether a number may have a comma."""
    return any(
        cells[j].astype("str").str.contains(r"^[^a-zA-Z]*,[0-9]").any()
        for j in cells
        if cells[j].dtype.kind not in "biuf"
    )


def of_sheet(rows: list[list[object]], options: ReadOptions) -> Grid:
    """Cells of a sheet: the header is the first row as wide as most, words above it are left out.

    Raises
    ------
    TableError
        If there are no rows, or the decimal sign of numbers written as text cannot be told.
    """
    filled = [[not is_missing(cell) for cell in row] for row in rows]
    used = np.flatnonzero(np.any(filled, axis=0)) if rows else np.empty(0, dtype=int)
    kept = [
        (i, [row[j] for j in used])
        for i, (row, some) in enumerate(zip(rows, filled, strict=True), 1)
        if any(some)
    ]
    if len(kept) < 2:
        raise TableError("it has no rows")
    widths = [sum(not is_missing(cell) for cell in row) for _, row in kept]
    width = Counter(widths[1:]).most_common(1)[0][0]
    skipped = next((i for i, n in enumerate(widths) if n >= width), 0)
    if skipped and not all(isinstance(c, str) or is_missing(c) for c in kept[skipped][1]):
        skipped = 0
    understood = [f"{counted(skipped, 'row')} before the header left out"] if skipped else []
    kept = kept[skipped:]
    names: list[str] | None = [_text(cell) for cell in kept[0][1]]
    counting = names == [str(i) for i in range(len(kept[0][1]))]
    if not counting and all(is_missing(c) or is_numeral(_text(c)) for c in kept[0][1]):
        names = None
        understood.append("no header")
    else:
        kept = kept[1:]
    units = dialect.units_of([[_text(cell) for cell in row] for _, row in kept[:2]])
    if units:
        understood.append("a row of units")
        kept = kept[1:]
    cells = pd.DataFrame({j: pd.Series([row[j] for _, row in kept], dtype=object)
                          for j in range(len(used))})  # fmt: skip
    places = np.array([i for i, _ in kept], dtype=np.int64)
    return _typed(names, cells, units, places, understood, options)


def of_frame(frame: pd.DataFrame, options: ReadOptions, understood: str) -> Grid:
    """Cells of a frame, which has names and types of its own.

    Raises
    ------
    TableError
        If the decimal sign of numbers written as text cannot be told.
    """
    cells = frame.reset_index(drop=True)
    cells.columns, names = pd.RangeIndex(cells.shape[1]), [str(name) for name in frame.columns]
    places = np.arange(1, len(cells) + 1)
    return _typed(names, cells, [], places, [understood], options)


def _typed(
    names: list[str] | None,
    cells: pd.DataFrame,
    units: list[str],
    places: NDArray[np.int64],
    understood: list[str],
    options: ReadOptions,
) -> Grid:
    """Cells that have types, and perhaps numbers written as text."""
    words = cells.select_dtypes(exclude=["number", "bool", "datetime", "timedelta"])
    words = words.where(words.map(lambda cell: isinstance(cell, str))).astype("str")
    sign = options.decimal or decimal_sign(_titled(words, names), places.tolist(), "row")
    said = [*understood, "decimal comma"] if sign == "," else understood
    return Grid(names, cells, units, sign, places, "row", said)


def _text(cell: object) -> str:
    if is_missing(cell):
        return ""
    whole = isinstance(cell, float) and cell.is_integer()
    return " ".join((f"{cell:.0f}" if whole else str(cell)).split())


# -- cells to a table ----------------------------------------------------------------------------


def table_of(grid: Grid) -> Table:
    """Names, numbers and units of a grid; empty rows, empty columns and row numbers are left out.

    Raises
    ------
    TableError
        If two columns have one name, or no row is left.
    """
    cells, notes = grid.cells, []
    columns = {j: column_of(cells[j], grid.decimal) for j in cells}
    gaps = np.array([columns[j].values.isna().to_numpy() for j in cells])  # (columns, rows)
    empty_rows = gaps.all(axis=0)
    if empty_rows.all():
        raise TableError("it has no rows")
    if empty_rows.any():
        notes.append(f"left out: {counted(int(empty_rows.sum()), 'empty row')}")
    names, nameless = _names(grid, gaps)
    row_numbers = _is_row_numbers(grid, columns[cells.columns[0]])
    if nameless := [name for name in nameless if not row_numbers or name != "c1"]:
        notes.append(f"columns without a name are called {quoted(nameless)}")
    if row_numbers:
        notes.append("left out: row numbers in a first column without a name")
    empty = [j for j in range(len(names)) if gaps[j].all() and names[j]]
    if empty:
        notes.append(f"left out, empty: {quoted(names[j] for j in empty)}")
    kept = [j for j in range(len(names)) if names[j] and j not in empty]
    kept = kept[1:] if row_numbers else kept
    names, units = _units(names, grid.units)
    values = {names[j]: columns[j].values[~empty_rows] for j in kept}
    if len(values) < len(kept):
        doubled = next(n for n, count in Counter(names[j] for j in kept).items() if count > 1)
        raise TableError(f"more than one column {doubled!r}: rename one of them")
    units |= {names[j]: "%" for j in kept if columns[j].percent}
    found = [columns[j] for j in kept]
    places = grid.places[~empty_rows]
    return Table(
        pd.DataFrame(values).reset_index(drop=True),
        {name: unit for name, unit in units.items() if name in values},
        (*grid.understood, *_understood(found, grid.decimal)),
        tuple(notes),
        places,
        grid.place,
    )


def _understood(columns: list[CellColumn], decimal: str) -> list[str]:
    words = []
    if any(column.grouped for column in columns):
        words.append("thousands separated")
    if any(column.percent for column in columns):
        words.append("percent signs as the unit")
    return words


def _names(grid: Grid, gaps: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """Printable names, and those made up; "" for a column without name and content."""
    given = grid.names or [""] * len(gaps)
    names = [" ".join("".join(c if c.isprintable() else " " for c in n).split()) for n in given]
    made_up = []
    for j, name in enumerate(names):
        if not name and not gaps[j].all():
            names[j] = f"c{j + 1}"
            made_up.append(names[j])
    return names, made_up


def _is_row_numbers_name(name: str) -> bool:
    return name.strip() in ("", "Unnamed: 0", "#")


def _is_row_numbers(grid: Grid, first: CellColumn) -> bool:
    """Whether the first column is pandas' index: no name, and whole numbers, each once."""
    if grid.names is None or len(grid.names) < 3 or not _is_row_numbers_name(grid.names[0]):
        return False
    values = first.values.dropna()
    whole = values.dtype.kind in "iu"
    if values.dtype.kind == "f":
        whole = bool((values == np.rint(values)).all())
    return bool(len(values) and whole and values.is_unique)


def _units(names: list[str], row: list[str]) -> tuple[list[str], dict[str, str]]:
    """Names without their units, unless two would then be equal; and the units."""
    units = {name: unit for name, unit in zip(names, row, strict=False) if name and unit}
    found = {name: m for name in names if (m := _WITH_UNIT.fullmatch(name))}
    bare = [found[name]["name"] if name in found else name for name in names]
    if len(set(bare)) == len(set(names)):
        units = {found[n]["name"] if n in found else n: unit for n, unit in units.items()}
        units |= {m["name"]: m["unit"] for m in found.values()}
        return bare, units
    return names, units

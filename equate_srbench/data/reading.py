"""Read tables from files of many kinds; errors name the file, line, column and value."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.data import SHIPPED, dates, grid
from equate_srbench.data.sources import decoded, kind_of, read_bytes
from equate_srbench.data.splitting import split_columns
from equate_srbench.data.table import LoadedTable, ReadOptions, Table, TableError, quoted

_KINDS = {"parquet": "Parquet", "feather": "Feather", "npz": "NumPy arrays", "npy": "a NumPy array"}


def read_table(source: str, options: ReadOptions | None = None) -> Table:
    """Read a table: text of any layout, Excel, Parquet, Feather, or NumPy's; packed or not.

    Parameters
    ----------
    source : str
        A path, ``-`` for standard input, or a name in ``SHIPPED``. An existing file wins.
    options : ReadOptions, optional
        What is known about the file; the rest is found out.

    Returns
    -------
    Table
        At least one row and one column.

    Raises
    ------
    TableError
        If there is no such file, it is damaged or of another kind, or its layout cannot be told.
    """
    options = options or ReadOptions()
    data = read_bytes(source)
    kind = kind_of(data, source)
    try:
        if kind == "text":
            text, encoding = decoded(data, source)
            cells = grid.of_text(text, options)
            if encoding != "UTF-8":
                cells.understood.insert(0, encoding)
            table = grid.table_of(cells)
        elif kind == "xlsx":
            sheet, rows = _sheet(data, options.sheet)
            cells = grid.of_sheet(rows, options)
            cells.understood.insert(0, f"sheet {sheet!r}")
            table = grid.table_of(cells)
        else:
            frame = _arrays(data) if kind in ("npz", "npy") else _columns(data, kind)
            table = _of_frame(frame, options, _KINDS[kind])
    except TableError as error:
        raise error if source in str(error) else _named(source, error) from None
    return dates.elapsed(table, options.dates) if options.dates else table


def load_table(
    source: str,
    target: str = "",
    features: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> LoadedTable:
    """Read a table and split it into features and target.

    Parameters
    ----------
    source : str
        As ``read_table`` takes it.
    target : str, optional
        A shipped table has one of its own.
    features : sequence of str, optional
        Both as ``split_columns`` takes them.
    options : ReadOptions, optional

    Raises
    ------
    TableError
        For tables and columns that cannot be used.
    """
    options = options or ReadOptions()
    table = read_table(source, options)
    if not target and source not in SHIPPED:
        raise TableError(
            f"which column should be predicted? Give target, one of {quoted(table.frame, 20)}"
        )
    target = target or SHIPPED[source].target
    return split_columns(table, target, list(features) or None, missing=options.missing)


def _named(source: str, error: TableError) -> TableError:
    """The error with the name of the file before it."""
    return TableError(f"cannot read {source!r}: {error}")


# -- files that are not text ---------------------------------------------------------------------


def _sheet(data: bytes, name: str) -> tuple[str, list[list[object]]]:
    """Name and rows of one sheet of a workbook."""
    try:
        sheets = _foreign(
            pd.read_excel, io.BytesIO(data), sheet_name=None, header=None, dtype=object,
            engine="openpyxl", keep_default_na=False, na_values=[""],
        )  # fmt: skip
    except ImportError:
        raise TableError("Excel files need openpyxl: pip install 'equate-srbench[excel]'") from None
    if name:
        if name not in sheets:
            raise TableError(f"no sheet {name!r} among {quoted(sheets)}")
        return name, _rows(sheets[name])
    filled = [title for title, sheet in sheets.items() if len(sheet) > 1]
    if len(filled) != 1:
        raise TableError(
            f"{len(filled)} sheets have rows ({quoted(filled)}): choose one with --sheet"
            if filled
            else "none of its sheets has rows"
        )
    return filled[0], _rows(sheets[filled[0]])


def _rows(sheet: pd.DataFrame) -> list[list[object]]:
    rows: list[list[object]] = sheet.to_numpy(dtype=object).tolist()
    return rows


def _columns(data: bytes, kind: str) -> pd.DataFrame:
    """Columns of a Parquet or Feather file; an index with a name is one of them."""
    reader = pd.read_parquet if kind == "parquet" else pd.read_feather
    frame: pd.DataFrame = _foreign(reader, io.BytesIO(data))
    named = [level for level in frame.index.names if level is not None]
    return frame.reset_index(level=named) if named else frame


def _arrays(data: bytes) -> pd.DataFrame:
    """Columns of NumPy's files: vectors by name, the columns of matrices by name and number.

    Pickled objects are never loaded.
    """
    loaded = _foreign(np.load, io.BytesIO(data), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        arrays = {"": loaded}
        if loaded.dtype.names:
            arrays = {name: loaded[name] for name in loaded.dtype.names}
    else:
        arrays = {name: _foreign(loaded.__getitem__, name) for name in loaded.files}
    lengths = [len(array) for array in arrays.values() if array.ndim in (1, 2)]
    if not lengths:
        raise TableError("it holds no vector and no matrix")
    n_rows = max(lengths, key=lengths.count)
    columns: dict[str, Any] = {}
    left_out = []
    for name, array in arrays.items():
        if array.ndim == 1 and len(array) == n_rows:
            columns[name or "c1"] = array
        elif array.ndim == 2 and len(array) == n_rows:
            for j in range(array.shape[1]):
                alone = name and array.shape[1] == 1
                columns[name if alone else f"{name}{j}" if name else f"c{j + 1}"] = array[:, j]
        else:
            left_out.append(f"{name} of shape {array.shape}")
    frame = pd.DataFrame({name: _native(array) for name, array in columns.items()})
    frame.attrs["left out"] = left_out
    return frame


def _native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order, which pandas needs."""
    return array.astype(array.dtype.newbyteorder("="))


def _of_frame(frame: pd.DataFrame, options: ReadOptions, understood: str) -> Table:
    """A table from a frame with its own types."""
    if frame.empty:
        raise TableError("it has no rows")
    left_out = frame.attrs.get("left out", [])
    index = frame.index
    notes = [f"left out, of another length: {quoted(left_out)}"] if left_out else []
    if not isinstance(index, pd.RangeIndex):
        if index.dtype.kind not in "iu":
            raise TableError(
                f"its index of {index.dtype} has no name: make it a column (reset_index) or drop it"
            )
        notes.append("left out: row numbers in an index without a name")
    table = grid.table_of(grid.of_frame(frame, options, understood))
    return replace(table, notes=(*notes, *table.notes))


def _foreign(read: Any, *args: Any, **options: Any) -> Any:
    """Call another library's reader, whatever a damaged file makes it raise.

    Raises
    ------
    TableError
        With the reader's own words.
    ImportError
        If the reader is not installed.
    """
    try:
        return read(*args, **options)
    except ImportError:
        raise
    except Exception as error:  # XML, ZIP, Arrow and NumPy have no common one
        words = " ".join(str(error).split())[:200] or type(error).__name__
        if "pickle" in words:
            words = "it holds Python objects, which are never loaded"
        raise TableError(f"damaged or not of this kind ({words})") from None

"""Numbers as people write them: decimal signs, thousands separators, minus signs, exponents."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.data.table import TableError

#: Words for an empty cell: those of pandas, and those of people.
MISSING_WORDS = frozenset(
    ["", "#N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "na", "NULL", "null", "NaN", "nan", "-NaN",
     "-nan", "None", "none", "-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", "?",
     ".", "..", "1.#QNAN", "-1.#IND"]
)  # fmt: skip

_MINUS = str.maketrans({"−": "-", "–": "-", "﹣": "-", "－": "-", "＋": "+"})  # noqa: RUF001
_SIGNS = "[+\\-−–﹣－＋]?"  # noqa: RUF001
_SPACES = "'’ \u00a0\u2009\u202f"  # noqa: RUF001 - what may stand between thousands besides a sign


def _pattern(decimal: str) -> re.Pattern[str]:
    """A whole cell that is one number with this decimal sign; RE2 reads the pattern, too."""
    other = "," if decimal == "." else "."
    grouped = "|".join(rf"[1-9]\d{{0,2}}(?:{re.escape(c)}\d{{3}})+" for c in other + _SPACES)
    point = re.escape(decimal)
    whole = rf"(?P<whole>{grouped}|\d+)"
    fraction = rf"(?:{point}(?P<fraction>\d*))?"
    bare = rf"{point}(?P<bare>\d+)"
    exponent = rf"(?:[eEdD](?P<exponent>{_SIGNS}\d+))?"
    text = rf"(?P<sign>{_SIGNS}) ?(?:{whole}{fraction}|{bare}){exponent}(?P<percent> ?%)?"
    return re.compile(text.replace(r"\d", "[0-9]"))


_NUMBER = {decimal: _pattern(decimal) for decimal in ".,"}


def number(cell: str, decimal: str = ".") -> float | None:
    """The number that a cell holds; None if it is not a finite one. A percent sign is passed over.

    Examples
    --------
    >>> number("-1 234,5", ","), number("1.5D-03"), number("12 %"), number("1,5")
    (-1234.5, 0.0015, 12.0, None)
    """
    found = _NUMBER[decimal].fullmatch(cell)
    if not found:
        return None
    part = found.groupdict(default="")
    whole = re.sub("[^0-9]", "", part["whole"])
    text = f"{part['sign']}{whole}.{part['fraction']}{part['bare']}e{part['exponent'] or 0}"
    value = float(text.translate(_MINUS))
    return value if math.isfinite(value) else None


def is_numeral(cell: str) -> bool:
    """Whether a cell may be a number, with either decimal sign."""
    return any(pattern.fullmatch(cell) for pattern in _NUMBER.values())


def is_missing(cell: object) -> bool:
    """Whether a cell is empty, or holds a word for it."""
    if isinstance(cell, str):
        return cell.strip() in MISSING_WORDS
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A cell that says something about the decimal sign."""

    cell: str
    place: str


def decimal_sign(columns: Mapping[str, pd.Series], places: Sequence[int], place: str) -> str:
    """The decimal sign of a file, from all its cells.

    A cell such as ``1,5`` or ``1.234,5`` is a number only with a decimal comma, ``1,234.5`` only
    with a point; ``1,234`` is one with either, and decides nothing.

    Parameters
    ----------
    columns : mapping of str to Series of str
    places : sequence of int
        Number of each row in the file.
    place : str
        What ``places`` count.

    Raises
    ------
    TableError
        If cells speak for both signs, or none of them decides what the commas are.
    """
    found: dict[str, _Evidence] = {}
    for name, column in columns.items():
        comma, point = (_matches(column, _NUMBER[sign].pattern) for sign in ",.")
        cases = {
            "comma": comma & ~point,
            "point": point & ~comma,
            "either": comma & point & _matches(column, ".*,.*"),
        }
        for case, rows in cases.items():
            if rows.any() and case not in found:
                row = int(rows.argmax())
                where = f"column {name!r}, {place} {places[row]}"
                found[case] = _Evidence(str(column.iloc[row]), where)
    if "comma" in found and "point" in found:
        raise TableError(
            f"{found['comma'].cell!r} ({found['comma'].place}) has a decimal comma and "
            f"{found['point'].cell!r} ({found['point'].place}) a decimal point: say which is "
            "meant with --decimal comma or --decimal point"
        )
    if "either" in found and len(found) == 1:
        cell = found["either"].cell
        raise TableError(
            f"{cell!r} ({found['either'].place}) may be {number(cell, ',')} or "
            f"{number(cell, '.')}, and no other cell tells: say which with --decimal comma or "
            "--decimal point"
        )
    return "," if "comma" in found else "."


def _matches(column: pd.Series, pattern: str) -> NDArray[np.bool_]:
    return np.asarray(column.str.fullmatch(pattern).to_numpy(dtype=bool, na_value=False))


@dataclass(frozen=True, slots=True)
class CellColumn:
    """Cells as numbers.

    Attributes
    ----------
    values : Series
        Numbers, truth values or dates if all cells that are not missing are such; else text, with
        numbers among it where cells have one.
    grouped : bool
        Whether thousands were separated.
    percent : bool
        Whether every number has a percent sign.
    """

    values: pd.Series
    grouped: bool = False
    percent: bool = False


def column_of(cells: pd.Series, decimal: str) -> CellColumn:
    """Read the cells of one column.

    Parameters
    ----------
    cells : Series of shape (n_rows,)
        Text, numbers, dates, or a mixture.
    decimal : {".", ","}
    """
    if cells.dtype.kind in "biufcmM":
        return CellColumn(cells)
    values = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    missing = np.fromiter(map(is_missing, values), dtype=bool, count=len(values))
    present = [value for value, gap in zip(values, missing, strict=True) if not gap]
    words = [value for value in present if isinstance(value, str)]
    if not words:
        gapless = pd.Series(values, cells.index, dtype=object).where(~missing, None)
        return CellColumn(gapless.infer_objects())
    if {word.lower() for word in words} <= {"true", "false"} and len(words) == len(present):
        found = [np.nan if gap else value.lower() == "true"
                 for value, gap in zip(values, missing, strict=True)]  # fmt: skip
        return CellColumn(pd.Series(found, cells.index, dtype=bool if not missing.any() else float))
    percent = all(isinstance(cell, str) and cell.endswith("%") for cell in present)
    fractions = any(decimal in word for word in words)
    numbers = [None if gap else _read(value, decimal, percent=percent, fractions=fractions)
               for value, gap in zip(values, missing, strict=True)]  # fmt: skip
    series = pd.Series(numbers, cells.index, dtype=object).infer_objects()
    if series.dtype.kind == "f":
        series = _whole(series)
    grouped = series.dtype.kind in "iuf" and any(_is_grouped(word, decimal) for word in words)
    return CellColumn(series, grouped, percent)


def _read(cell: object, decimal: str, *, percent: bool, fractions: bool) -> object:
    """The number in a cell, or the cell as it is.

    A percent sign counts only where all cells of the column have one (``percent``). Beside
    fractions, ``12.345`` in a file with decimal commas may be thousands or a slip: it is no number.
    """
    if not isinstance(cell, str) or (cell.endswith("%") and not percent):
        return cell
    other = "," if decimal == "." else "."
    if fractions and decimal not in cell and cell.count(other) == 1:
        return cell
    value = number(cell, decimal)
    return cell if value is None else value


def _is_grouped(word: str, decimal: str) -> bool:
    found = _NUMBER[decimal].fullmatch(word)
    return bool(found and found["whole"] and not found["whole"].isdigit())


def _whole(series: pd.Series) -> pd.Series:
    """Whole numbers as such, if they are exact and none is missing."""
    values = series.to_numpy()
    exact = np.isfinite(values).all() and (np.abs(values) < 2**53).all()
    return series.astype(np.int64) if exact and (values == np.rint(values)).all() else series

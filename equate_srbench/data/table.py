"""What the other modules of this room exchange: a table as read, how to read it, and errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Separators by the word that a user may write for them.
SEPARATORS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "bar": "|",
    "space": " ",
    "two or more spaces": "  ",
}
#: Decimal signs by word.
DECIMALS = {"point": ".", "comma": ","}
#: Units of elapsed time, with their length in seconds.
ELAPSED = {"seconds": 1.0, "days": 86400.0}
#: What may happen to rows with an empty cell in a feature.
MISSING = ("refuse", "drop")


class TableError(ValueError):
    """A table cannot be used as requested; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user may say about a table; what is left empty is found out.

    Attributes
    ----------
    separator : str, default=""
        A key or value of ``SEPARATORS``.
    decimal : str, default=""
        A key or value of ``DECIMALS``.
    sheet : str, default=""
        Name of a workbook's sheet.
    dates : str, default=""
        Dates become the time since the earliest one in this unit, a key of ``ELAPSED``.
    missing : {"refuse", "drop"}, default="refuse"
        Rows with an empty cell in a feature are an error or left out. Rows without a target are
        left out either way: nothing can be learnt from them.

    Raises
    ------
    TableError
        If a value is none of these.
    """

    separator: str = ""
    decimal: str = ""
    sheet: str = ""
    dates: str = ""
    missing: str = "refuse"

    def __post_init__(self) -> None:
        for name, known in (("separator", SEPARATORS), ("decimal", DECIMALS)):
            given = getattr(self, name)
            found = known.get(given, given)
            if found not in ("", *known.values()):
                raise TableError(f"--{name} {given!r}: use one of {', '.join(known)}")
            object.__setattr__(self, name, found)
        if self.dates not in ("", *ELAPSED):
            raise TableError(f"--dates {self.dates!r}: use one of {', '.join(ELAPSED)}")
        if self.missing not in MISSING:
            raise TableError(f"--missing {self.missing!r}: use one of {', '.join(MISSING)}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read.

    Attributes
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Names are distinct text. Columns are numbers, truth values, dates, or text; a column with
        text among its numbers has both.
    units : dict of str to str
        Of the columns whose unit the file gives.
    understood : tuple of str
        What the file was taken for, such as ``semicolon-separated`` and ``decimal comma``.
    notes : tuple of str
        What was left out on reading, one line each.
    places : ndarray of shape (n_rows,) or None
        Number of each row in the file, from 1; None: rows are counted.
    place : str, default="row"
        What ``places`` count: ``line`` or ``row``.
    """

    frame: pd.DataFrame
    units: dict[str, str] = field(default_factory=dict)
    understood: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    places: NDArray[np.int64] | None = None
    place: str = "row"

    def where(self, row: int) -> str:
        """Where in the file a row of ``frame`` stands, in words."""
        number = row + 1 if self.places is None else self.places[row]
        return f"{self.place} {number}"


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
        What the file was taken for, and what was left out, one line each.
    units : dict of str to str
        Of the columns in ``X`` and ``y`` whose unit is known.
    """

    X: pd.DataFrame
    y: pd.Series
    notes: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)


def quoted(names: Iterable[object], limit: int = 8) -> str:
    """At most ``limit`` names in quotes, and the number of further ones."""
    words = [repr(str(name)) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def counted(n: int, noun: str) -> str:
    """A number and a noun.

    Examples
    --------
    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"

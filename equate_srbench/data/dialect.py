"""Layout of a text table: comment lines, separator, header, row of units.

The layout is found from the lines themselves; pandas then parses them (``text_cells``).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.data.numerals import is_missing, is_numeral
from equate_srbench.data.table import SEPARATORS, TableError, counted

Line = tuple[int, str]  # its number in the file, from 1, and its text

_COMMENT = re.compile(r"\s*(?:#|%|//|!)\s*")
_SEP_LINE = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)
#: Units begin with a letter, as in ``m3/s`` and ``kg m-3``, with ``1/``, or are a sign, as ``%``.
_UNIT = re.compile(
    r"[\[(]?(?:(?:1/)?[^\W\d_][^\s,;]{0,19}(?: [^\s,;]{1,10})?|[%°‰$€£][^\s]{0,5})[\])]?"
)
#: From the most telling separator to the least.
_CANDIDATES = ("\t", ";", "|", ",", " ", "  ")
_NO_UNIT = ("", "-", "1", "[-]", "(-)", "[1]", "[]")
_SAMPLE = 200  # lines that the separator is found from, evenly from the whole file
_MAX_PREAMBLE = 30  # lines before the header that may be no part of the table


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a text make a table.

    Attributes
    ----------
    separator : str
        As in ``SEPARATORS``; empty for a table of one column.
    names : list of str or None
        Of the header; None if there is none.
    units : list of str
        Of the row of units, as many as names; empty if there is none.
    body : list of (int, str)
        Lines of the rows, each with as many cells as the header.
    understood : list of str
    """

    separator: str
    names: list[str] | None
    units: list[str]
    body: list[Line]
    understood: list[str]


def cells_of(line: str, separator: str) -> list[str]:
    """Cells of one line, stripped.

    Raises
    ------
    TableError
        If quotation marks are where none may be.
    """
    if separator.isspace() and separator != "\t":
        line = line.strip()
    if not separator:
        return [line.strip().strip('"')]
    if '"' in line:
        one = line.replace("  ", "\t") if separator == "  " else line
        reader = csv.reader([one], delimiter="\t" if separator == "  " else separator,
                            skipinitialspace=True)  # fmt: skip
        try:
            cells = next(iter(reader), [""])
        except csv.Error as error:
            raise TableError(f"{line[:60]!r} cannot be read ({error})") from None
    elif separator == "  ":
        cells = re.split(r"[ \t]{2,}", line)
    elif separator == " ":
        cells = re.split(r"[ \t]+", line)
    else:
        cells = line.split(separator)
    return [cell.strip() for cell in cells]


def find_layout(text: str, separator: str = "") -> Layout:
    """Find out how a text is laid out.

    Parameters
    ----------
    text : str
        Lines end in line feeds.
    separator : str, default=""
        A value of ``SEPARATORS``; empty: the one with which most lines have equally many cells,
        most of them numbers.

    Raises
    ------
    TableError
        If there is no line, or one has more or fewer cells than the header; it names the line.
    """
    lines, comments = _without_comments(_logical_lines(text))
    understood = []
    if lines and (declared := _SEP_LINE.fullmatch(lines[0][1].strip())):
        lines = lines[1:]
        separator = separator or declared[1]
    if not lines:
        raise TableError("it has no rows")
    separator = separator or _best_separator([line for _, line in lines])
    if separator and len(lines) > 1:
        understood.append(_separator_words(separator))
    width = _width(lines, separator)
    skipped = _preamble(lines, separator, width)
    lines = lines[skipped:]
    names = _header(lines[0][1], separator)
    if names is not None:
        lines = lines[1:]
    elif comments and (told := _header_in(comments[-1][1], separator, width)):
        names = told
        understood.append(f"names from the comment in line {comments.pop()[0]}")
    else:
        understood.append("no header")
    if comments:
        understood.append(counted(len(comments), "comment line"))
    if skipped:
        understood.append(f"{counted(skipped, 'line')} before the header left out")
    if names is not None and len(names) == width - 1 and _has_row_numbers(lines, separator):
        names = ["", *names]
    width = width if names is None else len(names)
    units = units_of([_cells_or_none(line, separator) for _, line in lines[:2]])[:width]
    if units:
        understood.append("a row of units")
        lines = lines[1:]
        units += [""] * (width - len(units))
    _check_widths(lines, separator, width, named=names is not None)
    return Layout(separator, names, units, lines, understood)


def _logical_lines(text: str) -> list[Line]:
    """Lines that are not blank; where a quotation mark is open, a line goes on in the next."""
    lines = text.split("\n")
    if '"' not in text:
        return [(i, line) for i, line in enumerate(lines, 1) if line.strip()]
    joined: list[Line] = []
    start, parts, is_open = 0, [], False
    for i, line in enumerate(lines, 1):
        start = start if is_open else i
        parts.append(line)
        if line.count('"') % 2:
            is_open = not is_open
        if not is_open:
            whole = "\n".join(parts)
            if whole.strip():
                joined.append((start, whole))
            parts = []
    if is_open:
        raise TableError(f"the quotation mark that line {start} opens is never closed")
    return joined


def _without_comments(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """Other lines, and comments without their mark."""
    rows, comments = [], []
    for number, line in lines:
        if line.lstrip().startswith(("#", "%", "//", "!")):
            comments.append((number, _COMMENT.sub("", line, count=1).strip()))
        else:
            rows.append((number, line))
    return rows, comments


# -- separator -----------------------------------------------------------------------------------


def _best_separator(lines: Sequence[str]) -> str:
    """The separator with which the lines look most like a table of numbers; empty for none."""
    some = np.unique(np.linspace(0, len(lines) - 1, min(len(lines), _SAMPLE)).astype(int))
    sample = [lines[i] for i in some]
    scores = {separator: _score(sample, separator) for separator in _CANDIDATES}
    best = max(scores, key=scores.__getitem__)  # of equal ones the first
    # "1,5" below one name is a number with a decimal comma; below two names it is two
    return best if scores[best] > 0.8 * _score(sample, "") else ""


def _score(lines: Sequence[str], separator: str) -> float:
    """Share of the lines with the most common number of cells, times the share of numbers."""
    rows = [_trimmed(_cells_or_none(line, separator)) for line in lines]
    widths = [len(row) for row in rows]
    width = Counter(widths[1:] or widths).most_common(1)[0][0]
    if separator and width < 2:
        return 0.0
    cells = [cell for row in rows[1:] if len(row) == width for cell in row]
    numbers = sum(is_numeral(cell) or is_missing(cell) for cell in cells)
    surely = 1.0 if separator else 0.0  # one column of text is no table
    share = (surely + numbers) / (1.0 + len(cells))
    header = 1.0 if widths[0] == width else 0.5
    return header * share * widths.count(width) / len(widths)


def _cells_or_none(line: str, separator: str) -> list[str]:
    try:
        return cells_of(line, separator)
    except TableError:
        return []


def _trimmed(cells: list[str]) -> list[str]:
    """Cells without the empty ones at the end, which some programs write after the last."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _separator_words(separator: str) -> str:
    word = next((w for w, s in SEPARATORS.items() if s == separator), repr(separator))
    return f"separated by {word}" if " " in word else f"{word}-separated"


# -- header --------------------------------------------------------------------------------------


def _width(lines: Sequence[Line], separator: str) -> int:
    """Number of cells that most lines have."""
    some = np.unique(np.linspace(0, len(lines) - 1, min(len(lines), _SAMPLE)).astype(int))
    widths = [len(_trimmed(_cells_or_none(lines[i][1], separator))) for i in some]
    return Counter(widths[1:] or widths).most_common(1)[0][0]


def _preamble(lines: Sequence[Line], separator: str, width: int) -> int:
    """Number of lines before the header; 0 unless the first line of this width has words only."""
    for i, (_, line) in enumerate(lines[: _MAX_PREAMBLE + 1]):
        cells = _trimmed(_cells_or_none(line, separator))
        if len(cells) == width:
            words = not any(is_numeral(cell) for cell in cells)
            return i if words and width > 1 else 0
    return 0


def _header(line: str, separator: str) -> list[str] | None:
    """Names of the columns; None if the line holds numbers only.

    pandas numbers columns without names from 0: such numbers are names.
    """
    cells = _trimmed(cells_of(line, separator))
    counting = len(cells) > 1 and cells == [str(i) for i in range(len(cells))]
    if not counting and all(is_numeral(cell) or is_missing(cell) for cell in cells):
        return None
    return cells


def _header_in(comment: str, separator: str, width: int) -> list[str] | None:
    """Names of the columns, if a comment has as many words as the table has columns."""
    for candidate in (separator, ",", " "):
        cells = _trimmed(_cells_or_none(comment, candidate))
        if len(cells) == width and not any(map(is_numeral, cells)) and all(cells[1:]):
            return cells
    return None


def _has_row_numbers(lines: Sequence[Line], separator: str) -> bool:
    """Whether rows begin with 0, 1, 2, ... or 1, 2, ..., for which R and pandas write no name."""
    if separator not in ("\t", " ", "  "):
        return False
    first = [(_cells_or_none(line, separator) or [""])[0] for _, line in lines]
    return any(first == [str(start + i) for i in range(len(first))] for start in (0, 1))


def units_of(rows: list[list[str]]) -> list[str]:
    """The first row if it holds units of the columns that have numbers in the second, else []."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return []
    pairs = [(u, v) for u, v in zip(*rows, strict=True) if is_numeral(v)]
    named = [u for u, _ in pairs if is_unit(u)]
    bare = [u for u, _ in pairs if u.strip() in _NO_UNIT]
    if not named or len(named) + len(bare) < len(pairs):
        return []
    return ["" if u.strip() in _NO_UNIT or not is_unit(u) else u.strip("[]()") for u in rows[0]]


def is_unit(cell: str) -> bool:
    """Whether a cell may be the name of a unit, such as ``m3/s`` or ``[%]``.

    Examples
    --------
    >>> is_unit("m3/s"), is_unit("[°C]"), is_unit("12"), is_unit("?")
    (True, True, False, False)
    """
    return bool(_UNIT.fullmatch(cell)) and not is_numeral(cell) and not is_missing(cell)


# -- width of the rows ---------------------------------------------------------------------------


def _check_widths(lines: Sequence[Line], separator: str, width: int, *, named: bool) -> None:
    """Every row has a cell for every name, and no further one that is not empty."""
    if not separator:
        return
    whole = separator in "\t;|,"
    for number, line in lines:
        if whole and '"' not in line and line.count(separator) + 1 == width:
            continue
        try:
            cells = cells_of(line, separator)
        except TableError as error:
            raise TableError(f"line {number}: {error}") from None
        filled = len(_trimmed(cells))
        if filled > width or (len(cells) < width and filled):
            raise TableError(_width_text(number, cells, separator, width, named=named))


def _width_text(number: int, cells: list[str], separator: str, width: int, *, named: bool) -> str:
    n = len(cells) if len(cells) < width else len(_trimmed(cells))
    other = "the header" if named else "most lines"
    text = f"line {number} has {n} {_separator_words(separator)} cells, {other} {width}"
    if separator == "," and n == 2 * width:
        return text + ": with decimal commas, separate the cells by semicolons or tabs"
    return f"{text}: mend or delete this line, or give another --separator"


def as_csv(layout: Layout) -> tuple[str, str, int, int]:
    """Rows of a layout as pandas reads them.

    Returns
    -------
    text, separator : str
    width : int
        Number of columns.
    widest : int
        Number of cells of the longest row; those beyond ``width`` are empty.
    """
    lines, separator = [line for _, line in layout.body], layout.separator
    if not separator:
        return "\n".join(lines), "\x1f", 1, 1  # which no text has
    width = len(layout.names or _trimmed(cells_of(lines[0], separator)))
    if separator in (" ", "  "):
        rows = [cells_of(line, separator) for line in lines]
        text = "\n".join("\t".join(_unquoted(cell) for cell in row) for row in rows)
        return text, "\t", width, max(map(len, rows))
    text = "\n".join(lines)
    if '"' in text:
        return text, separator, width, max(len(cells_of(line, separator)) for line in lines)
    return text, separator, width, max(line.count(separator) for line in lines) + 1


def _unquoted(cell: str) -> str:
    return cell.replace("\t", " ").replace('"', "'").replace("\n", " ")


def places_of(layout: Layout) -> NDArray[np.int64]:
    """Line of each row in the file."""
    return np.fromiter((n for n, _ in layout.body), dtype=np.int64, count=len(layout.body))

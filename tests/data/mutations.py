"""Damaged files, and what must hold of whatever is read from one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equate_srbench.data.reading import load_table
from equate_srbench.data.table import LoadedTable, TableError
from tests.data.dialects import Dialect, numbers

#: Notes that account for lines of a file which are no rows of the table.
_COUNTED = (
    r"([\d,]+) rows? left out", r"left out: ([\d,]+) empty rows?", r"([\d,]+) comment lines?",
    r"([\d,]+) lines? before the header",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged file: ``read`` or ``refused``, and what is wrong with that."""

    kind: str
    faults: list[str]


#: Characters that mean something in a table.
_TELLING = b"0123456789.,;-+eED%'\" \t\n\r#"


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one or two flips, characters put in or replaced, spans doubled or cut out."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 3))):
        if not out:
            break
        at = int(rng.integers(len(out)))
        end = min(len(out), at + int(rng.integers(1, 12)))
        match rng.integers(8):
            case 0:
                out[at] ^= 1 << int(rng.integers(8))
            case 1:
                out[at] = int(rng.integers(256))
            case 2:
                del out[at:]
            case 3:
                del out[at:end]
            case 4:
                out[at:at] = out[at:end]
            case 5:
                out[at:at] = bytes([rng.choice(list(_TELLING))])
            case _:
                out[at] = rng.choice(list(_TELLING))
    return bytes(out)


def outcome(dialect: Dialect, folder: Path, seed: int) -> Outcome:
    """Damage a file of this dialect, read it, and look for what must not be."""
    rng = np.random.default_rng(seed)
    values = numbers(rng, dialect)
    whole = dialect.write(values)
    data = damaged(whole, rng)
    path = folder / f"t{dialect.ending}"
    path.write_bytes(data)
    try:
        loaded = load_table(str(path), dialect.names[-1], options=dialect.options)
    except TableError as error:
        words = str(error)
        return Outcome("refused", [] if words and "\n" not in words else [f"message {words!r}"])
    faults = [] if np.isfinite(loaded.X.to_numpy()).all() else ["numbers that are not finite"]
    if dialect.is_plain_text and b'"' not in data:
        faults += _lost_lines(data, loaded) + _lost_columns(data, loaded, dialect)
        faults += _changed_rows(whole, data, loaded, dialect, values)
    return Outcome("read", faults)


def _text(data: bytes) -> list[str]:
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("cp1252", "replace")
    return [line for line in re.split("\r\n|\r|\n", lines) if line.strip("\x1a \t\xa0")]


def _lost_lines(data: bytes, loaded: LoadedTable) -> list[str]:
    """Every line that is not blank is a row, or accounted for by a note."""
    said = " / ".join(loaded.notes)
    others = sum(int(n.replace(",", "")) for p in _COUNTED for n in re.findall(p, said))
    others += ("no header" not in said) + ("a row of units" in said)
    others += any(re.fullmatch(r'"?sep=."?', line, re.IGNORECASE) for line in _text(data)[:1])
    there = len(_text(data))
    have = len(loaded.y) + others
    return [] if have == there else [f"{there} lines, {have} accounted for: {said}"]


def _lost_columns(data: bytes, loaded: LoadedTable, dialect: Dialect) -> list[str]:
    """Every name of the undamaged file that is still there is a column, or in a note."""
    said = " / ".join(loaded.notes)
    head = _text(data)[0].split(" " if dialect.ending == ".txt" else None)[0]
    known = {*map(str, loaded.X.columns), str(loaded.y.name)}
    return [
        f"column {name!r} is lost: {sorted(known)}, {said}"
        for name in dialect.names
        if re.search(rf"(?<!\w){name}(?!\w)", head)
        and not any(re.search(rf"(?<!\w){name}(?!\w)", other) for other in known)
        and name not in said
    ]


def _changed_rows(
    whole: bytes, data: bytes, loaded: LoadedTable, dialect: Dialect, values: np.ndarray
) -> list[str]:
    """Rows whose lines are as they were have the numbers that they had."""
    lines = _text(whole)
    first = 2 if lines[1].startswith("m3/s") else 1
    undamaged = lines[first : first + len(values)]
    names = [*loaded.X.columns, loaded.y.name]
    kept = [j for j, name in enumerate(dialect.names) if name in names]
    table = np.column_stack([loaded.X, loaded.y])[:, [names.index(dialect.names[j]) for j in kept]]
    rows = {tuple(row) for row in table.tolist()}
    there = set(_text(data)[1:])
    return [
        f"{line!r} is not {row}"
        for line, row in zip(undamaged, values[:, kept].tolist(), strict=True)
        if line in there and tuple(row) not in rows
    ]

"""Files as instruments, spreadsheets and programs write them, made from known numbers."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from equate_srbench.data.table import ReadOptions

NAMES = ("flow", "temp", "y")


@dataclass(frozen=True)
class Dialect:
    """One way to write a table.

    Attributes
    ----------
    write : callable
        From a matrix of three columns to the bytes of a file.
    ending : str
    said : tuple of str
        Words in the notes about the file.
    digits : int
        Decimals that are written.
    names : tuple of str
        What the columns are called.
    options : ReadOptions
    scale : float
        What the numbers are multiplied by before they are written.
    """

    write: Callable[[np.ndarray], bytes]
    ending: str = ".csv"
    said: tuple[str, ...] = ()
    digits: int = 4
    names: tuple[str, ...] = NAMES
    options: ReadOptions = field(default_factory=ReadOptions)
    scale: float = 1.0

    @property
    def is_plain_text(self) -> bool:
        """Whether rows are lines without quotation marks, and the first of them names each cell."""
        if "row numbers" in self.said:  # a further name would be right
            return False
        sample = self.write(np.ones((2, 3)))
        return sample.startswith((b"flow", b"the flow", b" ")) and b'"' not in sample


def text(
    values: np.ndarray,
    sep: str = ",",
    dec: str = ".",
    nl: str = "\n",
    head: tuple[str, ...] = NAMES,
    cell: Callable[[float], str] = "{:.4f}".format,
) -> str:
    """A text table."""
    rows = [sep.join(cell(v).replace(".", dec) for v in row) for row in values.tolist()]
    return nl.join([sep.join(head), *rows]) + nl


def _swapped(v: float) -> str:
    """A number as in German, with points between thousands."""
    return f"{v:,.4f}".translate(str.maketrans(",.", ".,"))


def _minus(v: float) -> str:
    return f"{v:.4f}".replace("-", "\N{MINUS SIGN}")


def _fixed(values: np.ndarray) -> str:
    lines = ["  ".join(f"{name:>14s}" for name in NAMES)]
    return "\n".join(lines + ["  ".join(f"{v:14.4f}" for v in row) for row in values]) + "\n"


def _lines(before: str, after: str = "") -> Callable[[np.ndarray], bytes]:
    return lambda values: (before + text(values) + after).encode()


def _body(header: str, row: Callable[[int, list[str]], str]) -> Callable[[np.ndarray], bytes]:
    def write(values: np.ndarray) -> bytes:
        rows = [row(i, [f"{v:.4f}" for v in line]) for i, line in enumerate(values.tolist())]
        return "\n".join([header, *rows, ""]).encode()

    return write


def _frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list(NAMES))


def _saved(method: str, **options: object) -> Callable[[np.ndarray], bytes]:
    def write(values: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        getattr(_frame(values), method)(buffer, **options)
        return buffer.getvalue()

    return write


def _npz(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **dict(zip(NAMES, values.T, strict=True)))
    return buffer.getvalue()


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _savetxt(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savetxt(buffer, values, fmt="%.4f", header=" ".join(NAMES))
    return buffer.getvalue()


def _two_lists(values: np.ndarray) -> bytes:
    return text(values, sep="\t", dec=",").encode("utf-16-le")


def _fortran(v: float) -> str:
    return f"{v:.16E}".replace("E", "D")


DIALECTS: dict[str, Dialect] = {
    "comma": Dialect(_lines(""), said=("comma-separated",)),
    "semicolon": Dialect(lambda v: text(v, ";").encode(), said=("semicolon-separated",)),
    "german": Dialect(lambda v: text(v, ";", ",").encode(), said=("decimal comma",)),
    "german thousands": Dialect(
        lambda v: text(v, ";", cell=_swapped, dec=".").encode(),
        said=("decimal comma", "thousands"), scale=1e4,
    ),
    "french thousands": Dialect(
        lambda v: text(v, ";", cell=lambda x: f"{x:,.4f}".replace(",", "\u202f")).encode(),
        said=("thousands",), scale=1e4,
    ),
    "swiss thousands": Dialect(
        lambda v: text(v, "\t", cell=lambda x: f"{x:,.4f}".replace(",", "'")).encode(),
        ending=".tsv", said=("tab-separated", "thousands"), scale=1e4,
    ),
    "english thousands": Dialect(
        lambda v: text(v, cell=lambda x: f'"{x:,.4f}"').encode(), said=("thousands",), scale=1e4
    ),
    "quoted decimal comma": Dialect(
        lambda v: text(v, cell=lambda x: f'"{x:.4f}"', dec=",").encode(), said=("decimal comma",)
    ),
    "given decimal comma": Dialect(
        lambda v: text(v, ";", ",", cell="{:.3f}".format).encode(), digits=3,
        options=ReadOptions(decimal="comma"), said=("decimal comma",),
    ),
    "tab": Dialect(lambda v: text(v, "\t").encode(), ".tsv", ("tab-separated",)),
    "tab, decimal comma": Dialect(
        lambda v: text(v, "\t", ",").encode(), ".txt", ("decimal comma",)
    ),
    "bar": Dialect(lambda v: text(v, " | ").encode(), ".txt", ("bar-separated",)),
    "space": Dialect(lambda v: text(v, " ").encode(), ".dat", ("space-separated",)),
    "aligned": Dialect(lambda v: _fixed(v).encode(), ".txt", ("space-separated",)),
    "aligned, names of two words": Dialect(
        lambda v: _fixed(v).replace("flow", "the flow").encode(), ".txt", ("two or more spaces",),
        names=("the flow", "temp", "y"),
    ),
    "savetxt": Dialect(_savetxt, ".txt", ("names from the comment in line 1",)),
    "comma and space": Dialect(lambda v: text(v, ", ").encode()),
    "CRLF and BOM": Dialect(lambda v: b"\xef\xbb\xbf" + text(v, nl="\r\n").encode()),
    "CR": Dialect(lambda v: text(v, nl="\r").encode()),
    "sep line": Dialect(lambda v: b"sep=;\r\n" + text(v, ";", nl="\r\n").encode()),
    "UTF-16": Dialect(lambda v: text(v).encode("utf-16"), said=("UTF-16",)),
    "UTF-16 without BOM": Dialect(_two_lists, said=("UTF-16", "decimal comma")),
    "Latin-1": Dialect(
        lambda v: text(v, head=("größe", "temp", "y")).encode("latin-1"), said=("Latin-1",),
        names=("größe", "temp", "y"),
    ),
    "comments": Dialect(_lines("# run 7\n# by hand\n", "# end\n"), said=("3 comment lines",)),
    "preamble": Dialect(
        _lines("Instrument: A1\nDate: today\n\n"), said=("2 lines before the header",)
    ),
    "units": Dialect(
        lambda v: text(v).replace("y\n", "y\nm3/s,°C,-\n", 1).encode(),
        said=("a row of units", "flow in m3/s", "temp in °C"),
    ),
    "units in brackets": Dialect(
        lambda v: text(v, head=("flow [m3/s]", "temp [°C]", "y")).encode(), said=("flow in m3/s",)
    ),
    "trailing comma": Dialect(lambda v: text(v).replace("\n", ",\n").encode()),
    "trailing comma below": Dialect(_body("flow,temp,y", lambda i, c: ",".join(c) + ",")),
    "empty last rows": Dialect(_lines("", ",,\n,,\n"), said=("2 empty rows",)),
    "blank lines": Dialect(_lines("\n\n", "\n\n\n")),
    "index of pandas": Dialect(
        _body(",flow,temp,y", lambda i, c: ",".join([str(7 * i), *c])), said=("row numbers",)
    ),
    "to_string of pandas": Dialect(
        lambda v: _frame(v).to_string(float_format="%.4f").encode(), ".txt", ("row numbers",)
    ),
    "write.table of R": Dialect(
        _body('"flow" "temp" "y"', lambda i, c: f'"{i + 1}" {" ".join(c)}'), ".txt",
        ("row numbers",),
    ),
    "no header": Dialect(
        lambda v: text(v).partition("\n")[2].encode(), said=("no header",), names=("c1", "c2", "c3")
    ),
    "percent": Dialect(
        _body("flow,temp,y", lambda i, c: f"{c[0]}%,{c[1]},{c[2]} %"),
        said=("flow in %", "y in %"),
    ),
    "minus sign": Dialect(lambda v: text(v, cell=_minus).encode()),
    "fortran": Dialect(lambda v: text(v, "  ", cell=_fortran).encode(), ".out", digits=16),
    "labels": Dialect(
        _body("flow,who,temp,y", lambda i, c: f"{c[0]},p{i},{c[1]},{c[2]}"),
        said=("left out, not numbers: 'who'",),
    ),
    "no target": Dialect(
        lambda v: (text(v) + "1,2,\n3,4,n/a\n").encode(), said=("2 rows left out: no y",)
    ),
    "quoted name of two lines": Dialect(
        lambda v: text(v, head=('"flow\nin"', "temp", "y")).encode(), names=("flow in", "temp", "y")
    ),
    "packed": Dialect(lambda v: gzip.compress(text(v).encode()), ".csv.gz"),
    "parquet": Dialect(_saved("to_parquet"), ".parquet", ("Parquet",), 16),
    "feather": Dialect(_saved("to_feather"), ".feather", ("Feather",), 16),
    "npz": Dialect(_npz, ".npz", ("NumPy arrays",), 16),
    "npy": Dialect(_npy, ".npy", ("a NumPy array",), 16, ("c1", "c2", "c3")),
}  # fmt: skip

EXCEL = Dialect(_saved("to_excel", index=False), ".xlsx", ("sheet 'Sheet1'",), 16)


def numbers(rng: np.random.Generator, dialect: Dialect) -> np.ndarray:
    """A matrix with columns of different sizes, rounded as the dialect writes them."""
    n_rows = int(rng.integers(5, 30))
    values = rng.normal(size=(n_rows, 3)) * [3.0, 40.0, 0.5] + [1.0, 0.0, 2.0]
    return np.round(values * dialect.scale, min(dialect.digits, 12))

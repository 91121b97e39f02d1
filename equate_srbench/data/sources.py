"""Bytes of a table: where they come from, what kind of file they are, and their text."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zipfile
import zlib
from pathlib import Path

from equate_srbench.data import SHIPPED
from equate_srbench.data.table import TableError
from equate_srbench.runtime.hints import did_you_mean

#: The name that stands for standard input.
STDIN = "-"

#: First bytes of a file, and its kind.
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0", "xls"),
)
#: Kinds that a file's name promises, by its ending. Any other file is tried as text.
_PROMISED = {
    ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather",
    ".npz": "npz", ".npy": "npy", ".xlsx": "xlsx", ".xlsm": "xlsx",
}  # fmt: skip
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
#: Characters that no table of numbers has; some of them would command a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read_bytes(source: str) -> bytes:
    """Bytes of a file, of standard input (``-``), or of a bundled table.

    An existing file wins over a bundled table of its name. Packed bytes are unpacked.

    Raises
    ------
    TableError
        If there is no such file, or it cannot be read or unpacked.
    """
    if source == STDIN:
        return _unpacked(sys.stdin.buffer.read(), "standard input")
    path = Path(source)
    if not path.exists():
        if source not in SHIPPED:
            raise TableError(
                f"no file {source!r} and no bundled table of that name"
                f" ({', '.join(SHIPPED)}){did_you_mean(source, SHIPPED)}"
            )
        path = SHIPPED[source].path
    if path.is_dir():
        raise TableError(f"{source!r} is a folder, not a table")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"cannot read {source!r}: {error.strerror}") from None
    if not data:
        raise TableError(f"cannot read {source!r}: the file is empty")
    return _unpacked(data, source)


def _unpacked(data: bytes, source: str) -> bytes:
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"BZh"):
            return bz2.decompress(data)
        if data.startswith(b"\xfd7zXZ"):
            return lzma.decompress(data)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow as pa

            return bytes(pa.CompressedInputStream(pa.BufferReader(data), "zstd").read())
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise TableError(f"cannot read {source!r}: its packing is damaged ({error})") from None
    if Path(source).suffix.lower() in _PACKED:
        raise TableError(f"cannot read {source!r}: it is not packed as its name says")
    return data


def kind_of(data: bytes, source: str) -> str:
    """Kind of a file by its first bytes.

    Returns
    -------
    str
        ``text``, ``xlsx``, ``parquet``, ``feather``, ``npz`` or ``npy``.

    Raises
    ------
    TableError
        For another kind, or one that the file's name does not promise.
    """
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "text")
    if kind == "zip":
        kind = _kind_of_zip(data, source)
    if kind in ("xls", "ods", "zip"):
        raise TableError(
            f"cannot read {source!r}: it is a .{kind} file; save the table as .xlsx or .csv"
        )
    suffixes = [suffix.lower() for suffix in Path(source).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    promised = _PROMISED.get(suffixes[-1] if suffixes else "", kind)
    if kind == "text" and promised != "text":
        raise TableError(f"cannot read {source!r}: it does not begin like a .{promised} file")
    return kind


def _kind_of_zip(data: bytes, source: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise TableError(f"cannot read {source!r}: a damaged archive ({error})") from None
    if any(name.startswith("xl/") for name in names):
        return "xlsx"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return "ods" if "content.xml" in names else "zip"


def decoded(data: bytes, source: str) -> tuple[str, str]:
    """Text of a file, lines ending in line feeds, and the name of its encoding.

    A byte order mark decides, else zeros between the bytes of ASCII (UTF-16), else whether the
    bytes are UTF-8; what is none of these is Windows' Latin-1.

    Raises
    ------
    TableError
        If the bytes are damaged, or hold control characters: then they are not text.
    """
    codec, name = next(((c, n) for bom, c, n in _BOMS if data.startswith(bom)), ("", ""))
    if not codec:
        codec, name = _without_mark(data)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise TableError(
            f"cannot read {source!r}: it is not {name} at byte {error.start + 1}"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise TableError(
            f"cannot read {source!r}: line {line} holds the control character "
            f"{control.group()!r}, so the file is damaged or not text"
        )
    return text, name


def _without_mark(data: bytes) -> tuple[str, str]:
    start = data[:4000]
    for offset, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        if 2 * start[offset::2].count(0) > max(len(start[offset::2]), 1):
            return codec, "UTF-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            data.decode("cp1252")
        except UnicodeDecodeError:
            return "latin-1", "Latin-1"
        return "cp1252", "Latin-1"
    return "utf-8", "UTF-8"

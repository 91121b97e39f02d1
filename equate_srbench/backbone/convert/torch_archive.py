"""Reads files of ``torch.save`` as data, without executing code.

Such a file is a zip archive of raw storages and a pickle, and unpickling executes code. Here
``pickle_reader`` parses the pickle as data, and tensors are read on request.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

import torch
from torch import Tensor

from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.backbone.convert.pickle_reader import Machine, TensorRef

T = TypeVar("T")

#: Limits on the pickle's size and the number of entries; the release's default parameters need
#: 0.8 MB and 650.
MAX_PICKLE_BYTES = 1 << 24
MAX_ENTRIES = 20_000

_DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
}
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f920")  # start of torch's magic number, pickled
_END, _END64 = b"PK\5\6", b"PK\6\7"


class TorchFile:
    """A zip archive of ``torch.save``, validated when it is opened.

    Entries must be uncompressed, as ``torch.save`` writes them, so that nothing can expand beyond
    the size of the file; other entries are rejected.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    root : object
        The saved object: dict, list, tuple, str, numbers, ``InertObject`` and ``TensorRef``.
    size : int
        Size of the file in bytes.

    Raises
    ------
    FileNotFoundError
    CheckpointError
        If the file is damaged or of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.size = self.path.stat().st_size
        with self.path.open("rb") as file:
            _check_kind(self.path, file.read(64))
            _check_directory(self.path, file.read, file.seek, self.size)
        self._zip = self._guarded(lambda: zipfile.ZipFile(self.path))
        try:
            self._entries = self._check_entries()
            if self._optional("byteorder", b"little") != b"little":
                raise self._error("written on a big-endian machine")
            pickled = self._entry("data.pkl")
            if pickled.file_size > MAX_PICKLE_BYTES:
                raise self._error(f"a pickle of {pickled.file_size} bytes, at most "
                                  f"{MAX_PICKLE_BYTES} are read")  # fmt: skip
            self.root = self._guarded(lambda: Machine(self._zip.read(pickled)).run())
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def read(self, ref: TensorRef) -> Tensor:
        """Read a tensor, on the CPU.

        Raises
        ------
        CheckpointError
            If its storage is missing, damaged, or of inconsistent size.
        """
        storage = ref.storage
        dtype = _DTYPES.get(storage.kind)
        if dtype is None:
            raise self._error(f"numbers of type {storage.kind[:80]!r} where weights should be")
        entry = self._entry(f"data/{storage.key}")
        wanted = storage.numel * dtype.itemsize
        if entry.file_size != wanted:
            found = f"{entry.file_size} bytes, its tensor says {wanted}"
            raise self._error(f"storage {storage.key[:20]!r} has {found}")
        spans = zip(ref.shape, ref.stride, strict=True)
        last = ref.offset + sum((n - 1) * step for n, step in spans)
        n_values = math.prod(ref.shape)
        if not 0 < n_values <= storage.numel or last >= storage.numel:
            raise self._error(f"a tensor of shape {ref.shape} in {storage.numel} numbers")
        data = bytearray(self._guarded(lambda: self._zip.read(entry)))
        flat = torch.frombuffer(data, dtype=dtype)
        return flat.as_strided(ref.shape, ref.stride, ref.offset).contiguous()

    # -- the archive ------------------------------------------------------------------------

    def _check_entries(self) -> dict[str, zipfile.ZipInfo]:
        """Entries by their name below the archive's root directory."""
        found: dict[str, zipfile.ZipInfo] = {}
        root, total = "", 0
        for entry in self._zip.infolist():
            folder, _, name = entry.filename.partition("/")
            root = root or folder
            parts = PurePosixPath(entry.filename).parts
            if not name or folder != root or ".." in parts or "\\" in name or name in found:
                raise self._error(f"unexpected entry {entry.filename[:80]!r}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise self._error(f"entry {name[:80]!r} is compressed or encrypted")
            total += entry.file_size
            if entry.compress_size != entry.file_size or total > self.size:
                raise self._error(f"entry {name[:80]!r} claims to be larger than the file")
            found[name] = entry
        return found

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise self._error(f"missing entry {name[:80]!r}")
        return self._entries[name]

    def _optional(self, name: str, default: bytes) -> bytes:
        entry = self._entries.get(name)
        if entry is None or entry.file_size > 16:
            return default
        return self._guarded(lambda: self._zip.read(entry)).strip()

    def _guarded(self, step: Callable[[], T]) -> T:
        """Run ``step``; converts all errors of a damaged file to ``CheckpointError``."""
        try:
            return step()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError,
                OverflowError, struct.error, OSError) as error:  # fmt: skip
            raise self._error(f"damaged ({error})") from error

    def _error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}")


def _check_kind(path: Path, start: bytes) -> None:
    """Raise an error that identifies files which are not a zip archive."""
    if start.startswith(b"PK\3\4"):
        return
    what = "not a file of torch.save (no zip archive)"
    if start.startswith(_LEGACY):
        what = (
            "a file of the legacy format, before torch 1.6; if you trust it, load and save it once "
            "with the torch that wrote it or a newer one"
        )
    elif start.startswith(b"version https://git-lfs"):
        what = "a Git LFS pointer, not the weights themselves: run `git lfs pull`"
    elif start.lstrip()[:1] == b"<":
        what = "an HTML page, not the weights: the download failed"
    elif start[8:9] == b"{":
        what = "a safetensors file, which needs no conversion"
    raise CheckpointError(f"{path}: {what}")


def _check_directory(
    path: Path, read: Callable[[int], bytes], seek: Callable[[int], int], size: int
) -> None:
    """Reject truncated files, and archives with a huge central directory."""
    seek(max(size - 42, 0))
    tail = read(42)
    end = tail[-22:]
    if len(end) < 22 or not end.startswith(_END):
        raise CheckpointError(f"{path}: the end of the archive is missing: truncated?")
    count, n_bytes = struct.unpack_from("<H", end, 10)[0], struct.unpack_from("<I", end, 12)[0]
    if tail.startswith(_END64):
        seek(min(struct.unpack_from("<Q", tail, 8)[0], size))
        record = read(56)
        if len(record) < 56:
            raise CheckpointError(f"{path}: damaged end of the archive")
        count, n_bytes = struct.unpack_from("<QQ", record, 32)
    if count > MAX_ENTRIES or n_bytes > 200 * MAX_ENTRIES:
        raise CheckpointError(f"{path}: {count} entries, at most {MAX_ENTRIES} are read")

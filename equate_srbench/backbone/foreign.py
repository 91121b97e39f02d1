"""Files of ``torch.save`` as data: tensors and plain values come out, nothing of the file runs.

Such a file is a zip archive of raw storages and one pickle, which is a program: to unpickle is to
run it. Here the program drives a stack machine that knows no function. Every name it asks for
stays a name, every call becomes an inert ``Thing`` with its arguments, and tensors become
``TensorRef``, whose numbers are read when they are asked for.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from equate_srbench.backbone.checkpoint import CheckpointError

T = TypeVar("T")

#: Largest pickle, most opcodes of it, and most archive entries; the release's default parameters
#: need 0.8 MB, 190,000 and 650.
MOST_PICKLE_BYTES = 1 << 24
MOST_OPCODES = 500_000
MOST_ENTRIES = 20_000

_DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
}
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f920")  # start of torch's magic number, pickled
_SCALARS = (str, bytes, int, float, type(None))
_END, _END64 = b"PK\5\6", b"PK\6\7"


class Name(str):
    """Module and name of something that the pickle asks for; it is never looked up."""

    __slots__ = ()


class Thing:
    """What would have been an object: its class or function, arguments and state.

    Attributes
    ----------
    name : str
        Such as ``argparse Namespace``.
    args : object
        Of the call that would have made it.
    state : object
        What would have become its attributes, mostly a dict; None without.
    """

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: object = ()) -> None:
        self.name, self.args, self.state = name, args, None

    def get(self, attribute: str) -> Any:
        """An entry of the state; None where there is none."""
        return self.state.get(attribute) if isinstance(self.state, dict) else None


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers in an entry of the archive."""

    kind: str
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor that has not been read: a storage, and how to look at it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class TorchFile:
    """A zip file of ``torch.save``, checked before anything of it is used.

    Entries are stored as they are, without compression, so that nothing in the file can become
    larger than the file; entries that say otherwise are refused.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    root : object
        What was saved: dict, list, tuple, str, numbers, ``Thing`` and ``TensorRef``.
    size : int
        Bytes of the file.

    Raises
    ------
    FileNotFoundError
    CheckpointError
        If it is not a whole file of this kind.
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
            if pickled.file_size > MOST_PICKLE_BYTES:
                raise self._error(f"a pickle of {pickled.file_size} bytes, at most "
                                  f"{MOST_PICKLE_BYTES} are read")  # fmt: skip
            self.root = self._guarded(lambda: Machine(self._zip.read(pickled)).run())
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def read(self, ref: TensorRef) -> Tensor:
        """The tensor itself, on the CPU, in memory of its own.

        Raises
        ------
        CheckpointError
            If its storage is missing, has another size than the tensor says, or is damaged.
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
        """Entries by their name below the archive's one folder."""
        found: dict[str, zipfile.ZipInfo] = {}
        root, total = "", 0
        for entry in self._zip.infolist():
            folder, _, name = entry.filename.partition("/")
            root = root or folder
            parts = PurePosixPath(entry.filename).parts
            if not name or folder != root or ".." in parts or "\\" in name or name in found:
                raise self._error(f"an entry named {entry.filename[:80]!r} does not belong there")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise self._error(f"entry {name[:80]!r} is compressed or encrypted")
            total += entry.file_size
            if entry.compress_size != entry.file_size or total > self.size:
                raise self._error(f"entry {name[:80]!r} says it is larger than the file")
            found[name] = entry
        return found

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise self._error(f"there is no entry {name[:80]!r}")
        return self._entries[name]

    def _optional(self, name: str, default: bytes) -> bytes:
        entry = self._entries.get(name)
        if entry is None or entry.file_size > 16:
            return default
        return self._guarded(lambda: self._zip.read(entry)).strip()

    def _guarded(self, step: Callable[[], T]) -> T:
        """What ``step`` gives; everything that a damaged file can raise in it is said alike."""
        try:
            return step()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError,
                OverflowError, struct.error, OSError) as error:  # fmt: skip
            raise self._error(f"damaged ({error})") from error

    def _error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}")


def _check_kind(path: Path, start: bytes) -> None:
    """Say what a file is that is not a zip archive."""
    if start.startswith(b"PK\3\4"):
        return
    what = "not a file of torch.save (no zip archive)"
    if start.startswith(_LEGACY):
        what = (
            "a file of the legacy format, before torch 1.6; load and save it once with the torch "
            "that wrote it or a newer one, where the file can be trusted"
        )
    elif start.startswith(b"version https://git-lfs"):
        what = "a Git LFS pointer, not the weights themselves: run `git lfs pull`"
    elif start.lstrip()[:1] == b"<":
        what = "a web page, not the weights: the download went wrong"
    elif start[8:9] == b"{":
        what = "a safetensors file; what this package converted needs no further conversion"
    raise CheckpointError(f"{path}: {what}")


def _check_directory(
    path: Path, read: Callable[[int], bytes], seek: Callable[[int], int], size: int
) -> None:
    """Refuse a directory that would take long to read, and a file without one (truncated)."""
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
    if count > MOST_ENTRIES or n_bytes > 200 * MOST_ENTRIES:
        raise CheckpointError(f"{path}: {count} entries, at most {MOST_ENTRIES} are read")


# -- the pickle --------------------------------------------------------------------------------

_Handler = Callable[["Machine"], None]
_HANDLERS: dict[int, _Handler] = {}
_STOP = 0x2E
_MOST_MARKS = 1000  # open at the same time: depth of nesting
_CONSTANTS = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}  # NONE, NEWTRUE, NEWFALSE, EMPTY_TUPLE


def _on(codes: bytes) -> Callable[[_Handler], _Handler]:
    """Register a method for opcodes."""

    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(codes, handler))
        return handler

    return register


class Machine:
    """Runs the opcodes of pickle protocol 2 on inert data; no other protocol is known.

    Own code instead of a subclass of ``pickle.Unpickler``, whose C implementation allocates what
    a file asks for (a memo of 2**32 places) and hashes what a file nests.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle describes; raises ValueError where it is no such pickle."""
        data = self.data
        try:
            for _ in range(MOST_OPCODES):
                code = data[self.at]
                self.at += 1
                if code in _CONSTANTS:
                    self.stack.append(_CONSTANTS[code])
                elif code == _STOP:
                    return self.stack.pop()
                else:
                    _HANDLERS[code](self)
        except (KeyError, IndexError, struct.error) as error:
            raise ValueError(f"broken pickle at byte {self.at}") from error
        raise ValueError(f"a pickle of more than {MOST_OPCODES} opcodes")

    def unpack(self, form: str, size: int) -> Any:
        """The next number."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def take(self, size: int) -> bytes:
        """The next bytes."""
        found = self.data[self.at : self.at + size]
        if len(found) < size:
            raise ValueError("truncated pickle")
        self.at += size
        return found

    def line(self) -> str:
        """The next line, such as the name of a module."""
        end = self.data.index(b"\n", self.at, self.at + 200)
        found = self.data[self.at : end].decode()
        self.at = end + 1
        return found

    def pop_marked(self) -> list[Any]:
        """Everything since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    # numbers, texts, containers

    @_on(b"\x80")
    def _protocol(self) -> None:
        if self.unpack("<B", 1) != 2:
            raise ValueError("not pickle protocol 2, which torch.save writes")

    @_on(b"]")
    def _list(self) -> None:
        self.stack.append([])

    @_on(b"}")
    def _dict(self) -> None:
        self.stack.append({})

    @_on(b"K")
    def _byte(self) -> None:
        self.stack.append(self.unpack("<B", 1))

    @_on(b"M")
    def _short(self) -> None:
        self.stack.append(self.unpack("<H", 2))

    @_on(b"J")
    def _int(self) -> None:
        self.stack.append(self.unpack("<i", 4))

    @_on(b"\x8a")
    def _long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.unpack("<B", 1)), "little", signed=True))

    @_on(b"G")
    def _float(self) -> None:
        self.stack.append(self.unpack(">d", 8))

    @_on(b"X")
    def _text(self) -> None:
        self.stack.append(self.take(self.unpack("<I", 4)).decode("utf-8", "surrogatepass"))

    @_on(b"U")
    def _bytes(self) -> None:
        self.stack.append(self.take(self.unpack("<B", 1)))

    @_on(b"(")
    def _mark(self) -> None:
        if len(self.marks) > _MOST_MARKS:
            raise ValueError(f"more than {_MOST_MARKS} open marks")
        self.marks.append(self.stack)
        self.stack = []

    @_on(b"0")
    def _pop(self) -> None:
        self.stack.pop()

    @_on(b"1")
    def _pop_mark(self) -> None:
        self.pop_marked()

    @_on(b"t")
    def _tuple(self) -> None:
        items = self.pop_marked()
        self.stack.append(tuple(items))

    @_on(b"\x85\x86\x87")
    def _small_tuple(self) -> None:
        size = self.data[self.at - 1] - 0x84
        if len(self.stack) < size:
            raise IndexError
        self.stack[-size:] = [tuple(self.stack[-size:])]

    @_on(b"ae")
    def _append(self) -> None:
        many = self.data[self.at - 1] == 0x65
        items = self.pop_marked() if many else [self.stack.pop()]
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Thing):  # a Thing's content is of no use
            raise ValueError("something is appended to what is no list")

    @_on(b"su")
    def _set_items(self) -> None:
        many = self.data[self.at - 1] == 0x75
        items = self.pop_marked() if many else [self.stack.pop(-2), self.stack.pop()]
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # nested tuples take exponential time to hash: other keys go by identity
                target[key if isinstance(key, _SCALARS) else Thing("key", key)] = value
        elif not isinstance(target, Thing):
            raise ValueError("an item is set in what is no dict")

    # memo

    @_on(b"q")
    def _put(self) -> None:
        self.memo[self.unpack("<B", 1)] = self.stack[-1]

    @_on(b"r")
    def _long_put(self) -> None:
        self.memo[self.unpack("<I", 4)] = self.stack[-1]

    @_on(b"h")
    def _get(self) -> None:
        self.stack.append(self.memo[self.unpack("<B", 1)])

    @_on(b"j")
    def _long_get(self) -> None:
        self.stack.append(self.memo[self.unpack("<I", 4)])

    # names and what would be made of them

    @_on(b"c")
    def _global(self) -> None:
        self.stack.append(Name(f"{self.line()} {self.line()}"))

    @_on(b"Q")
    def _persistent(self) -> None:
        self.stack.append(_storage(self.stack.pop()))

    @_on(b"R\x81")
    def _call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, (Name, Thing)) or not isinstance(args, tuple):
            raise ValueError("a call of what is no name")
        name = function if isinstance(function, Name) else function.name
        self.stack.append(_made(name, args))

    @_on(b"b")
    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Thing):
            target.state = state


def _made(name: str, args: tuple[Any, ...]) -> Any:
    """What a call stands for: a tensor, an empty dict, or a thing."""
    if name == "torch._utils _rebuild_tensor_v2":
        return _tensor(args)
    if name == "torch._utils _rebuild_parameter" and args and isinstance(args[0], TensorRef):
        return args[0]
    if name in ("collections OrderedDict", "collections defaultdict"):
        return {}  # its items follow
    return Thing(name, args)


def _storage(what: Any) -> Storage:
    """A storage from its persistent id."""
    match what:
        case ("storage", Name() as kind, str() as key, str(), int() as numel) if 0 <= numel < 2**40:
            return Storage(str(kind), key, numel)
    raise ValueError("a persistent id that is no storage")


def _tensor(args: tuple[Any, ...]) -> TensorRef:
    """A tensor from the arguments of its call."""
    match args:
        case (Storage() as storage, int() as offset, tuple() as shape, tuple() as stride, *_):
            numbers = (offset, *shape, *stride)
            if len(shape) == len(stride) <= 8 and all(
                type(n) is int and 0 <= n < 2**40 for n in numbers
            ):
                return TensorRef(storage, offset, shape, stride)
    raise ValueError("a tensor that is none")

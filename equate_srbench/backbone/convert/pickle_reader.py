"""Parses a pickle of ``torch.save`` as data: a stack machine that calls no functions.

Imported names stay strings, calls become ``InertObject`` records with their arguments, and tensors
become ``TensorRef``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Largest number of opcodes; the release's default parameters need 190,000.
MAX_OPCODES = 500_000
_MAX_MARKS = 1000  # nesting depth

_SCALARS = (str, bytes, int, float, type(None))


class Name(str):
    """Module and name of a global in the pickle; it is never resolved."""

    __slots__ = ()


class InertObject:
    """Inert record of an object: its class or function, arguments and state.

    Attributes
    ----------
    name : str
        Class or function, such as ``argparse Namespace``.
    args : object
        Arguments of the call.
    state : object
        Usually a dict of attributes; None without.
    """

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: object = ()) -> None:
        self.name, self.args, self.state = name, args, None

    def get(self, attribute: str) -> Any:
        """An attribute from the state; None if missing."""
        return self.state.get(attribute) if isinstance(self.state, dict) else None


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage: an archive entry of numbers."""

    kind: str
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor not yet read: storage, offset, shape and stride."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_Handler = Callable[["Machine"], None]
_HANDLERS: dict[int, _Handler] = {}
_STOP = 0x2E
_CONSTANTS = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}  # NONE, NEWTRUE, NEWFALSE, EMPTY_TUPLE


def _on(codes: bytes) -> Callable[[_Handler], _Handler]:
    """Register a method for opcodes."""

    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(codes, handler))
        return handler

    return register


class Machine:
    """Interprets the opcodes of pickle protocol 2, the only one accepted, on inert data.

    Not a subclass of ``pickle.Unpickler``, whose C implementation allocates what a file requests (a
    memo of 2**32 entries) and hashes nested tuples.

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
        """Interpret the pickle; ValueError if it is malformed."""
        data = self.data
        try:
            for _ in range(MAX_OPCODES):
                code = data[self.at]
                self.at += 1
                if code in _CONSTANTS:
                    self.stack.append(_CONSTANTS[code])
                elif code == _STOP:
                    return self.stack.pop()
                else:
                    _HANDLERS[code](self)
        except (KeyError, IndexError, struct.error) as error:
            raise ValueError(f"malformed pickle at byte {self.at}") from error
        raise ValueError(f"a pickle of more than {MAX_OPCODES} opcodes")

    def unpack(self, form: str, size: int) -> Any:
        """Read a number."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def take(self, size: int) -> bytes:
        """Read bytes."""
        found = self.data[self.at : self.at + size]
        if len(found) < size:
            raise ValueError("truncated pickle")
        self.at += size
        return found

    def line(self) -> str:
        """Read a line, such as the name of a module."""
        end = self.data.index(b"\n", self.at, self.at + 200)
        found = self.data[self.at : end].decode()
        self.at = end + 1
        return found

    def pop_marked(self) -> list[Any]:
        """Pop everything since the last mark."""
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
        if len(self.marks) > _MAX_MARKS:
            raise ValueError(f"more than {_MAX_MARKS} open marks")
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
        elif not isinstance(target, InertObject):  # contents of a InertObject are not needed
            raise ValueError("append to something that is not a list")

    @_on(b"su")
    def _set_items(self) -> None:
        many = self.data[self.at - 1] == 0x75
        items = self.pop_marked() if many else [self.stack.pop(-2), self.stack.pop()]
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # nested tuples take exponential time to hash: other keys are compared by identity
                target[key if isinstance(key, _SCALARS) else InertObject("key", key)] = value
        elif not isinstance(target, InertObject):
            raise ValueError("item assignment to something that is not a dict")

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

    # globals and calls

    @_on(b"c")
    def _global(self) -> None:
        self.stack.append(Name(f"{self.line()} {self.line()}"))

    @_on(b"Q")
    def _persistent(self) -> None:
        self.stack.append(_storage(self.stack.pop()))

    @_on(b"R\x81")
    def _call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, (Name, InertObject)) or not isinstance(args, tuple):
            raise ValueError("call of something that is not a name")
        name = function if isinstance(function, Name) else function.name
        self.stack.append(_made(name, args))

    @_on(b"b")
    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, InertObject):
            target.state = state


def _made(name: str, args: tuple[Any, ...]) -> Any:
    """Result of a call: a tensor, an empty dict, or a ``InertObject``."""
    if name == "torch._utils _rebuild_tensor_v2":
        return _tensor(args)
    if name == "torch._utils _rebuild_parameter" and args and isinstance(args[0], TensorRef):
        return args[0]
    if name in ("collections OrderedDict", "collections defaultdict"):
        return {}  # its items follow
    return InertObject(name, args)


def _storage(what: Any) -> Storage:
    """A storage from its persistent id."""
    match what:
        case ("storage", Name() as kind, str() as key, str(), int() as numel) if 0 <= numel < 2**40:
            return Storage(str(kind), key, numel)
    raise ValueError("persistent id is not a storage")


def _tensor(args: tuple[Any, ...]) -> TensorRef:
    """A tensor from the arguments of its call."""
    match args:
        case (Storage() as storage, int() as offset, tuple() as shape, tuple() as stride, *_):
            numbers = (offset, *shape, *stride)
            if len(shape) == len(stride) <= 8 and all(
                type(n) is int and 0 <= n < 2**40 for n in numbers
            ):
                return TensorRef(storage, offset, shape, stride)
    raise ValueError("invalid tensor")

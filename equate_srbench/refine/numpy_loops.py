"""The operator table as programs for the compiled kernel: NumPy loops on registers.

Each operator (and each derivative rule) is called once with recording arguments, which gives the
array operations it consists of. The kernel then calls the very loops NumPy would call, through
the addresses that every ``ufunc`` carries in its C structure (``PyUFuncObject``, documented in
NumPy's C API): values are those of ``evaluate``, vectorised by NumPy for this processor, and
nothing of it has to be compiled at a user's first fit.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import OPERATORS, VARIABLE
from equate_srbench.refine.derivatives import RULES

# Registers are rows of the kernel's memory. The first five stand for rows that change from node
# to node; the next ones are fixed rows: literals, then temporaries.
A, B, OUT, UP, RESULT = range(5)
LITERALS = (1.0, 3.0)
FIRST_LITERAL = 5
FIRST_TEMPORARY = FIRST_LITERAL + len(LITERALS)
TEMPORARIES = 5
REGISTERS = FIRST_TEMPORARY + TEMPORARIES

VALUE, FIRST, SECOND = range(3)  # what recorded steps compute: a value or a derivative


class LoopTable(NamedTuple):
    """All operators and their derivatives as arrays of int64.

    Attributes
    ----------
    steps : ndarray of shape (n_steps, 6)
        Address of a NumPy loop, its data pointer, its number of inputs, the registers of the
        inputs (the same twice for one input) and of the output.
    spans : ndarray of shape (64, 4)
        By operator code: where the steps of the value, of the first and of the second derivative
        begin, and where the last ends. No steps: the derivative is the register ``UP`` itself.
    """

    steps: NDArray[np.int64]
    spans: NDArray[np.int64]


class _Register:
    """A symbolic array that records the operations applied to it."""

    def __init__(self, recorder: _Recorder, number: int) -> None:
        self.recorder = recorder
        self.number = number

    def __add__(self, other: Any) -> _Register:
        return self.recorder.add(self, other)

    def __radd__(self, other: Any) -> _Register:
        return self.recorder.add(other, self)

    def __sub__(self, other: Any) -> _Register:
        return self.recorder.subtract(self, other)

    def __rsub__(self, other: Any) -> _Register:
        return self.recorder.subtract(other, self)

    def __mul__(self, other: Any) -> _Register:
        return self.recorder.multiply(self, other)

    def __truediv__(self, other: Any) -> _Register:
        return self.recorder.divide(self, other)

    def __rtruediv__(self, other: Any) -> _Register:
        return self.recorder.divide(other, self)

    def __pow__(self, other: Any) -> _Register:
        return self.recorder.power(self, other)


class _Recorder:
    """A symbolic array module that collects (ufunc name, inputs, output register)."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[int], int]] = []

    def __getattr__(self, name: str) -> Callable[..., _Register]:
        def record(*args: Any) -> _Register:
            inputs = [
                a.number if isinstance(a, _Register) else FIRST_LITERAL + LITERALS.index(a)
                for a in args
            ]
            out = FIRST_TEMPORARY + len(self.steps)
            self.steps.append((name, inputs, out))
            return _Register(self, out)

        return record

    def recorded(self, result: _Register) -> list[tuple[str, list[int], int]]:
        """The recorded steps; the last one computes ``result``."""
        if not self.steps:
            if result.number != UP:
                raise ValueError("a derivative rule without operations must return ``up``")
            return []
        name, inputs, _ = self.steps[-1]
        if len(self.steps) > TEMPORARIES + 1:
            raise ValueError(f"{len(self.steps)} operations in one rule, {TEMPORARIES + 1} allowed")
        return [*self.steps[:-1], (name, inputs, RESULT)]


def build_loop_table() -> LoopTable:
    """Record all operators and their derivatives."""
    steps: list[tuple[int, ...]] = []
    spans = np.zeros((VARIABLE, 4), dtype=np.int64)
    for op in OPERATORS:
        inputs = [A, B][: op.arity]
        rules = [(op.array, inputs)]
        rules += [(rule, [UP, *inputs, OUT]) for rule in RULES[op.name]]
        for kind, (rule, registers) in enumerate(rules):
            recorder = _Recorder()
            result = rule(recorder, *(_Register(recorder, r) for r in registers))
            spans[op.code, kind] = len(steps)
            for name, ins, out in recorder.recorded(result):
                steps.append((*_double_loop(getattr(np, name)), ins[0], ins[-1], out))
            spans[op.code, kind + 1 :] = len(steps)
    return LoopTable(np.array(steps, dtype=np.int64), spans)


class _UfuncHead(ctypes.Structure):
    """The first fields of ``PyUFuncObject`` (numpy/ufuncobject.h), without the object header."""

    _fields_ = (
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved1", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


def _double_loop(ufunc: np.ufunc) -> tuple[int, int, int]:
    """Address, data pointer and number of inputs of the float64 loop of ``ufunc``."""
    head = _UfuncHead.from_address(id(ufunc) + object.__basicsize__)
    known = (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes)
    if (head.nin, head.nout, head.nargs, head.ntypes) != known:
        raise RuntimeError(f"unknown memory layout of ufuncs in NumPy {np.__version__}")
    chosen = ufunc.types.index("d" * ufunc.nin + "->" + "d")
    return head.functions[chosen] or 0, head.data[chosen] or 0, ufunc.nin

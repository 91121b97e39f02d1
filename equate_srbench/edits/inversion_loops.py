"""Compiled semantic backpropagation: targets and weights of all nodes of one program.

Importing this module compiles (or loads) the entry point: import it where it is first needed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numpy.typing import NDArray

from equate_srbench.expr import operators
from equate_srbench.expr.operators import ARITY, BY_NAME, VARIABLE
from equate_srbench.refine.compiling import compiled, inner

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_ARITY = np.array(ARITY, dtype=np.int64)
_CODES = {name: op.code for name, op in BY_NAME.items()}
_ADD, _SUB, _MUL, _DIV, _POW = (_CODES[name] for name in ("add", "sub", "mul", "div", "pow"))
_ABS, _INV, _SQRT, _SQUARE = (_CODES[name] for name in ("abs", "inv", "sqrt", "square"))
_CUBE, _EXP, _LOG, _SIN, _COS = (_CODES[name] for name in ("cube", "exp", "log", "sin", "cos"))
_TAN, _ARCSIN, _ARCCOS = (_CODES[name] for name in ("tan", "arcsin", "arccos"))
_ARCTAN, _TANH = (_CODES[name] for name in ("arctan", "tanh"))
_TURN = 2.0 * math.pi


@inner()
def _nearest(principal: float, mirror: float, now: float) -> float:
    """The nearest to ``now`` among ``principal + 2 pi k`` and ``mirror + 2 pi k``."""
    a = principal + _TURN * np.rint((now - principal) / _TURN)
    b = mirror + _TURN * np.rint((now - mirror) / _TURN)
    return float(a if abs(a - now) <= abs(b - now) else b)


@inner()
def _first(s: int, d: float, now: float, other: float) -> tuple[float, float]:
    """First argument for which operator ``s`` is ``d``, and the slope of the operator there."""
    if s == _ADD:
        return d - other, 1.0
    if s == _SUB:
        return d + other, 1.0
    if s == _MUL:
        return d / other, other
    if s == _DIV:
        return d * other, 1.0 / other
    if s == _POW:
        a = d ** (1.0 / other)
        return a, other * a ** (other - 1.0)
    if s == _ABS:
        return (-d if now < 0.0 else d) if d >= 0.0 else np.nan, 1.0
    if s == _INV:
        return 1.0 / d, -d * d
    if s == _SQRT:
        return d * d if d >= 0.0 else np.nan, 0.5 / math.sqrt(max(d * d, 1e-12))
    if s == _SQUARE:
        a = math.copysign(math.sqrt(d), -1.0 if now < 0.0 else 1.0)
        return a, 2.0 * a
    if s == _CUBE:
        a = math.copysign(abs(d) ** (1.0 / 3.0), d)
        return a, 3.0 * a * a
    if s == _EXP:
        return math.log(d), d
    if s == _LOG:
        a = math.exp(d)
        return a, 1.0 / a
    if s == _SIN:
        a = math.asin(d)
        a = _nearest(a, math.pi - a, now)
        return a, math.cos(a)
    if s == _COS:
        a = math.acos(d)
        a = _nearest(a, -a, now)
        return a, -math.sin(a)
    if s == _TAN:
        a = math.atan(d)
        return a + math.pi * np.rint((now - a) / math.pi), 1.0 + d * d
    if s == _ARCSIN:
        a = math.sin(d) if abs(d) <= 0.5 * math.pi else np.nan
        return a, 1.0 / math.sqrt(max(1.0 - a * a, 1e-9))
    if s == _ARCCOS:
        a = math.cos(d) if 0.0 <= d <= math.pi else np.nan
        return a, -1.0 / math.sqrt(max(1.0 - a * a, 1e-9))
    if s == _ARCTAN:
        a = math.tan(d) if abs(d) < 0.5 * math.pi else np.nan
        return a, 1.0 / (1.0 + a * a)
    return math.atanh(d), 1.0 - d * d  # tanh


@inner()
def _second(s: int, d: float, other: float) -> tuple[float, float]:
    """Second argument for which operator ``s`` is ``d``, and the slope of the operator there."""
    if s == _ADD:
        return d - other, 1.0
    if s == _SUB:
        return other - d, -1.0
    if s == _MUL:
        return d / other, other
    if s == _DIV:
        a = other / d
        return a, -other / (a * a)
    return math.log(d) / math.log(other), math.log(other) * d  # pow


_MATRIX, _INTS = types.float64[:, ::1], types.int64[::1]


@compiled(
    _INTS, types.int64[:, ::1], _MATRIX, types.float64, types.float64, _MATRIX, _MATRIX, _INTS,
    among=(operators,),
)  # fmt: skip
def propagate(
    code: Ints, places: Ints, values: Array, fewest: float, most: float, targets: Array,
    weights: Array, usable: Ints,
) -> None:  # fmt: skip
    """Fill targets and weights of all nodes from those of the root, node 0.

    ``places[0]`` has the second argument of each node (the first one follows it), ``places[1]`` the
    row of ``values`` that holds its values. ``usable[i]`` becomes 1 where at least ``fewest`` rows
    have a target; the others have weight 0. No weight exceeds ``most`` times the squared mean of
    the weights' roots: no row may dominate.
    """
    n = targets.shape[1]
    usable[0] = 1
    for i in range(code.shape[0]):
        s = code[i]
        count, total = 0, 0.0
        for r in range(n):
            d, w = targets[i, r], weights[i, r]
            if abs(d) < np.inf and 0.0 < w < np.inf:
                count += 1
                total += math.sqrt(w)
            else:
                targets[i, r] = weights[i, r] = 0.0
        if usable[i] == 0 or count < fewest:
            usable[i] = 0
        cap = most * (total / n) ** 2
        for which in range(_ARITY[s] if s < VARIABLE else 0):
            child = i + 1 if which == 0 else places[0, i]
            usable[child] = usable[i]
            sibling = values[places[1, places[0, i] if which == 0 else i + 1]]
            now = values[places[1, child]]
            for r in range(n):
                if weights[i, r] == 0.0 or usable[i] == 0:
                    targets[child, r] = weights[child, r] = 0.0
                    continue
                weights[i, r] = min(weights[i, r], cap)
                if which == 0:
                    d, slope = _first(s, targets[i, r], now[r], sibling[r])
                else:
                    d, slope = _second(s, targets[i, r], sibling[r])
                targets[child, r], weights[child, r] = d, weights[i, r] * slope * slope
        if s >= VARIABLE or _ARITY[s] == 0:
            for r in range(n):
                weights[i, r] = min(weights[i, r], cap)

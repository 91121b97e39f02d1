"""Compiled normal form of prefix programs, and its hash.

A formula whose scale and offset are fitted has many spellings: ``2 * (3 * x + 1)`` is ``x``, and
``(2 * x) * y`` is ``x * y``. ``tidy`` moves constant factors and terms outwards, where they meet
and become one, or none at the root; the hash does not depend on the order of terms and factors.
The search thus tries a formula once, at its true size, with as few constants as it needs.

Arrays are changed in place, and all sizes are bounded by those of the arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import ARITY, BY_NAME, CONSTANT, VARIABLE
from equate_srbench.refine.compiling import inner

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_ARITY = np.array(ARITY, dtype=np.int64)
_ADD, _SUB, _MUL, _DIV, _POW = (BY_NAME[name].code for name in ("add", "sub", "mul", "div", "pow"))
_INV, _ABS, _SQRT = (BY_NAME[name].code for name in ("inv", "abs", "sqrt"))
_SQUARE, _CUBE = BY_NAME["square"].code, BY_NAME["cube"].code
_EXP, _LOG = BY_NAME["exp"].code, BY_NAME["log"].code

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


@inner()
def arity_of(symbol: int) -> int:
    """Number of arguments of a symbol."""
    return int(_ARITY[symbol]) if symbol < VARIABLE else 0


@inner()
def end_of(code: Ints, at: int) -> int:
    """Index just past the subtree rooted at ``at``."""
    missing = 1
    while missing > 0:
        missing += arity_of(code[at]) - 1
        at += 1
    return at


@inner()
def mixed(word: np.uint64) -> np.uint64:
    """The word with all its bits spread: the output function of SplitMix64 (Steele et al. 2014)."""
    word = (word ^ (word >> _SHIFT_1)) * _MIX_1
    word = (word ^ (word >> _SHIFT_2)) * _MIX_2
    return word ^ (word >> _SHIFT_3)


@inner()
def _cut(code: Ints, value: Floats, first: int, at: int, n: int) -> int:
    """Remove ``n`` symbols at ``at`` by moving those from ``first`` on; return the new first."""
    for i in range(at - 1, first - 1, -1):
        code[i + n] = code[i]
        value[i + n] = value[i]
    return first + n


@inner()
def _unary(code: Ints, value: Floats, pos: int) -> int:
    """Tidy the function at ``pos``, whose argument is tidy; return where it begins now."""
    s, c = code[pos], code[pos + 1]
    if c == CONSTANT:
        return pos + 1
    undone = (s == _EXP and c == _LOG) or (s == _LOG and c == _EXP) or (s == _INV and c == _INV)
    if undone or (s == _SQUARE and c == _SQRT):
        return pos + 2
    if c == _DIV and s == _INV and code[pos + 2] == CONSTANT and value[pos + 2] != 0.0:
        code[pos + 1] = _MUL
        value[pos + 2] = 1.0 / value[pos + 2]
        return pos + 1
    if c != _MUL or code[pos + 2] != CONSTANT:
        return pos
    v = value[pos + 2]
    if s == _INV and v != 0.0:
        v = 1.0 / v
    elif s == _SQUARE:
        v *= v
    elif s == _CUBE:
        v *= v * v
    elif s == _ABS:
        v = abs(v)
    elif s == _SQRT and v > 0.0:
        v = np.sqrt(v)
    else:
        return pos
    code[pos], code[pos + 1], code[pos + 2] = _MUL, CONSTANT, s
    value[pos + 1], value[pos + 2] = v, 0.0
    return pos


@inner()
def _collected(code: Ints, value: Floats, pos: int) -> int:
    """Collect the constants of a sum (product) of two tidy arguments in front of it."""
    s = code[pos]
    is_sum = s in (_ADD, _SUB)
    plus, minus = (_ADD, _SUB) if is_sum else (_MUL, _DIV)
    total = 0.0 if is_sum else 1.0
    found = False
    b = end_of(code, pos + 1)
    if code[b] == CONSTANT:  # a + c
        total = _joined(total, value[b], is_sum, s == plus)
        pos = _cut(code, value, pos, b, 1) + 1  # without the operator
        s, found = CONSTANT, True
    elif code[b] in (plus, minus) and code[b + 1] == CONSTANT:  # a + (c + b), a + (c - b)
        total = _joined(total, value[b + 1], is_sum, s == plus)
        if code[b] == minus:
            s = plus if s == minus else minus
        pos, found = _cut(code, value, pos, b, 2), True
        code[pos] = s
    elif not is_sum and code[b] == _INV:  # a * (1 / b)
        s = plus if s == minus else minus
        pos = _cut(code, value, pos, b, 1)
        code[pos] = s
    first = pos if s == CONSTANT else pos + 1
    if code[first] == plus and code[first + 1] == CONSTANT:  # (c + a) + b
        total = _joined(total, value[first + 1], is_sum, True)
        pos, found = _cut(code, value, pos, first, 2), True
    if not found:
        return pos
    code[pos - 2], code[pos - 1] = plus, CONSTANT
    value[pos - 2], value[pos - 1] = 0.0, total
    return pos - 2


@inner()
def _joined(total: float, v: float, is_sum: bool, is_plus: bool) -> float:
    """``total`` plus, minus, times or over ``v``."""
    if is_sum:
        return total + v if is_plus else total - v
    return total * v if is_plus else total / v


@inner()
def _after_constant(code: Ints, value: Floats, pos: int) -> int:
    """Tidy ``c + b``, ``c - b``, ``c * b`` or ``c / b`` with a tidy ``b``."""
    s, inside = code[pos], code[pos + 2]
    is_sum = s in (_ADD, _SUB)
    plus, minus = (_ADD, _SUB) if is_sum else (_MUL, _DIV)
    if inside in (plus, minus) and code[pos + 3] == CONSTANT:
        value[pos + 3] = _joined(value[pos + 1], value[pos + 3], is_sum, s == plus)
        code[pos + 2] = plus if (s == minus) == (inside == minus) else minus
        return pos + 2
    if not is_sum and inside == _INV:
        v = value[pos + 1]
        code[pos + 1], code[pos + 2] = (minus if s == plus else plus), CONSTANT
        value[pos + 1], value[pos + 2] = 0.0, v
        return pos + 1
    return pos


@inner()
def _binary(code: Ints, value: Floats, pos: int) -> int:
    """Tidy the operator at ``pos``, whose arguments are tidy; return where it begins now."""
    s, b = code[pos], end_of(code, pos + 1)
    if code[pos + 1] == CONSTANT and code[b] == CONSTANT:
        return b
    if s == _POW:
        return pos
    n = b - pos - 1
    same = end_of(code, b) - b == n
    for i in range(n):
        same = same and code[b + i] == code[pos + 1 + i] and value[b + i] == value[pos + 1 + i]
    if same and s in (_SUB, _DIV):
        code[b + n - 1], value[b + n - 1] = CONSTANT, 1.0
        return b + n - 1
    if same and s == _MUL:
        code[b - 1] = _SQUARE
        return _unary(code, value, b - 1)
    if same:  # a + a
        pos = b - 2
        code[pos], code[pos + 1] = _MUL, CONSTANT
        value[pos], value[pos + 1] = 0.0, 2.0
    elif s == _SUB and code[b] == _MUL and code[b + 1] == CONSTANT:
        code[pos], value[b + 1] = _ADD, -value[b + 1]  # the sign belongs to the constant
    if code[pos + 1] != CONSTANT:
        pos = _collected(code, value, pos)
    return _after_constant(code, value, pos) if code[pos + 1] == CONSTANT else pos


@inner()
def tidy(code: Ints, value: Floats, n: int, out: Ints, out_value: Floats) -> int:
    """Write the normal form of a program into the end of ``out``; return where it begins.

    ``value`` has a number at each constant and 0 elsewhere. Equal to the program but for scale and
    offset, where the program is defined.
    """
    pos = out.shape[0]
    for i in range(n - 1, -1, -1):
        pos -= 1
        out[pos], out_value[pos] = code[i], value[i]
        arguments = arity_of(code[i])
        if arguments == 1:
            pos = _unary(out, out_value, pos)
        elif arguments == 2:
            pos = _binary(out, out_value, pos)
    while pos + 2 < out.shape[0] and out[pos + 1] == CONSTANT:
        if out[pos] in (_ADD, _SUB, _MUL):
            pos += 2
        elif out[pos] == _DIV:
            out[pos + 1], out_value[pos + 1] = _INV, 0.0
            pos = _unary(out, out_value, pos + 1)
        else:
            break
    return pos


@inner()
def fingerprint(code: Ints, begin: int, words: Words, symbols: Ints) -> np.uint64:
    """Hash of a skeleton that does not depend on the order of terms in a sum or of factors.

    ``words`` (2, nodes) and ``symbols`` are workspace: a stack of hashes, of sums of hashes in
    chains of one commutative operator, and of root symbols.
    """
    top = -1
    for i in range(code.shape[0] - 1, begin - 1, -1):
        s = code[i]
        arguments = arity_of(s)
        word = np.uint64(s) * _GOLDEN
        chain = word
        if arguments == 1:
            word = mixed(words[0, top] ^ word)
            top -= 1
        elif arguments == 2 and s in (_ADD, _MUL):
            chain = np.uint64(0)
            for argument in (top, top - 1):
                of_chain = symbols[argument] == s
                chain += words[1, argument] if of_chain else words[0, argument]
            word = mixed(chain ^ word)
            top -= 2
        elif arguments == 2:
            word = mixed(words[0, top] ^ mixed(words[0, top - 1] + word))
            top -= 2
        else:
            word = mixed(word + _GOLDEN)
        top += 1
        words[0, top], words[1, top], symbols[top] = word, chain, s
    return words[0, 0]

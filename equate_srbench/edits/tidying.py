"""Compiled normal form of formulas, and its hash.

A formula whose scale and offset are fitted has many spellings: ``2 * (3 * x + 1)`` is ``x``, and
``(2 * x) * y`` is ``x * y``. ``tidy`` moves constant factors and terms outwards, where they meet
and become one, or none at the root; the hash does not depend on the order of terms and factors.
The search thus tries a formula once, at its true size, with as few constants as it needs.

A formula is an array ``tree`` of float64 with a row (symbol, value) for each node in prefix order;
the value is that of a constant, else 0.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import ARITY, BY_NAME, CONSTANT, VARIABLE
from equate_srbench.refine.compiling import inner

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_ARITY = np.array(ARITY, dtype=np.int64)
_ADD, _SUB, _MUL, _DIV, _POW = (
    float(BY_NAME[name].code) for name in ("add", "sub", "mul", "div", "pow")
)
_INV, _ABS, _SQRT, _SQUARE, _CUBE, _EXP, _LOG = (
    float(BY_NAME[name].code) for name in ("inv", "abs", "sqrt", "square", "cube", "exp", "log")
)
_NUMBER = float(CONSTANT)
_ONE, _TWO = cast("int", np.int64(1)), cast("int", np.int64(2))  # no literals, see ``inner``

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


@inner()
def arity_of(symbol: float) -> int:
    """Number of arguments of a symbol."""
    return int(_ARITY[int(symbol)]) if symbol < VARIABLE else 0


@inner()
def _either(symbol: float, one: float, other: float) -> bool:
    """Whether a symbol is one of two."""
    return symbol == one or symbol == other  # a tuple takes long to compile


@inner()
def end_of(tree: Floats, at: int) -> int:
    """Index just past the subtree rooted at ``at``."""
    missing = 1
    while missing > 0:
        missing += arity_of(tree[at, 0]) - 1
        at += 1
    return at


@inner()
def mixed(word: np.uint64) -> np.uint64:
    """The word with all its bits spread: the output function of SplitMix64 (Steele et al. 2014)."""
    word = (word ^ (word >> _SHIFT_1)) * _MIX_1
    word = (word ^ (word >> _SHIFT_2)) * _MIX_2
    return word ^ (word >> _SHIFT_3)


@inner()
def put(tree: Floats, at: int, symbol: float, value: float) -> None:
    """Write a node."""
    tree[at, 0], tree[at, 1] = symbol, value


@inner()
def _cut(tree: Floats, first: int, at: int, n: int) -> int:
    """Remove ``n`` nodes at ``at`` by moving those from ``first`` on; return the new first."""
    for i in range(at - 1, first - 1, -1):
        tree[i + n, 0], tree[i + n, 1] = tree[i, 0], tree[i, 1]
    return first + n


@inner()
def _unary(tree: Floats, pos: int) -> int:
    """Tidy the function at ``pos``, whose argument is tidy; return where it begins now."""
    s, c = tree[pos, 0], tree[pos + 1, 0]
    if c == _NUMBER:
        return pos + 1
    undone = (s == _EXP and c == _LOG) or (s == _LOG and c == _EXP) or (s == _INV and c == _INV)
    if undone or (s == _SQUARE and c == _SQRT):
        return pos + 2
    if (c != _MUL and c != _DIV) or tree[pos + 2, 0] != _NUMBER:
        return pos
    v = tree[pos + 2, 1]
    if c == _DIV:
        if s != _INV or v == 0.0:
            return pos
        put(tree, pos + 1, _MUL, 0.0)
        tree[pos + 2, 1] = 1.0 / v
        return pos + 1
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
    put(tree, pos, _MUL, 0.0)
    put(tree, pos + 1, _NUMBER, v)
    put(tree, pos + 2, s, 0.0)
    return pos


@inner()
def _joined(total: float, v: float, is_sum: bool, is_plus: bool) -> float:
    """``total`` plus, minus, times or over ``v``."""
    if is_sum:
        return total + v if is_plus else total - v
    return total * v if is_plus else total / v


@inner()
def _collected(tree: Floats, pos: int) -> int:
    """Collect the constants of a sum (product) of two tidy arguments in front of it."""
    s = tree[pos, 0]
    is_sum = _either(s, _ADD, _SUB)
    plus, minus = (_ADD, _SUB) if is_sum else (_MUL, _DIV)
    total, found, alone = (0.0 if is_sum else 1.0), False, False
    b = end_of(tree, pos + 1)
    inside = tree[b, 0]
    if inside == _NUMBER:  # a + c
        total = _joined(total, tree[b, 1], is_sum, s == plus)
        pos, found, alone = _cut(tree, pos, b, _ONE) + 1, True, True  # without the operator
    elif _either(inside, plus, minus) and tree[b + 1, 0] == _NUMBER:  # a + (c - b)
        total = _joined(total, tree[b + 1, 1], is_sum, s == plus)
        pos, found = _cut(tree, pos, b, _TWO), True
        if inside == minus:
            tree[pos, 0] = plus if s == minus else minus
    elif inside == _INV and not is_sum:  # a * (1 / b)
        pos = _cut(tree, pos, b, _ONE)
        tree[pos, 0] = plus if s == minus else minus
    first = pos if alone else pos + 1
    if tree[first, 0] == plus and tree[first + 1, 0] == _NUMBER:  # (c + a) + b
        v = tree[first + 1, 1]
        total = total + v if is_sum else total * v
        pos, found = _cut(tree, pos, first, _TWO), True
    if not found:
        return pos
    put(tree, pos - 2, plus, 0.0)
    put(tree, pos - 1, _NUMBER, total)
    return pos - 2


@inner()
def _after_constant(tree: Floats, pos: int) -> int:
    """Tidy ``c + b``, ``c - b``, ``c * b`` or ``c / b`` with a tidy ``b``."""
    s, v, inside = tree[pos, 0], tree[pos + 1, 1], tree[pos + 2, 0]
    is_sum = _either(s, _ADD, _SUB)
    plus, minus = (_ADD, _SUB) if is_sum else (_MUL, _DIV)
    if _either(inside, plus, minus) and tree[pos + 3, 0] == _NUMBER:
        put(tree, pos + 2, plus if (s == minus) == (inside == minus) else minus, 0.0)
        tree[pos + 3, 1] = _joined(v, tree[pos + 3, 1], is_sum, s == plus)
        return pos + 2
    if inside == _INV and not is_sum:
        put(tree, pos + 1, minus if s == plus else plus, 0.0)
        put(tree, pos + 2, _NUMBER, v)
        return pos + 1
    return pos


@inner()
def _binary(tree: Floats, pos: int) -> int:
    """Tidy the operator at ``pos``, whose arguments are tidy; return where it begins now."""
    s, b = tree[pos, 0], end_of(tree, pos + 1)
    if tree[pos + 1, 0] == _NUMBER and tree[b, 0] == _NUMBER:
        return b
    if s == _POW:
        return pos
    n = b - pos - 1
    same = end_of(tree, b) - b == n
    for i in range(n):
        same = same and tree[b + i, 0] == tree[pos + 1 + i, 0]
        same = same and tree[b + i, 1] == tree[pos + 1 + i, 1]
    if same and _either(s, _SUB, _DIV):
        put(tree, b + n - 1, _NUMBER, 0.0 if s == _SUB else 1.0)
        return b + n - 1
    if same and s == _MUL:
        put(tree, b - 1, _SQUARE, 0.0)
        return _unary(tree, b - 1)
    if same:  # a + a
        pos = b - 2
        put(tree, pos, _MUL, 0.0)
        put(tree, pos + 1, _NUMBER, 2.0)
    elif s == _SUB and tree[b, 0] == _MUL and tree[b + 1, 0] == _NUMBER:
        tree[pos, 0], tree[b + 1, 1] = _ADD, -tree[b + 1, 1]  # the sign belongs to the constant
    if tree[pos + 1, 0] != _NUMBER:
        pos = _collected(tree, pos)
    return _after_constant(tree, pos) if tree[pos + 1, 0] == _NUMBER else pos


@inner()
def tidy(tree: Floats, n: int, out: Floats) -> int:
    """Write the normal form of ``n`` nodes into the end of ``out``; return where it begins.

    Equal to the formula but for scale and offset, where the formula is defined. Functions of
    constants alone become one constant, whose value is for the fit to find.
    """
    pos: int = out.shape[0]
    for i in range(n - 1, -1, -1):
        pos -= 1
        put(out, pos, tree[i, 0], tree[i, 1])
        arguments = arity_of(tree[i, 0])
        if arguments == 1:
            pos = _unary(out, pos)
        elif arguments == 2:
            pos = _binary(out, pos)
    while pos + 2 < out.shape[0] and out[pos + 1, 0] == _NUMBER and out[pos, 0] != _POW:
        if out[pos, 0] == _DIV:
            put(out, pos + 1, _INV, 0.0)
            pos = _unary(out, pos + 1)
        else:
            pos += 2
    return pos


@inner()
def fingerprint(tree: Floats, begin: int, words: Words) -> np.uint64:
    """Hash of a skeleton that does not depend on the order of terms in a sum or of factors.

    A difference is hashed as a sum, a quotient as a product. ``words`` (3, nodes) is workspace: a
    stack of hashes, of sums of hashes in sums or products, and of root symbols.
    """
    top = -1
    for i in range(tree.shape[0] - 1, begin - 1, -1):
        s, arguments = tree[i, 0], arity_of(tree[i, 0])
        is_sum = _either(s, _ADD, _SUB)
        group = np.uint64(_ADD if is_sum else _MUL)
        word = mixed(np.uint64(s) + _GOLDEN)
        chain, symbol = word, np.uint64(s)
        if arguments == 1:
            word = mixed(words[0, top] ^ word)
        elif arguments == 2 and s != _POW:
            second = words[1, top - 1] if words[2, top - 1] == group else words[0, top - 1]
            if _either(s, _SUB, _DIV):
                second = mixed(words[0, top - 1] ^ mixed(np.uint64(_INV) + _GOLDEN))
            chain = words[1, top] if words[2, top] == group else words[0, top]
            chain, symbol = chain + second, group
            word = mixed(chain ^ mixed(group + _GOLDEN))
        elif arguments == 2:
            word = mixed(words[0, top] ^ mixed(words[0, top - 1] + word))
        top += 1 - arguments
        words[0, top], words[1, top], words[2, top] = word, chain, symbol
    whole: np.uint64 = words[0, 0]
    return whole

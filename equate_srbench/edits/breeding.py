"""Compiled reproduction: random formulas, edits and combinations of those of a population.

The edits are those of ``expr.mutations`` on arrays. Importing this module compiles (or loads) the
entry point ``breed``: import it where it is first needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import types

from equate_srbench.edits import tidying
from equate_srbench.edits.tidying import Floats, Ints, Words, arity_of, end_of, mixed, tidy
from equate_srbench.expr import mutations, operators
from equate_srbench.expr.mutations import WEIGHTS
from equate_srbench.expr.operators import BINARY, BY_NAME, CONSTANT, UNARY, VARIABLE
from equate_srbench.refine import compiling
from equate_srbench.refine.compiling import compiled, inner

if TYPE_CHECKING:
    from equate_srbench.edits.population import Population

_ADD, _MUL = BY_NAME["add"].code, BY_NAME["mul"].code
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BELOW_ONE = np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0  # 2**-53


def _table(of_arity: int) -> list[tuple[float, int]]:
    operators_ = UNARY if of_arity == 1 else BINARY
    shares = np.cumsum([WEIGHTS[op.name] for op in operators_])
    return [(share / shares[-1], op.code) for share, op in zip(shares, operators_, strict=True)]


_CHANCES = np.ones((2, len(UNARY)))
_OPERATORS = np.zeros((2, len(UNARY)), dtype=np.int64)
for _arity in (1, 2):
    for _i, (_share, _code) in enumerate(_table(_arity)):
        _CHANCES[_arity - 1, _i], _OPERATORS[_arity - 1, _i] = _share, _code

#: Shares of children: new formulas, and two formulas joined; the others are edited.
FRESH, JOINED = 0.06, 0.1
#: Share of the edited formulas with constants that start from other values of them.
PERTURBED = 0.25
#: Rows of the workspace: the child, another parent, a new part, the normal form.
_CHILD, _OTHER, _PART, _FORM = range(4)


@inner()
def _uniform(state: Words) -> float:
    """A number in 0 .. 1 by SplitMix64 (Steele, Lea & Flood 2014)."""
    state[0] += _GOLDEN
    return float(mixed(state[0]) >> _BELOW_ONE) * _UNIT


@inner()
def _below(state: Words, n: int) -> int:
    """An integer in 0 .. n - 1."""
    return int(_uniform(state) * n)


@inner()
def _operator(state: Words, arguments: int) -> int:
    """A random operator of one or two arguments."""
    u, i = _uniform(state), 0
    while _CHANCES[arguments - 1, i] <= u:
        i += 1
    return int(_OPERATORS[arguments - 1, i])


@inner()
def _number(state: Words) -> float:
    """A constant of either sign: a small integer, or log-uniform in 0.1 .. 10."""
    if _uniform(state) < 0.5:
        size = 1.0 + _below(state, 3)
    else:
        size = math.exp(4.6 * _uniform(state) - 2.3)
    return size if _uniform(state) < 0.75 else -size


@inner()
def _grow(
    state: Words, columns: Ints, depth: int, code: Ints, value: Floats, n: int, todo: Ints
) -> int:
    """Append a random tree of at most ``depth`` levels; return the end."""
    todo[0], top = depth, 1
    while top > 0:
        top -= 1
        left, value[n] = todo[top], 0.0
        if left <= 1 or _uniform(state) < 0.15:
            if _uniform(state) < 0.875:
                code[n] = VARIABLE + columns[_below(state, columns.shape[0])]
            else:
                code[n], value[n] = CONSTANT, _number(state)
        else:
            arguments = 1 if _uniform(state) < 0.3 else 2
            code[n] = _operator(state, arguments)
            for _ in range(arguments):
                todo[top] = left - 1
                top += 1
        n += 1
    return n


@inner()
def _copy(
    code: Ints, value: Floats, begin: int, end: int, out: Ints, out_value: Floats, n: int
) -> int:
    """Append symbols ``begin .. end - 1``; return the end."""
    for i in range(begin, end):
        out[n], out_value[n] = code[i], value[i]
        n += 1
    return n


@inner()
def _splice(
    code: Ints, value: Floats, n: int, begin: int, end: int, part: Ints, part_value: Floats, m: int
) -> int:
    """Replace symbols ``begin .. end - 1`` of ``n`` by ``m`` others; return the new number."""
    shift = m - (end - begin)
    if shift > 0:
        for i in range(n - 1, end - 1, -1):
            code[i + shift], value[i + shift] = code[i], value[i]
    elif shift < 0:
        for i in range(end, n):
            code[i + shift], value[i + shift] = code[i], value[i]
    _copy(part, part_value, 0, m, code, value, begin)
    return n + shift


@inner()
def _edit(
    state: Words, columns: Ints, codes: Ints, values: Floats, n: int, n_other: int, todo: Ints
) -> int:
    """One random edit of the child, to which the other parent gives subtrees; its new size."""
    code, value = codes[_CHILD], values[_CHILD]
    part, part_value = codes[_PART], values[_PART]
    other, other_value = codes[_OTHER], values[_OTHER]
    at = _below(state, n)
    end, arguments = end_of(code, at), arity_of(code[at])
    move = _uniform(state)
    if move < 0.22 and arguments > 0:
        code[at] = _operator(state, arguments)
        return n
    m, joins = 0, False
    if move < 0.22 or (0.52 <= move < 0.66 and arguments == 0):
        m = _grow(state, columns, 1, part, part_value, 0, todo)
    elif move < 0.32:
        part[0], part_value[0] = _operator(state, 1), 0.0
        m = _copy(code, value, at, end, part, part_value, 1)
    elif move < 0.66 and move >= 0.52:  # one of the arguments alone
        begin = at + 1
        if arguments == 2:
            second = end_of(code, begin)
            if _uniform(state) < 0.5:
                begin = second
            else:
                end = second
        m = _copy(code, value, begin, end, part, part_value, 0)
        end = end_of(code, at)
    elif move >= 0.9:
        part[0], part[1] = (_ADD if _uniform(state) < 0.5 else _MUL), CONSTANT
        part_value[0], part_value[1] = 0.0, _number(state)
        m = _copy(code, value, at, end, part, part_value, 2)
    else:  # a new part or one of the other parent, alone or joined with the present one
        joins = move < 0.52 or (move >= 0.78 and _uniform(state) < 0.5)
        first = joins and _uniform(state) < 0.5
        if joins:
            part[0], part_value[0], m = _operator(state, 2), 0.0, 1
        if first:
            m = _copy(code, value, at, end, part, part_value, m)
        if move < 0.78:
            m = _grow(state, columns, 2 if joins else 3, part, part_value, m, todo)
        else:
            begin = _below(state, n_other)
            m = _copy(other, other_value, begin, end_of(other, begin), part, part_value, m)
        if joins and not first:
            m = _copy(code, value, at, end, part, part_value, m)
    return _splice(code, value, n, at, end, part, part_value, m)


@inner()
def _parent(state: Words, front: Ints, held: Ints, capacity: int) -> int:
    """Row of a random formula: half of them near the front's better end, each size in turn."""
    u = _uniform(state)
    if u < 0.85:
        place = _below(state, front.shape[0])
        if u < 0.4:
            place = max(place, _below(state, front.shape[0]))
        size = front[place]
    else:
        size = _below(state, held.shape[0])
        while held[size] == 0:
            size = _below(state, held.shape[0])
    n = held[size]
    return int(size * capacity + min(_below(state, n), _below(state, n)))


@inner()
def _child(
    state: Words, columns: Ints, pool: Ints, pool_values: Floats, held: Ints, front: Ints,
    limit: int, codes: Ints, values: Floats, todo: Ints,
) -> int:  # fmt: skip
    """A random formula, two formulas joined, or an edited one; its size, 0 if too large."""
    code, value = codes[_CHILD], values[_CHILD]
    u = _uniform(state)
    if front.shape[0] == 0 or u < FRESH:
        return _grow(state, columns, 4, code, value, 0, todo)
    capacity = pool.shape[0] // held.shape[0]
    p = _parent(state, front, held, capacity)
    q = _parent(state, front, held, capacity)
    size, n_other = p // capacity, q // capacity
    if u < FRESH + JOINED:
        code[0], value[0] = _operator(state, 2), 0.0
        n = _copy(pool[p], pool_values[p], 0, size, code, value, 1)
        if code[0] == _ADD:  # terms have coefficients
            code[n], code[n + 1] = _MUL, CONSTANT
            value[n], value[n + 1] = 0.0, 1.0
            n += 2
        return _copy(pool[q], pool_values[q], 0, n_other, code, value, n)
    n = _copy(pool[p], pool_values[p], 0, size, code, value, 0)
    _copy(pool[q], pool_values[q], 0, n_other, codes[_OTHER], values[_OTHER], 0)
    u = _uniform(state)
    for _ in range(1 if u < 0.6 else (2 if u < 0.9 else 3)):
        n = _edit(state, columns, codes, values, n, n_other, todo)
        if n > limit:
            return 0
    return n


_INTS, _FLOATS, _WORDS = types.int64[::1], types.float64[::1], types.uint64[::1]
_CODES, _VALUES = types.int64[:, ::1], types.float64[:, ::1]
_PROGRAMS = (_INTS, _INTS, _FLOATS)


@compiled(
    _WORDS, _WORDS, _INTS, _CODES, _VALUES, _INTS, _INTS, *_PROGRAMS, types.int64, types.int64,
    *_PROGRAMS, _INTS, _CODES, _VALUES, types.uint64[:, ::1], _INTS,
    among=(tidying, mutations, operators, compiling),
)  # fmt: skip
def breed(
    state: Words, seen: Words, columns: Ints, pool: Ints, pool_values: Floats, held: Ints,
    front: Ints, given: Ints, given_at: Ints, given_constants: Floats, n_children: int, limit: int,
    out: Ints, out_at: Ints, out_constants: Floats, out_constant_at: Ints, codes: Ints,
    values: Floats, words: Words, todo: Ints,
) -> None:  # fmt: skip
    """Tidy given programs and ``n_children`` random ones; write those not seen before.

    ``out_at[0]`` and ``out_constant_at[0]`` get their number; see ``Population.breed``.
    """
    made, n_given, used = 0, given_at.shape[0] - 1, 0
    out_at[1], out_constant_at[1] = 0, 0
    for i in range(n_given + n_children):
        if i < n_given:
            n = _copy(given, values[_PART], given_at[i], given_at[i + 1], codes[_CHILD],
                      values[_PART], 0)  # fmt: skip
            for j in range(n):
                values[_CHILD, j] = 0.0
                if codes[_CHILD, j] == CONSTANT:
                    values[_CHILD, j] = given_constants[used]
                    used += 1
        else:
            n = _child(state, columns, pool, pool_values, held, front, limit, codes, values, todo)
        form = codes[_FORM]
        begin = tidy(codes[_CHILD], values[_CHILD], n, form, values[_FORM]) if n > 0 else -1
        n = form.shape[0] - begin
        if begin < 0 or n > limit or (n == 1 and form[begin] == CONSTANT):
            continue
        start = np.uint64(0)
        perturbed = i >= n_given and _uniform(state) < PERTURBED
        at, k = out_at[made + 1], out_constant_at[made + 1]
        for j in range(begin, form.shape[0]):
            out[at] = form[j]
            at += 1
            if form[j] == CONSTANT:
                v = values[_FORM, j]
                if perturbed:
                    start = np.uint64(1 + _below(state, 2))
                    v = _number(state) if _uniform(state) < 0.3 else v * _number(state)
                out_constants[k] = v
                k += 1
        word = mixed(tidying.fingerprint(form, begin, words, todo) + start * _GOLDEN)
        slot = word % np.uint64(seen.shape[0])
        if seen[slot] != word:
            seen[slot] = word
            made += 1
            out_at[made + 1], out_constant_at[made + 1] = at, k
    out_at[0], out_constant_at[0] = made, made

"""Compiled reproduction: random formulas, edits and combinations of those of a population.

The edits are those of ``expr.mutations``, on formulas as arrays (see ``tidying``). Importing this
module compiles (or loads) the entry point ``breed``: import it where it is first needed.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from numba import types

from equate_srbench.edits import tidying
from equate_srbench.edits.tidying import (
    Floats,
    Ints,
    Words,
    arity_of,
    end_of,
    fingerprint,
    mixed,
    put,
    tidy,
)
from equate_srbench.expr import mutations, operators
from equate_srbench.expr.mutations import WEIGHTS
from equate_srbench.expr.operators import BINARY, BY_NAME, CONSTANT, UNARY, VARIABLE
from equate_srbench.refine import compiling
from equate_srbench.refine.compiling import compiled, inner

#: Shares of children: new formulas, and two formulas joined; the others are edited.
FRESH, JOINED = 0.06, 0.1
#: Share of formulas with constants that start from other values of them.
PERTURBED = 0.25
#: Formulas in the workspace: the child, another parent, a new part, the normal form.
_CHILD, _OTHER, _PART, _FORM = range(4)

_ADD, _MUL = float(BY_NAME["add"].code), float(BY_NAME["mul"].code)
_NUMBER, _COLUMN = float(CONSTANT), float(VARIABLE)
_GOLDEN, _BELOW_ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0  # 2**-53
# no literals, see ``inner``
_ZERO, _ONE, _TWO, _THREE, _FOUR = (cast("int", np.int64(i)) for i in range(5))


def _tables() -> tuple[Floats, Floats]:
    """Cumulative frequencies and codes of the operators, (2, n): of one and of two arguments."""
    chances, codes = np.ones((2, len(UNARY))), np.zeros((2, len(UNARY)))
    for row, table in enumerate((UNARY, BINARY)):
        total = np.cumsum([WEIGHTS[op.name] for op in table])
        chances[row, : len(table)] = total / total[-1]
        codes[row, : len(table)] = [op.code for op in table]
    return chances, codes


_CHANCES, _CODES = _tables()


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
def _operator(state: Words, arguments: int) -> float:
    """A random operator of one or two arguments."""
    u, i = _uniform(state), 0
    while _CHANCES[arguments - 1, i] <= u:
        i += 1
    return float(_CODES[arguments - 1, i])


@inner()
def _number(state: Words) -> float:
    """A constant of either sign: a small integer, or log-uniform in 0.1 .. 10."""
    u, size = _uniform(state), math.exp(4.6 * _uniform(state) - 2.3)
    if u < 0.5:
        size = math.floor(1.0 + 6.0 * u)
    return size if _uniform(state) < 0.75 else -size


@inner()
def _grow(state: Words, columns: Ints, depth: int, tree: Floats, n: int, todo: Ints) -> int:
    """Append a random tree of at most ``depth`` levels; return the end."""
    todo[0], top = depth, 1
    while top > 0:
        top -= 1
        left, u, v = todo[top], _uniform(state), _uniform(state)
        if left <= 1 or u < 0.15:
            if v < 0.875:
                put(tree, n, _COLUMN + columns[int(v / 0.875 * columns.shape[0])], 0.0)
            else:
                put(tree, n, _NUMBER, _number(state))
        else:
            arguments = 1 if v < 0.3 else 2
            put(tree, n, _operator(state, arguments), 0.0)
            for _ in range(arguments):
                todo[top] = left - 1
                top += 1
        n += 1
    return n


@inner()
def _copy(tree: Floats, begin: int, end: int, out: Floats, n: int) -> int:
    """Append nodes ``begin .. end - 1``; return the end."""
    for i in range(begin, end):
        out[n, 0], out[n, 1] = tree[i, 0], tree[i, 1]
        n += 1
    return n


@inner()
def _splice(tree: Floats, n: int, begin: int, end: int, part: Floats, m: int) -> int:
    """Replace nodes ``begin .. end - 1`` of ``n`` by ``m`` others; return the new number."""
    shift = m - (end - begin)
    step = -1 if shift > 0 else 1
    for i in range(n - 1 if shift > 0 else end, end - 1 if shift > 0 else n, step):
        tree[i + shift, 0], tree[i + shift, 1] = tree[i, 0], tree[i, 1]
    _copy(part, _ZERO, m, tree, begin)
    return n + shift


@inner()
def _part(
    state: Words, columns: Ints, work: Floats, at: int, end: int, n_other: int, todo: Ints
) -> int:
    """Write what replaces nodes ``at .. end - 1`` of the child into ``_PART``; return its size."""
    child, part = work[_CHILD], work[_PART]
    arguments, move = arity_of(child[at, 0]), 0.22 + 0.78 * _uniform(state)
    if move >= 0.9 or move < 0.32:  # c + a, c * a, or a function of a
        m = _ONE
        if move < 0.32:
            put(part, 0, _operator(state, _ONE), 0.0)
        else:
            put(part, 0, _ADD if move < 0.95 else _MUL, 0.0)
            put(part, 1, _NUMBER, _number(state))
            m = _TWO
        return _copy(child, at, end, part, m)
    if 0.52 <= move < 0.66:  # one of the arguments alone
        if arguments == 0:
            return _grow(state, columns, _ONE, part, _ZERO, todo)
        at += 1
        if arguments == 2:
            second = end_of(child, at)
            at, end = (second, end) if move < 0.59 else (at, second)
        return _copy(child, at, end, part, _ZERO)
    # a new part or one of the other parent, alone or joined with the present one
    joins = move < 0.52 or move >= 0.84
    first = joins and _uniform(state) < 0.5
    m = _ZERO
    if joins:
        put(part, 0, _operator(state, _TWO), 0.0)
        m = _ONE
    if first:
        m = _copy(child, at, end, part, m)
    if move < 0.78:
        m = _grow(state, columns, _TWO if joins else _THREE, part, m, todo)
    else:
        begin = _below(state, n_other)
        m = _copy(work[_OTHER], begin, end_of(work[_OTHER], begin), part, m)
    return _copy(child, at, end, part, m) if joins and not first else m


@inner()
def _edit(state: Words, columns: Ints, work: Floats, n: int, n_other: int, todo: Ints) -> int:
    """One random edit of the child, to which the other parent gives subtrees; its new size."""
    child, at = work[_CHILD], _below(state, n)
    arguments = arity_of(child[at, 0])
    if _uniform(state) < 0.22:
        if arguments > 0:
            child[at, 0] = _operator(state, arguments)
        else:
            _grow(state, columns, _ONE, child, at, todo)
        return n
    end = end_of(child, at)
    m = _part(state, columns, work, at, end, n_other, todo)
    return _splice(child, n, at, end, work[_PART], m)


@inner()
def _parent(state: Words, front: Ints, held: Ints, capacity: int) -> int:
    """Row of a random formula: half of them near the front's better end, each size in turn."""
    u = _uniform(state)
    place = _below(state, front.shape[0])
    if u < 0.4:
        place = max(place, _below(state, front.shape[0]))
    size = front[place]
    if u > 0.85:
        size = _below(state, held.shape[0])
        while held[size] == 0:
            size = _below(state, held.shape[0])
    n = held[size]
    return int(size * capacity + min(_below(state, n), _below(state, n)))


@inner()
def _child(
    state: Words, columns: Ints, pool: Floats, held: Ints, front: Ints, limit: int, work: Floats,
    todo: Ints,
) -> int:  # fmt: skip
    """A random formula, two formulas joined, or an edited one; its size, 0 if too large."""
    child, u = work[_CHILD], _uniform(state)
    if front.shape[0] == 0 or u < FRESH:
        return _grow(state, columns, _FOUR, child, _ZERO, todo)
    capacity = pool.shape[0] // held.shape[0]
    p = _parent(state, front, held, capacity)
    q = _parent(state, front, held, capacity)
    n = n_other = q // capacity
    if u < FRESH + JOINED:
        put(child, 0, _operator(state, _TWO), 0.0)
        n = _copy(pool[p], _ZERO, p // capacity, child, _ONE)
        if child[0, 0] == _ADD:  # terms have coefficients
            put(child, n, _MUL, 0.0)
            put(child, n + 1, _NUMBER, 1.0)
            n += 2
        return _copy(pool[q], _ZERO, n_other, child, n)
    _copy(pool[q], _ZERO, n_other, work[_OTHER], _ZERO)
    n = _copy(pool[p], _ZERO, p // capacity, child, _ZERO)
    u = _uniform(state)
    for _ in range(1 if u < 0.6 else (2 if u < 0.9 else 3)):
        if n <= limit:
            n = _edit(state, columns, work, n, n_other, todo)
    return n if n <= limit else 0


_INTS, _FLOATS, _WORDS = types.int64[::1], types.float64[::1], types.uint64[::1]
_TREES = types.float64[:, :, ::1]
_PROGRAMS = (_INTS, _INTS, _FLOATS)


@compiled(
    _WORDS, _WORDS, _INTS, _TREES, _INTS, _INTS, *_PROGRAMS, types.int64, types.int64,
    *_PROGRAMS, _INTS, _TREES, types.uint64[:, ::1], _INTS,
    among=(tidying, mutations, operators, compiling),
)  # fmt: skip
def breed(
    state: Words, seen: Words, columns: Ints, pool: Floats, held: Ints, front: Ints, given: Ints,
    given_at: Ints, given_constants: Floats, n_children: int, limit: int, out: Ints, out_at: Ints,
    out_constants: Floats, out_constant_at: Ints, work: Floats, words: Words, todo: Ints,
) -> None:  # fmt: skip
    """Tidy given programs and ``n_children`` random ones; write those not seen before.

    ``out_at[0]`` gets their number, ``out_at[1]`` and the following where they begin and end, and
    so does ``out_constant_at``; see ``Population.breed``.
    """
    made, n_given, used, form = 0, given_at.shape[0] - 1, 0, work[_FORM]
    out_at[1], out_constant_at[1] = 0, 0
    for i in range(n_given + n_children):
        if i < n_given:
            n = given_at[i + 1] - given_at[i]
            for j in range(n):
                put(work[_CHILD], j, given[given_at[i] + j], 0.0)
                if given[given_at[i] + j] == CONSTANT:
                    work[_CHILD, j, 1] = given_constants[used]
                    used += 1
        else:
            n = _child(state, columns, pool, held, front, limit, work, todo)
        begin = tidy(work[_CHILD], n, form)
        n = form.shape[0] - begin
        if n == 0 or n > limit or (n == 1 and form[begin, 0] == _NUMBER):
            continue
        start, is_finite = np.uint64(0), True
        perturbed = i >= n_given and _uniform(state) < PERTURBED
        at, k = out_at[made + 1], out_constant_at[made + 1]
        for j in range(begin, form.shape[0]):
            out[at] = int(form[j, 0])
            at += 1
            if form[j, 0] == _NUMBER:
                out_constants[k] = form[j, 1]
                if perturbed:
                    start = np.uint64(1 + _below(state, _TWO))
                    out_constants[k] *= _number(state)
                is_finite = is_finite and abs(out_constants[k]) < np.inf
                k += 1
        word = mixed(fingerprint(form, begin, words) + start * _GOLDEN)
        slot = int(word % np.uint64(seen.shape[0]))
        if seen[slot] != word and is_finite:  # a merged divisor may have been 0
            seen[slot] = word
            made += 1
            out_at[made + 1], out_constant_at[made + 1] = at, k
    out_at[0], out_constant_at[0] = made, made

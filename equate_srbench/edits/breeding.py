"""Compiled reproduction: random formulas, edits and combinations of those of a population.

The edits are those of ``expr.mutations``, on formulas as arrays (see ``tidying``). Importing this
module compiles (or loads) the entry point ``breed``: import it where it is first needed.
"""

from __future__ import annotations

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

#: Kinds of children without edits: new formulas, and two formulas joined.
FRESH, JOINED = 0, -1
#: Formulas in the workspace: the child, another parent, a new part, the normal form.
_CHILD, _OTHER, _PART, _FORM = range(4)

_ADD, _MUL = float(BY_NAME["add"].code), float(BY_NAME["mul"].code)
_NUMBER, _COLUMN = float(CONSTANT), float(VARIABLE)
_GOLDEN, _BELOW_ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0  # 2**-53
# no literals, see ``inner``
_ZERO, _ONE, _TWO, _THREE, _FOUR = (cast("int", np.int64(i)) for i in range(5))


#: Entries of tables from which equally likely draws are made.
_ENTRIES = 1024


def _tables() -> tuple[Floats, Floats]:
    """Codes of operators of one and of two arguments, (2, entries), and constants, (entries,).

    Constants are small whole numbers or log-uniform in 0.1 .. 10, one in four is negative.
    """
    places = (np.arange(_ENTRIES) + 0.5) / _ENTRIES
    codes = []
    for table in (UNARY, BINARY):
        share = np.cumsum([WEIGHTS[op.name] for op in table])
        codes.append([table[i].code for i in np.searchsorted(share / share[-1], places)])
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 4, _ENTRIES).astype(float)
    sizes = np.where(rng.random(_ENTRIES) < 0.5, whole, np.exp(rng.uniform(-2.3, 2.3, _ENTRIES)))
    return np.array(codes, dtype=float), sizes * rng.choice([1.0, 1.0, 1.0, -1.0], _ENTRIES)


_CODES, CONSTANTS = _tables()


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
    return float(_CODES[arguments - 1, _below(state, _ENTRIES)])


@inner()
def _number(state: Words) -> float:
    """A random constant."""
    return float(CONSTANTS[_below(state, _ENTRIES)])


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
def _child(
    state: Words, columns: Ints, one: Floats, n: int, other: Floats, n_other: int, kind: int,
    limit: int, work: Floats, todo: Ints,
) -> int:  # fmt: skip
    """A child of the given kind, see ``breed``; its size, or one above the limit."""
    child = work[_CHILD]
    if kind == FRESH:
        return _grow(state, columns, _FOUR, child, _ZERO, todo)
    if kind == JOINED:
        put(child, 0, _operator(state, _TWO), 0.0)
        n = _copy(one, _ZERO, n, child, _ONE)
        if child[0, 0] == _ADD:  # terms have coefficients
            put(child, n, _MUL, 0.0)
            put(child, n + 1, _NUMBER, 1.0)
            n += 2
        return _copy(other, _ZERO, n_other, child, n)
    _copy(one, _ZERO, n, child, _ZERO)
    _copy(other, _ZERO, n_other, work[_OTHER], _ZERO)
    for _ in range(kind):
        if n <= limit:
            n = _edit(state, columns, work, n, n_other, todo)
    return n


_INTS, _WORDS, _TREES = types.int64[::1], types.uint64[::1], types.float64[:, :, ::1]


@compiled(
    _WORDS, _INTS, _TREES, types.int64[:, ::1], _INTS, types.int64, types.int64, _TREES, _INTS,
    _WORDS, _TREES, types.uint64[:, ::1], _INTS,
    among=(tidying, mutations, operators, compiling),
)  # fmt: skip
def breed(
    state: Words, columns: Ints, pool: Floats, parents: Ints, kinds: Ints, capacity: int,
    limit: int, children: Floats, sizes: Ints, hashes: Words, work: Floats, words: Words,
    todo: Ints,
) -> None:  # fmt: skip
    """Tidy children that are given, and make those of size 0; see ``Population.breed``.

    ``parents`` are rows of the pool, whose number over ``capacity`` is their size; kinds are
    ``FRESH``, ``JOINED``, or the number of edits of the first parent. ``sizes`` and ``hashes`` get
    those of the results; 0 where nothing is left or it is too large.
    """
    form = work[_FORM]
    for i in range(children.shape[0]):
        n = sizes[i]
        if n > 0:
            _copy(children[i], _ZERO, n, work[_CHILD], _ZERO)
        else:
            p, q = parents[i, 0], parents[i, 1]
            n = _child(state, columns, pool[p], p // capacity, pool[q], q // capacity, kinds[i],
                       limit, work, todo)  # fmt: skip
        begin = tidy(work[_CHILD], n, form)
        n = form.shape[0] - begin
        sizes[i] = 0
        if n <= limit and (n > 1 or form[begin, 0] != _NUMBER):
            sizes[i], hashes[i] = n, fingerprint(form, begin, words)
            _copy(form, begin, form.shape[0], children[i], _ZERO)

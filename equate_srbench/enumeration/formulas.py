"""``Enumeration``: small formulas in order of size, one of each set of equal values.

Bottom-up enumeration with observational equivalence: a formula whose values on all probe rows are
those of an earlier one is dropped, so that the next size combines distinct functions only (Udupa et
al. 2013, "TRANSIT"; Albarghouthi, Gulwani & Kincaid 2013). A formula that is undefined on a probe
row is dropped too, since no formula with it as a part is defined there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_CODE, BY_NAME, CONSTANT, OPERATORS, VARIABLE, Operator
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Plan = list[tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]]

#: Operators of most laws.
COMMON = (
    "add", "sub", "mul", "div", "square", "cube", "sqrt", "inv", "exp", "log", "sin", "cos",
)  # fmt: skip
#: Enumeration evaluated at once.
BLOCK = 8192
#: Number of rows on which formulas are told apart.
PROBES = 8


@dataclass(frozen=True, slots=True)
class Application:
    """A block of formulas: one operator on a range of formulas, and another one if it is binary.

    Attributes
    ----------
    op : Operator
    begin, end : int
        The range.
    other : int or None
        The second formula of a binary operator.
    is_swapped : bool
        Whether ``other`` is the first argument.
    """

    op: Operator
    begin: int
    end: int
    other: int | None = None
    is_swapped: bool = False

    def values(self, values: Array) -> Array:
        """Values of the block, shape (n_rows, end - begin), from those of the formulas."""
        run = values[:, self.begin : self.end]
        if self.other is None:
            out: Array = self.op.array(np, run)
        else:
            other = values[:, self.other, None]
            out = self.op.array(np, *((other, run) if self.is_swapped else (run, other)))
        return out

    def arguments(self, at: Ints) -> tuple[Ints, Ints]:
        """First and second arguments of formulas of the block; -1 where there is none."""
        run = self.begin + at
        other = np.full(len(at), -1 if self.other is None else self.other)
        return (other, run) if self.is_swapped else (run, other)


class Enumeration(Sequence[Tree]):
    """Formulas as operators and arguments, with their values on the probe rows.

    Parameters
    ----------
    probes : ndarray of shape (n_probes, n_columns)
        Rows on which formulas are told apart.
    columns : sequence of int
        Columns that may appear.
    numbers : sequence of float, default=(1.0, 2.0)
        Numbers that may appear, positions 0, 1, ... Operators act on no numbers alone.
    inner : float, optional
        Value of one more number, the first, that ``grow`` does not use: it stands for a constant
        to be fitted.
    operators : sequence of Operator, optional
        Default: all operators.
    capacity : int, default=720_000
        Largest number of formulas: 76 bytes each with eight probes, and 16 to 32 for their keys.

    Attributes
    ----------
    size_begins : list of int
        Where the formulas of each number of nodes begin: those of ``s`` nodes are
        ``size_begins[s] .. size_begins[s + 1] - 1``.
    """

    def __init__(
        self,
        probes: Array,
        columns: Sequence[int],
        *,
        numbers: Sequence[float] = (1.0, 2.0),
        inner: float | None = None,
        operators: Sequence[Operator] = OPERATORS,
        capacity: int = 720_000,
    ) -> None:
        hidden = [] if inner is None else [inner]
        self.numbers = np.array([*hidden, *numbers], dtype=np.float64)
        self.unary = [op for op in operators if op.arity == 1]
        self.binary = [op for op in operators if op.arity == 2]
        self.capacity = capacity
        self._values = np.empty((len(probes), capacity))
        self._triples = np.full((3, capacity), -1, dtype=np.int32)
        self._table = np.zeros(1 << (2 * capacity - 1).bit_length(), dtype=np.int64)
        self._kept = np.zeros(BLOCK + 1, dtype=np.int64)
        self._values[:, : len(self.numbers)] = self.numbers
        self._count = len(self.numbers)
        self.size_begins = [0, len(hidden)]
        leaves = np.ascontiguousarray(probes[:, columns])
        kept = self._distinct(leaves)
        none = np.full(len(kept), -1)
        self._append(leaves, kept, VARIABLE + np.array(columns, dtype=int)[kept], none, none)
        self.size_begins.append(self._count)
        # formulas of a generation have arguments in earlier ones only
        self._generations = [0, self._count]
        self._planned: tuple[tuple[int, int], Plan] = ((0, 0), [])

    # -- enumeration ------------------------------------------------------------------------

    @property
    def largest(self) -> int:
        """Number of nodes up to which the formulas are complete."""
        return len(self.size_begins) - 2

    @property
    def values(self) -> Array:
        """Values on the probe rows, shape (n_probes, n_formulas)."""
        return self._values[:, : self._count]

    def of_size(self, size: int) -> range:
        """Positions of the formulas with that number of nodes."""
        return range(self.size_begins[size], self.size_begins[size + 1])

    def up_to(self, size: int) -> int:
        """Number of formulas of at most ``size`` nodes, or of ``largest`` if that is less."""
        return self.size_begins[min(size, self.largest) + 1]

    def next_jobs(self, *, once: bool = False) -> Iterator[Application]:
        """Blocks that hold all formulas of one node more, those of common operators first.

        Of formulas of one size with equal values the first one stays.

        Parameters
        ----------
        once : bool, default=False
            Leave out ``v - u`` beside ``u - v``, for formulas that are matched up to scale.
        """
        size = self.largest + 1
        below = self.of_size(size - 1)
        for is_common in (True, False):
            unary, binary = (
                [op for op in ops if (op.name in COMMON) == is_common]
                for ops in (self.unary, self.binary)
            )
            for op in unary:
                yield from jobs(op, range(max(below.start, len(self.numbers)), below.stop))
            for a in range(1, (size - 1) // 2 + 1):
                b = self.of_size(size - 1 - a)
                for i in self.of_size(a):
                    run = range(max(b.start, i), b.stop)
                    for op in binary:
                        yield from jobs(op, run, i)
                        if not (op.commutative or (once and op.name == "sub")):
                            yield from jobs(op, run, i, is_swapped=True)

    def count_next(self) -> int:
        """Number of formulas in ``next_jobs``."""
        size = self.largest + 1
        pairs = 0
        for a in range(1, (size - 1) // 2 + 1):
            n, m = len(self.of_size(a)), len(self.of_size(size - 1 - a))
            pairs += n * (n + 1) // 2 if 2 * a == size - 1 else n * m
        ways = sum(1 if op.commutative else 2 for op in self.binary)
        return len(self.unary) * len(self.of_size(size - 1)) + ways * pairs

    def grow(self) -> bool:
        """Add all formulas of one node more; False, and nothing done, if there may be no room."""
        if self._count + self.count_next() > self.capacity:
            return False
        self.add(self.next_jobs())
        self.size_begins.append(self._count)
        return True

    def add(self, jobs: Iterable[Application]) -> None:
        """Add the new formulas of blocks over the present ones, as far as there is room."""
        known = self.values
        with np.errstate(all="ignore"):
            for job in jobs:
                block = np.ascontiguousarray(job.values(known))
                kept = self._distinct(block)[: self.capacity - self._count]
                self._append(block, kept, np.full(len(kept), job.op.code), *job.arguments(kept))
        self._generations.append(self._count)

    def _distinct(self, block: Array) -> Ints:
        from equate_srbench.enumeration import enumeration_loops as loops

        loops.distinct(block, block.shape[1], loops.EQUAL, self._table, self._kept)
        return self._kept[1 : 1 + self._kept[0]].copy()

    def _append(self, block: Array, kept: Ints, symbols: Ints, first: Ints, second: Ints) -> None:
        new = slice(self._count, self._count + len(kept))
        self._values[:, new] = block[:, kept]
        self._triples[:, new] = symbols, first, second
        self._count = new.stop

    def forget_values(self) -> None:
        """Free the values on the probe rows; no formula can be added any more."""
        self._values, self._table = self._values[:, :0].copy(), self._table[:0].copy()

    # -- reading ----------------------------------------------------------------------------

    def values_on(self, X: Array, count: int, numbers: Sequence[float] | None = None) -> Array:
        """Values of the first formulas on other rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_columns)
        count : int
        numbers : sequence of float, optional
            Other values of ``numbers``.

        Returns
        -------
        ndarray of shape (n_rows, count)
            Not finite where a formula is undefined.
        """
        out = np.empty((len(X), count))
        out[:, : len(self.numbers)] = self.numbers if numbers is None else numbers
        with np.errstate(all="ignore"):
            for symbol, at, first, second in self._plan(count):
                if symbol >= VARIABLE:
                    out[:, at] = X[:, [symbol - VARIABLE]]
                else:
                    op = BY_CODE[symbol]
                    out[:, at] = op.array(np, *(out[:, p] for p in (first, second)[: op.arity]))
        return out

    def values_at(self, X: Array, positions: Ints) -> Array:
        """Values of some formulas on other rows, shape (n_rows, n); see ``values_on``."""
        last = self._generations[-2]
        early = positions < last
        base, out = self.values_on(X, last), np.empty((len(X), len(positions)))
        out[:, early] = base[:, positions[early]]
        symbols, first, second = self._triples[:, positions]
        with np.errstate(all="ignore"):
            for symbol in np.unique(symbols[~early]).tolist():
                op, at = BY_CODE[symbol], np.flatnonzero(~early & (symbols == symbol))
                places = (first[at], second[at])[: op.arity]
                out[:, at] = op.array(np, *(base[:, place] for place in places))
        return out

    def _plan(self, count: int) -> Plan:
        """Operator or column, formulas, and their arguments, in an order of evaluation."""
        if self._planned[0] != (count, self._count):
            symbols, first, second = self._triples
            plan: Plan = []
            for begin, end in itertools.pairwise(self._generations):
                here = symbols[begin : min(end, count)]
                for symbol in np.unique(here[here >= 0]).tolist():
                    at = begin + np.flatnonzero(here == symbol)
                    plan.append((int(symbol), at, first[at], second[at]))
            self._planned = (count, self._count), plan
        return self._planned[1]

    def rarity(self, common: Sequence[str]) -> Ints:
        """Number of nodes of each formula, operators that are not ``common`` counted as three."""
        out = np.ones(self._count, dtype=np.int64)
        weight = np.full(VARIABLE, 3)
        weight[[BY_NAME[name].code for name in common]] = 1
        for begin, end in itertools.pairwise(self._generations[1:]):
            symbols, first, second = self._triples[:, begin:end]
            out[begin:end] = weight[symbols] + out[first] + np.where(second < 0, 0, out[second])
        return out

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, i: int) -> Tree: ...
    @overload
    def __getitem__(self, i: slice) -> list[Tree]: ...
    def __getitem__(self, i: int | slice) -> Tree | list[Tree]:
        if isinstance(i, slice):
            return [self.tree(j) for j in range(*i.indices(self._count))]
        return self.tree(range(self._count)[i])

    def tree(self, i: int) -> Tree:
        """The formula at position ``i``; built when it is asked for."""
        symbols: list[int] = []
        constants: list[float] = []
        todo = [i]
        while todo:
            at = todo.pop()
            symbol, first, second = self._triples[:, at].tolist()
            if symbol < 0:
                constants.append(float(self.numbers[at]))
            symbols.append(max(symbol, CONSTANT))
            todo += [argument for argument in (second, first) if argument >= 0]
        return Tree(symbols, constants)


def jobs(
    op: Operator, run: range, other: int | None = None, *, is_swapped: bool = False
) -> Iterator[Application]:
    """Blocks of one operator on a range of formulas."""
    for begin in range(run.start, run.stop, BLOCK):
        yield Application(op, begin, min(begin + BLOCK, run.stop), other, is_swapped)


def spread_rows(X: Array, y: Array, n: int, rng: np.random.Generator, *, tries: int = 64) -> Ints:
    """``n`` rows on which columns and target differ as much as possible, the most unlike first.

    Functions are told apart on these rows, so that no two of them may be alike: of some random
    choices the one is taken whose smallest difference of ranks, over all columns and pairs of the
    first rows, is largest. The rest are the extremes of the columns.
    """
    table = np.column_stack([X, y])
    ranks = np.argsort(np.argsort(table, axis=0, kind="stable"), axis=0) / max(len(y) - 1, 1)
    n = min(n, len(y))
    head = min(4, n)
    choices = np.stack([rng.permutation(len(y))[:head] for _ in range(tries)])
    gaps = np.abs(ranks[choices][:, :, None] - ranks[choices][:, None])
    gaps += np.eye(head)[None, :, :, None] * 2.0
    equal = table[choices][:, :, None] == table[choices][:, None]
    gaps[equal & ~np.eye(head, dtype=bool)[None, :, :, None]] = 0.0
    score = gaps.min(axis=(1, 2)).min(axis=1) + 0.1 * gaps.min(axis=(1, 2)).mean(axis=1)
    rows = choices[int(score.argmax())].tolist()
    extremes = [int(f(X[:, j])) for j in range(X.shape[1]) for f in (np.argmin, np.argmax)]
    others = [*extremes, *rng.permutation(len(y)).tolist()]
    for row in others:
        if len(rows) < n and row not in rows:
            rows.append(row)
    return np.array(rows, dtype=np.int64)

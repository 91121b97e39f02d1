"""Enumerates small formulas, simplest first, with their values on the search rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_NAME, VARIABLE, Operator
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

_OUTER = ("square", "sqrt", "inv", "exp", "log", "sin", "cos", "cube", "tanh", "arcsin", "arccos")
_OF_MONOMIAL = ("exp", "sin", "cos", "tanh", "log", "sqrt")
_OF_SUM = ("square", "sqrt", "inv", "sin", "cos", "exp", "log")
#: Limit on monomials: degree 4 for up to five columns, 3 for nine, 2 for many.
_MONOMIALS = 1300


class FormulaStore(Protocol):
    """Keeps blocks of formulas whose values on the rows ``X`` are new."""

    X: Array

    def __len__(self) -> int: ...

    def add(self, values: Array, make: Callable[[int], Tree], limit: int) -> list[int]:
        """Keep at most ``limit`` rows of ``values``; returns which."""
        ...


@dataclass(frozen=True, slots=True)
class Level:
    """Formulas and their values on the search rows, shape (len(trees), n_rows)."""

    trees: list[Tree]
    values: Array

    def where(self, keep: list[int]) -> Level:
        """Some of the formulas."""
        return Level([self.trees[i] for i in keep], self.values[keep])


def fill(
    store: FormulaStore, columns: list[int], capacity: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Fill an empty store by levels: columns, functions of one, sums, monomials, mixtures.

    Parameters
    ----------
    store : FormulaStore
    columns : list of int
    capacity : int
        Largest number of formulas; every level may fill the store up to a fraction of it.
    rng : numpy Generator
        Samples the formulas of a level that is too large.

    Returns
    -------
    ndarray of int
        Positions in the store of columns and products of powers of columns.
    """
    grow = _Filler(store, capacity, rng)
    leaves = Level([Tree((VARIABLE + j,)) for j in columns], store.X[:, columns].T)
    with np.errstate(all="ignore"):
        level0 = grow.keep(leaves, 1.0)
        unary = grow.unary(_OUTER, level0, 1.0)
        sums = grow.pairs(("add", "sub"), level0, level0, 1.0)
        first = len(store)
        monomials = grow.monomials(level0, 0.3)
        products: NDArray[np.int64] = np.r_[0 : len(level0.trees), first : len(store)]
        grow.unary(_OF_SUM, sums, 0.4)
        square = BY_NAME["square"].code
        squares = unary.where([i for i, t in enumerate(unary.trees) if t.symbols[0] == square])
        even = grow.pairs(("add", "sub"), squares, squares, 0.45)
        grow.unary(("sqrt", "inv"), even, 0.5)
        grow.pairs(("mul", "div", "sub", "add"), unary, level0, 0.6)
        grow.unary(_OF_MONOMIAL, monomials, 0.75)
        small = monomials.where([i for i, t in enumerate(monomials.trees) if t.size <= 4])
        grow.pairs(("mul", "div"), small, sums, 0.85)
        grow.pairs(("add", "sub"), small, small, 0.93)
        grow.pairs(("mul", "div", "sub", "add"), unary, unary, 1.0)
    return products


@dataclass(frozen=True, slots=True)
class _Filler:
    """Adds blocks of formulas to a store; what was kept is the next level."""

    store: FormulaStore
    capacity: int
    rng: np.random.Generator

    def _limit(self, share: float) -> int:
        return max(int(self.capacity * share) - len(self.store), 0)

    def keep(self, level: Level, share: float) -> Level:
        """Add a level as it stands."""
        return level.where(
            self.store.add(level.values, level.trees.__getitem__, self._limit(share))
        )

    def _sample(self, n: int, share: float) -> NDArray[np.int64]:
        """Which of ``n`` formulas are evaluated: at most twice as many as can be kept."""
        most = 2 * self._limit(share)
        return np.arange(n) if n <= most else np.sort(self.rng.permutation(n)[:most])

    def unary(self, names: tuple[str, ...], level: Level, share: float) -> Level:
        """Every function of every formula of a level."""
        picked = self._sample(len(names) * len(level.trees), share)
        ops, args = np.divmod(picked, max(len(level.trees), 1))
        values = np.empty((len(picked), self.store.X.shape[0]))
        for k, name in enumerate(names):
            at = ops == k
            values[at] = BY_NAME[name].array(np, level.values[args[at]])

        def tree(i: int) -> Tree:
            return Tree((BY_NAME[names[ops[i]]].code, *level.trees[args[i]].symbols))

        kept = self.store.add(values, tree, self._limit(share))
        return Level([tree(i) for i in kept], values[kept])

    def pairs(self, names: tuple[str, ...], first: Level, second: Level, share: float) -> Level:
        """Every operator on every pair of formulas; division in both orders."""
        grid = np.meshgrid(range(len(first.trees)), range(len(second.trees)), indexing="ij")
        i, j = (index.ravel().astype(int) for index in grid)
        if first is second:
            i, j = i[i < j], j[i < j]
        ways = [(BY_NAME[n], False) for n in names] + [(BY_NAME["div"], True)] * ("div" in names)
        picked = self._sample(len(ways) * len(i), share)
        pair, way = np.divmod(picked, len(ways))
        i, j = i[pair], j[pair]
        values = np.empty((len(picked), self.store.X.shape[0]))
        for k, (op, swapped) in enumerate(ways):
            at = way == k
            u, v = first.values[i[at]], second.values[j[at]]
            values[at] = op.array(np, v, u) if swapped else op.array(np, u, v)

        def tree(n: int) -> Tree:
            op, swapped = ways[way[n]]
            a, b = first.trees[i[n]], second.trees[j[n]]
            return _joined(op, b, a) if swapped else _joined(op, a, b)

        kept = self.store.add(values, tree, self._limit(share))
        return Level([tree(n) for n in kept], values[kept])

    def monomials(self, level0: Level, share: float) -> Level:
        """Products of integer powers of columns, up to the degree that ``_MONOMIALS`` allows."""
        p = len(level0.trees)
        degree = 2
        while degree < 4 and _lattice_points(p, degree + 1) <= _MONOMIALS:
            degree += 1
        exponents = [e for e in _exponents(p, degree) if sum(map(bool, e)) > 1]
        values = np.ones((len(exponents), self.store.X.shape[0]))
        for row, powers in zip(values, exponents, strict=True):
            for x, e in zip(level0.values, powers, strict=True):
                if e:
                    row *= x**e

        def tree(i: int) -> Tree:
            return _monomial(level0.trees, exponents[i])

        kept = self.store.add(values, tree, self._limit(share))
        return Level([tree(i) for i in kept], values[kept])


def _joined(op: Operator, a: Tree, b: Tree) -> Tree:
    return Tree((op.code, *a.symbols, *b.symbols))


def _monomial(columns: list[Tree], exponents: tuple[int, ...]) -> Tree:
    """A monomial as a quotient of products of powers."""

    def product(sign: int) -> Tree | None:
        out = None
        for x, e in zip(columns, exponents, strict=True):
            if e * sign > 0:
                power = x
                if abs(e) in (2, 4):
                    power = Tree.apply("square", power)
                if abs(e) == 4:
                    power = Tree.apply("square", power)
                if abs(e) == 3:
                    power = Tree.apply("cube", power)
                out = power if out is None else Tree.apply("mul", out, power)
        return out

    above, below = product(1), product(-1)
    if below is None:
        assert above is not None
        return above
    return Tree.apply("inv", below) if above is None else Tree.apply("div", above, below)


def _lattice_points(p: int, degree: int) -> int:
    """Number of integer vectors of length ``p`` with absolute sum at most ``degree``."""
    return sum(math.comb(p, k) * math.comb(degree, k) * 2**k for k in range(min(p, degree) + 1))


def _exponents(p: int, degree: int) -> Iterator[tuple[int, ...]]:
    """Integer vectors by absolute sum 2 .. ``degree``."""

    def of_sum(p: int, total: int) -> Iterator[tuple[int, ...]]:
        if p == 0:
            if total == 0:
                yield ()
            return
        for size in range(total + 1):
            for head in (size, -size) if size else (0,):
                for tail in of_sum(p - 1, total - size):
                    yield (head, *tail)

    for total in range(2, degree + 1):
        yield from of_sum(p, total)

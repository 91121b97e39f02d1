"""Which small formulas a library holds, simplest first, and their values in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_NAME, VARIABLE, Operator
from equate_srbench.expr.tree import Tree

if TYPE_CHECKING:
    from equate_srbench.edits.library import Library

Array = NDArray[np.float64]

_OUTER = ("square", "sqrt", "inv", "exp", "log", "sin", "cos", "cube", "tanh", "arcsin", "arccos")
_OF_MONOMIAL = ("exp", "sin", "cos", "tanh", "log", "sqrt")
_OF_SUM = ("square", "sqrt", "inv", "sin", "cos", "exp", "log")
#: Most monomials of one library: degree 4 for up to five columns, 3 for nine, 2 for many.
_MONOMIALS = 1300


@dataclass(frozen=True, slots=True)
class Level:
    """Formulas and their values on the search rows, shape (len(trees), n_rows)."""

    trees: list[Tree]
    values: Array

    def where(self, keep: list[int]) -> Level:
        """Some of the formulas."""
        return Level([self.trees[i] for i in keep], self.values[keep])


def fill(library: Library, columns: list[int], capacity: int, rng: np.random.Generator) -> None:
    """Fill an empty library by levels: columns, functions of one, sums, monomials, mixtures.

    Parameters
    ----------
    library : Library
    columns : list of int
    capacity : int
        Most entries; every level may fill the library up to a share of it.
    rng : numpy Generator
        Draws which formulas of a level are kept when they are too many.
    """
    grow = _Filler(library, capacity, rng)
    leaves = Level([Tree((VARIABLE + j,)) for j in columns], library.X[:, columns].T)
    with np.errstate(all="ignore"):
        level0 = grow.keep(leaves, 1.0)
        unary = grow.unary(_OUTER, level0, 1.0)
        sums = grow.pairs(("add", "sub"), level0, level0, 1.0)
        first = len(library)
        monomials = grow.monomials(level0, 0.3)
        library.products = np.r_[0 : len(level0.trees), first : len(library)]
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


@dataclass(frozen=True, slots=True)
class _Filler:
    """Adds blocks of formulas to a library and returns what was kept as the next level."""

    library: Library
    capacity: int
    rng: np.random.Generator

    def _room(self, share: float) -> int:
        return max(int(self.capacity * share) - len(self.library), 0)

    def keep(self, level: Level, share: float) -> Level:
        """Add a level as it stands."""
        return level.where(
            self.library.add(level.values, level.trees.__getitem__, self._room(share))
        )

    def _sample(self, n: int, share: float) -> NDArray[np.int64]:
        """Which of ``n`` formulas are computed at all: twice as many as there is room for."""
        most = 2 * self._room(share)
        return np.arange(n) if n <= most else np.sort(self.rng.permutation(n)[:most])

    def unary(self, names: tuple[str, ...], level: Level, share: float) -> Level:
        """Every function of every formula of a level."""
        picked = self._sample(len(names) * len(level.trees), share)
        ops, args = np.divmod(picked, max(len(level.trees), 1))
        values = np.empty((len(picked), self.library.X.shape[0]))
        for k, name in enumerate(names):
            at = ops == k
            values[at] = BY_NAME[name].array(np, level.values[args[at]])

        def tree(i: int) -> Tree:
            return Tree((BY_NAME[names[ops[i]]].code, *level.trees[args[i]].symbols))

        kept = self.library.add(values, tree, self._room(share))
        return Level([tree(i) for i in kept], values[kept])

    def pairs(self, names: tuple[str, ...], first: Level, second: Level, share: float) -> Level:
        """Every operator on every pair of formulas; division both ways round."""
        i, j = np.meshgrid(range(len(first.trees)), range(len(second.trees)), indexing="ij")
        i, j = i.ravel().astype(int), j.ravel().astype(int)
        if first is second:
            i, j = i[i < j], j[i < j]
        ways = [(BY_NAME[n], False) for n in names] + [(BY_NAME["div"], True)] * ("div" in names)
        picked = self._sample(len(ways) * len(i), share)
        pair, way = np.divmod(picked, len(ways))
        i, j = i[pair], j[pair]
        values = np.empty((len(picked), self.library.X.shape[0]))
        for k, (op, swapped) in enumerate(ways):
            at = way == k
            u, v = first.values[i[at]], second.values[j[at]]
            values[at] = op.array(np, v, u) if swapped else op.array(np, u, v)

        def tree(n: int) -> Tree:
            op, swapped = ways[way[n]]
            a, b = first.trees[i[n]], second.trees[j[n]]
            return _joined(op, b, a) if swapped else _joined(op, a, b)

        kept = self.library.add(values, tree, self._room(share))
        return Level([tree(n) for n in kept], values[kept])

    def monomials(self, level0: Level, share: float) -> Level:
        """Products of whole powers of columns, by degree, as many as ``_MONOMIALS`` allows."""
        p = len(level0.trees)
        degree = 2
        while degree < 4 and _lattice_points(p, degree + 1) <= _MONOMIALS:
            degree += 1
        exponents = [e for e in _exponents(p, degree) if sum(map(bool, e)) > 1]
        values = np.ones((len(exponents), self.library.X.shape[0]))
        for row, powers in zip(values, exponents, strict=True):
            for x, e in zip(level0.values, powers, strict=True):
                if e:
                    row *= x**e

        def tree(i: int) -> Tree:
            return _monomial(level0.trees, exponents[i])

        kept = self.library.add(values, tree, self._room(share))
        return Level([tree(i) for i in kept], values[kept])


def _joined(op: Operator, a: Tree, b: Tree) -> Tree:
    return Tree((op.code, *a.symbols, *b.symbols))


def _monomial(columns: list[Tree], exponents: tuple[int, ...]) -> Tree:
    """The shortest quotient of products of powers."""

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
    """Number of whole vectors of length ``p`` with absolute sum at most ``degree``."""
    return sum(math.comb(p, k) * math.comb(degree, k) * 2**k for k in range(min(p, degree) + 1))


def _exponents(p: int, degree: int) -> Iterator[tuple[int, ...]]:
    """Whole vectors by absolute sum 2 .. ``degree``."""

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

"""Random small trees and random mutations of given ones."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from equate_srbench.expr.operators import BINARY, BY_NAME, CONSTANT, UNARY, VARIABLE, arity
from equate_srbench.expr.tree import Tree

#: Relative frequencies of the operators, per arity.
WEIGHTS: dict[str, float] = {
    "add": 4.0, "sub": 3.0, "mul": 5.0, "div": 4.0, "pow": 0.2,
    "square": 1.6, "sqrt": 1.2, "inv": 0.8, "exp": 1.0, "log": 0.8, "sin": 0.7, "cos": 0.7,
    "cube": 0.3, "tanh": 0.25, "arctan": 0.1, "tan": 0.1, "arcsin": 0.05, "arccos": 0.05,
    "abs": 0.05,
}  # fmt: skip


def _cumulative(weights: Sequence[float]) -> list[float]:
    out, total = [], 0.0
    for w in weights:
        total += w
        out.append(total)
    return out


@dataclass(slots=True)
class Mutator:
    """Draws and mutates trees over given columns.

    Parameters
    ----------
    columns : sequence of int
        Columns that may appear.
    rng : random.Random
        Not NumPy's, whose single draws are 20 times slower.
    max_size : int, default=30
        Larger results are rejected and drawn again.
    """

    columns: Sequence[int]
    rng: random.Random
    max_size: int = 30
    _unary: tuple[list[int], list[float]] = field(init=False)
    _binary: tuple[list[int], list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self._unary = ([o.code for o in UNARY], _cumulative([WEIGHTS[o.name] for o in UNARY]))
        self._binary = ([o.code for o in BINARY], _cumulative([WEIGHTS[o.name] for o in BINARY]))

    # -- drawing ----------------------------------------------------------------------------

    def _draw(self, table: tuple[list[int], list[float]]) -> int:
        return self.rng.choices(table[0], cum_weights=table[1])[0]

    def leaf(self) -> Tree:
        """A column or, one time in eight, a constant of moderate size."""
        rng = self.rng
        if rng.random() < 0.875:
            return Tree((VARIABLE + rng.choice(self.columns),))
        return Tree((CONSTANT,), (self.value(),))

    def value(self) -> float:
        """A constant of either sign: a small integer, or log-uniform in 0.1 .. 10."""
        rng = self.rng
        size = (
            rng.choice((1.0, 2.0, 3.0)) if rng.random() < 0.5 else math.exp(rng.uniform(-2.3, 2.3))
        )
        return size if rng.random() < 0.75 else -size

    def tree(self, depth: int = 3) -> Tree:
        """A random tree of at most ``depth`` levels."""
        rng = self.rng
        if depth <= 1 or rng.random() < 0.15:
            return self.leaf()
        if rng.random() < 0.3:
            arg = self.tree(depth - 1)
            return Tree((self._draw(self._unary), *arg.symbols), arg.constants)
        a, b = self.tree(depth - 1), self.tree(depth - 1)
        return Tree(
            (self._draw(self._binary), *a.symbols, *b.symbols), (*a.constants, *b.constants)
        )

    # -- editing ----------------------------------------------------------------------------

    def edit(self, tree: Tree, other: Tree) -> Tree:
        """Mutate ``tree`` by one to three random edits; ``other`` donates subtrees."""
        rng = self.rng
        for _ in range(6):
            out = tree
            for _ in range(rng.choices((1, 2, 3), (6, 3, 1))[0]):
                out = self._edit_once(out, other)
            if out.size <= self.max_size and out.symbols != tree.symbols:
                return out
        return self.tree()

    def _edit_once(self, tree: Tree, other: Tree) -> Tree:
        rng = self.rng
        at = rng.randrange(tree.size)
        symbol = tree.symbols[at]
        move = rng.random()
        if move < 0.22:
            return self._swap(tree, at, symbol)
        part = tree.subtree(at)
        if move < 0.32:
            new = Tree((self._draw(self._unary), *part.symbols), part.constants)
        elif move < 0.52:
            new = self._combine(part, self.tree(2))
        elif move < 0.66:
            args = part.args()
            new = rng.choice(args) if args else self.leaf()
        elif move < 0.78:
            new = self.tree(3)
        elif move < 0.9:
            donor = other.subtree(rng.randrange(other.size))
            new = donor if rng.random() < 0.5 else self._combine(part, donor)
        else:
            op = BY_NAME[rng.choice(("add", "mul"))].code
            new = Tree((op, CONSTANT, *part.symbols), (self.value(), *part.constants))
        return tree.replace(at, new)

    def _swap(self, tree: Tree, at: int, symbol: int) -> Tree:
        """The same shape with one symbol redrawn."""
        n = arity(symbol)
        if n == 0:
            return tree.replace(at, self.leaf())
        new = self._draw(self._unary if n == 1 else self._binary)
        symbols = tree.symbols
        return Tree((*symbols[:at], new, *symbols[at + 1 :]), tree.constants)

    def _combine(self, a: Tree, b: Tree) -> Tree:
        if self.rng.random() < 0.5:
            a, b = b, a
        return Tree(
            (self._draw(self._binary), *a.symbols, *b.symbols), (*a.constants, *b.constants)
        )

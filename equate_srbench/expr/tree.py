"""Immutable expression trees in prefix order.

A tree is two flat tuples: symbol codes in prefix order, and the values of its constants in the
same order. A subtree is a slice, which keeps edits, hashing and hand-over to the kernels cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from equate_srbench.expr.operators import ARITY, BY_CODE, BY_NAME, CONSTANT, VARIABLE, arity

_COMMUTATIVE = frozenset(code for code, op in BY_CODE.items() if op.commutative)


class Tree:
    """An expression over columns 0, 1, ... (``Equation`` adds column names).

    Parameters
    ----------
    symbols : sequence of int
        Symbol codes in prefix order (see ``operators``).
    constants : sequence of float
        One value per ``CONSTANT`` symbol, in the same order.

    Examples
    --------
    >>> from equate_srbench.expr.tree import Tree
    >>> t = Tree.apply("mul", Tree.constant(2.0), Tree.variable(0))
    >>> t.symbols, t.constants, t.size
    ((3, 0, 64), (2.0,), 3)
    """

    __slots__ = ("_hash", "constants", "symbols")

    symbols: tuple[int, ...]
    constants: tuple[float, ...]

    def __init__(self, symbols: Sequence[int], constants: Sequence[float] = ()) -> None:
        self.symbols = tuple(symbols)
        self.constants = tuple(constants)
        self._hash: int | None = None

    # -- building ---------------------------------------------------------------------------

    @staticmethod
    def variable(column: int) -> Tree:
        """A leaf for column ``column``."""
        return Tree((VARIABLE + column,))

    @staticmethod
    def constant(value: float) -> Tree:
        """A leaf for the constant ``value``."""
        return Tree((CONSTANT,), (float(value),))

    @staticmethod
    def apply(name: str, *args: Tree) -> Tree:
        """Apply operator ``name`` to ``args``."""
        op = BY_NAME[name]
        if len(args) != op.arity:
            raise ValueError(f"{name} takes {op.arity} arguments, got {len(args)}")
        symbols: tuple[int, ...] = (op.code,)
        constants: tuple[float, ...] = ()
        for arg in args:
            symbols += arg.symbols
            constants += arg.constants
        return Tree(symbols, constants)

    # -- reading ----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.symbols)

    @property
    def skeleton(self) -> tuple[int, ...]:
        """The symbols without the values of constants; trees with equal skeletons fit alike."""
        return self.symbols

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns that occur, ascending."""
        return tuple(sorted({s - VARIABLE for s in self.symbols if s >= VARIABLE}))

    @property
    def depth(self) -> int:
        """Number of nodes on the longest path from the root (a leaf has depth 1)."""
        deepest: list[int] = []
        for symbol in reversed(self.symbols):
            n = arity(symbol)
            below = max((deepest.pop() for _ in range(n)), default=0)
            deepest.append(below + 1)
        return deepest[-1]

    def end(self, start: int) -> int:
        """Index just past the subtree rooted at ``start``."""
        symbols, open_ = self.symbols, 1
        i = start
        while open_:
            s = symbols[i]
            open_ += (ARITY[s] if s < VARIABLE else 0) - 1
            i += 1
        return i

    def subtree(self, start: int) -> Tree:
        """The subtree rooted at ``start``."""
        end = self.end(start)
        first = self.symbols[:start].count(CONSTANT)
        n = self.symbols[start:end].count(CONSTANT)
        return Tree(self.symbols[start:end], self.constants[first : first + n])

    def children(self, start: int = 0) -> list[int]:
        """Start indices of the arguments of the node at ``start``."""
        out, i = [], start + 1
        for _ in range(arity(self.symbols[start])):
            out.append(i)
            i = self.end(i)
        return out

    def args(self) -> list[Tree]:
        """The arguments of the root, as trees."""
        return [self.subtree(i) for i in self.children()]

    def replace(self, start: int, new: Tree) -> Tree:
        """A copy with the subtree at ``start`` replaced by ``new``."""
        end = self.end(start)
        first = self.symbols[:start].count(CONSTANT)
        n = self.symbols[start:end].count(CONSTANT)
        return Tree(
            self.symbols[:start] + new.symbols + self.symbols[end:],
            self.constants[:first] + new.constants + self.constants[first + n :],
        )

    def with_constants(self, constants: Sequence[float]) -> Tree:
        """A copy with other values of the constants."""
        if len(constants) != len(self.constants):
            raise ValueError(f"{len(constants)} constants for {len(self.constants)} places")
        return Tree(self.symbols, constants)

    def is_valid(self) -> bool:
        """Whether symbols form exactly one complete tree with a value for each constant."""
        open_ = 1
        for i, s in enumerate(self.symbols):
            if s < 0 or (s < VARIABLE and s != CONSTANT and s not in BY_CODE):
                return False
            open_ += arity(s) - 1
            if open_ == 0 and i + 1 != len(self.symbols):
                return False
        return open_ == 0 and self.symbols.count(CONSTANT) == len(self.constants)

    def canonical(self) -> Tree:
        """An equal tree with the arguments of commutative operators in canonical order.

        Chains of one commutative operator are flattened, sorted by skeleton and rebuilt to the
        right, so that ``a + (b + c)`` and ``(c + a) + b`` become one tree.
        """
        symbol = self.symbols[0]
        if arity(symbol) == 0:
            return self
        if symbol in _COMMUTATIVE:
            terms = sorted(self._chain(symbol), key=lambda t: (-t.size, t.symbols, t.constants))
            out = terms[-1]
            for term in reversed(terms[:-1]):
                out = _join(symbol, (term, out))
            return out
        return _join(symbol, [arg.canonical() for arg in self.args()])

    def _chain(self, symbol: int) -> Iterator[Tree]:
        for arg in self.args():
            if arg.symbols[0] == symbol:
                yield from arg._chain(symbol)
            else:
                yield arg.canonical()

    # -- protocol ---------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return self.symbols == other.symbols and self.constants == other.constants

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.symbols, self.constants))
        return self._hash

    def __reduce__(self) -> tuple[type[Tree], tuple[tuple[int, ...], tuple[float, ...]]]:
        return Tree, (self.symbols, self.constants)

    def __repr__(self) -> str:
        values = iter(self.constants)
        words = []
        for s in self.symbols:
            if s == CONSTANT:
                words.append(f"{next(values):.6g}")
            else:
                words.append(BY_CODE[s].name if s < VARIABLE else f"x_{s - VARIABLE}")
        return f"Tree({' '.join(words)})"


def _join(symbol: int, args: Sequence[Tree]) -> Tree:
    symbols: tuple[int, ...] = (symbol,)
    constants: tuple[float, ...] = ()
    for arg in args:
        symbols += arg.symbols
        constants += arg.constants
    return Tree(symbols, constants)

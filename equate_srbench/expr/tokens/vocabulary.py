"""Formulas as token sequences: the interface of a vocabulary, and the compact one.

A vocabulary writes a tree in prefix order. The compact one spends one token per constant (sign and
logarithmic bucket; the refinement finds the value), ``E2EVocabulary`` three. ``encode`` and
``decode`` have no start and end tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import ARITY, CONSTANT, OPERATORS, VARIABLE
from equate_srbench.expr.tree import Tree


class Vocabulary(Protocol):
    """Interface between the tokens of a vocabulary and the backbone.

    Attributes
    ----------
    words : list of str
        The word of each token id.
    eos, pad : int
        The token that starts and ends a sequence, and the padding token.
    columns : sequence of int
        Ids of the column tokens, in column order.
    arity : list of int
        Tokens or subtrees that must follow each token; -1 where it is not allowed in a formula.
    needs, leads : list of int
        Part of a number (0 none, 1 mantissa, 2 exponent) that the token must be, and that must
        follow it.
    """

    words: list[str]
    eos: int
    pad: int
    arity: list[int]
    needs: list[int]
    leads: list[int]

    @property
    def columns(self) -> Sequence[int]:
        """Ids of the column tokens, in column order."""
        ...

    def encode(self, tree: Tree) -> list[int]:
        """Token ids of ``tree``; raises ``FormulaError`` if a symbol has no token."""
        ...

    def decode(self, ids: Iterable[int]) -> Tree:
        """Decode token ids; raises ``FormulaError`` unless they are one complete formula."""
        ...

    def __len__(self) -> int: ...


class CompactVocabulary:
    """One token per node: operators, columns, and constants by sign and logarithmic bucket.

    Whole numbers -5 .. 5 and 0.5 have tokens of their own; other constants take the nearest of
    six buckets per decade from 1e-3 to 1e3, whose centre is what ``decode`` returns.

    Parameters
    ----------
    n_columns : int, default=10
        Number of column tokens ``x_0``, ``x_1``, ...

    Examples
    --------
    >>> from equate_srbench.expr.tree import Tree
    >>> v = CompactVocabulary()
    >>> ids = v.encode(Tree.apply("mul", Tree.constant(2.0), Tree.variable(3)))
    >>> [v.words[i] for i in ids]
    ['mul', '2', 'x_3']
    """

    BUCKETS_PER_DECADE = 6
    DECADES = 3

    def __init__(self, n_columns: int = 10) -> None:
        last = self.BUCKETS_PER_DECADE * self.DECADES
        exact = [*(float(i) for i in range(-5, 6)), 0.5]
        centres = [10.0 ** (k / self.BUCKETS_PER_DECADE) for k in range(-last, last + 1)]
        buckets = [*centres, *(-c for c in centres)]
        self.words = [
            "<eos>",
            "<pad>",
            *(op.name for op in OPERATORS),
            *(f"x_{j}" for j in range(n_columns)),
            *(f"{v:g}" for v in exact),
            *(f"{v:+.2e}" for v in buckets),
        ]
        self.eos, self.pad, self.n_columns = 0, 1, n_columns
        n_symbols = len(OPERATORS) + n_columns
        self._symbols = [op.code for op in OPERATORS] + [VARIABLE + j for j in range(n_columns)]
        self._ids = {symbol: 2 + i for i, symbol in enumerate(self._symbols)}
        self._values = exact + buckets
        self._first_value = 2 + n_symbols
        self._exact = {v: self._first_value + i for i, v in enumerate(exact)}
        self._first_bucket = self._first_value + len(exact)
        self._n_centres, self._last = len(centres), last
        self.columns = range(self._first_value - n_columns, self._first_value)
        self.arity = [-1, -1, *(ARITY[op.code] for op in OPERATORS)]
        self.arity += [0] * (len(self.words) - len(self.arity))
        self.needs = self.leads = [0] * len(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def constant(self, value: float) -> int:
        """Id of the token nearest to ``value``; values beyond the buckets take the outermost."""
        if value in self._exact:
            return self._exact[value]
        if not math.isfinite(value):
            raise FormulaError(f"the constant {value} has no token")
        k = round(self.BUCKETS_PER_DECADE * math.log10(abs(value)))
        k = min(max(k, -self._last), self._last) + self._last
        return self._first_bucket + k + (self._n_centres if value < 0 else 0)

    def encode(self, tree: Tree) -> list[int]:
        """Token ids of ``tree``, one per node; raises ``FormulaError`` if a column has none."""
        values = iter(tree.constants)
        ids = []
        for symbol in tree.symbols:
            if symbol == CONSTANT:
                ids.append(self.constant(next(values)))
            elif symbol in self._ids:
                ids.append(self._ids[symbol])
            else:
                raise FormulaError(f"no token for column {symbol - VARIABLE}")
        return ids

    def decode(self, ids: Iterable[int]) -> Tree:
        """Decode token ids; raises ``FormulaError`` unless they are one complete formula."""
        symbols: list[int] = []
        constants: list[float] = []
        for i in ids:
            if not 2 <= i < len(self.words):
                raise FormulaError(f"token {i} is not allowed in a formula")
            if i < self._first_value:
                symbols.append(self._symbols[i - 2])
            else:
                symbols.append(CONSTANT)
                constants.append(self._values[i - self._first_value])
        return complete_tree(symbols, constants)


def complete_tree(symbols: list[int], constants: list[float]) -> Tree:
    """The tree of decoded symbols; raises ``FormulaError`` unless it is one complete formula."""
    tree = Tree(symbols, constants)
    if not tree.is_valid():
        raise FormulaError(f"not one complete formula: {len(symbols)} tokens")
    return tree

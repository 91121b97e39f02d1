"""Formulas as token sequences: the compact vocabulary, and that of Meta's E2E release.

Both write a tree in prefix order. They differ in constants: the compact vocabulary spends one
token on each (sign and logarithmic bucket; the refinement finds the value), E2E three (sign,
four-digit mantissa, exponent). No start or end token is part of ``encode`` and ``decode``.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import ARITY, BY_CODE, BY_NAME, CONSTANT, OPERATORS, VARIABLE
from equate_srbench.expr.tree import Tree


class Vocabulary(Protocol):
    """What the backbone needs to know about tokens.

    Attributes
    ----------
    words : list of str
        The word of each token id.
    eos, pad : int
        The token that starts and ends a sequence, and the one that fills it up.
    columns : sequence of int
        Ids of the column tokens, in column order.
    arity : list of int
        Tokens or subtrees that must follow each token; -1 where it cannot stand in a formula.
    needs, leads : list of int
        Part of a number (0 none, 1 mantissa, 2 exponent) that must be due where the token
        stands, and that is due after it.
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
        """Token ids of ``tree``; raises ``FormulaError`` if it has no such form."""
        ...

    def decode(self, ids: Iterable[int]) -> Tree:
        """The tree of ``ids``; raises ``FormulaError`` unless it is one complete formula."""
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
        """Token ids of ``tree``, one per node; raises ``FormulaError`` for unknown columns."""
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
        """The tree of ``ids``; raises ``FormulaError`` unless it is one complete formula."""
        symbols: list[int] = []
        constants: list[float] = []
        for i in ids:
            if not 2 <= i < len(self.words):
                raise FormulaError(f"token {i} cannot stand in a formula")
            if i < self._first_value:
                symbols.append(self._symbols[i - 2])
            else:
                symbols.append(CONSTANT)
                constants.append(self._values[i - self._first_value])
        return _complete(symbols, constants)


_SPECIAL = [
    "<EOS>", "<X>", "</X>", "<Y>", "</Y>", "</POINTS>", "<INPUT_PAD>", "<OUTPUT_PAD>", "<PAD>",
    "(", ")", "SPECIAL", "OOD_unary_op", "OOD_binary_op", "OOD_constant",
]  # fmt: skip
_UNUSED = ["CONSTANT", "FLOAT+", "FLOAT-", "INT+", "INT-", "rand", "|"]
_OFFICIAL_NAME = {"square": "pow2", "cube": "pow3"}
_NAMED = {"e": math.e, "pi": math.pi, "euler_gamma": 0.5772156649015329}
_MAX_EXPONENT = 100
_LARGEST = 9.999e103


class FloatTokens:
    """E2E's tokens of numbers: sign, four-digit mantissa, exponent (the encoder's vocabulary).

    Attributes
    ----------
    words : list of str
        10,218 words in the order of the release.
    ids : dict
        Word to id.
    pad, input_pad : int
        Fillers for missing points and for missing columns.
    """

    def __init__(self) -> None:
        numbers = ["+", "-", *(f"N{i:04d}" for i in range(10_000))]
        numbers += [f"E{i}" for i in range(-_MAX_EXPONENT, _MAX_EXPONENT + 1)]
        self.words = [*_SPECIAL, *sorted(numbers)]
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.pad, self.input_pad = self.ids["<PAD>"], self.ids["<INPUT_PAD>"]

    @staticmethod
    def split(value: float) -> tuple[str, str, str]:
        """Words of ``value``, which is cut at +-9.999e103; raises ``FormulaError`` for NaN."""
        if math.isnan(value):
            raise FormulaError("NaN has no tokens")
        digits, exponent = f"{min(abs(value), _LARGEST):.3e}".split("e")
        shifted = int(exponent) - 3
        sign = "-" if value < 0 else "+"
        if shifted < -_MAX_EXPONENT:
            return sign, "N0000", "E0"
        return sign, "N" + digits.replace(".", ""), f"E{shifted}"

    @staticmethod
    def join(words: Sequence[str]) -> float:
        """Value of sign, mantissa and exponent words; raises ``FormulaError`` for anything else."""
        if (
            len(words) != 3
            or words[0] not in ("+", "-")
            or not (words[1][:1] == "N" and set(words[1][1:]) <= set(string.digits))
            or not words[2].startswith("E")
        ):
            raise FormulaError(f"not a number: {' '.join(words)}")
        return float(f"{words[0]}{words[1][1:]}e{words[2][1:]}")


@cache
def float_tokens() -> FloatTokens:
    """The one table of float tokens, built at first use."""
    return FloatTokens()


class E2EVocabulary:
    """The decoder's vocabulary of Meta's E2E release, in its order and with its duplicates.

    The release appends the whole float list, its 15 special words included, to the equation
    symbols; the last of two equal words is the one in use, so ``<EOS>`` is 74.
    """

    n_columns = 10

    def __init__(self) -> None:
        names = [_OFFICIAL_NAME.get(op.name, op.name) for op in OPERATORS if op.name != "tanh"]
        symbols = [*names, *_NAMED, *_UNUSED, *(str(i) for i in range(-10, 11))]
        symbols += [f"x_{j}" for j in range(self.n_columns)]
        self.words = [*_SPECIAL, *sorted(symbols), *float_tokens().words]
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.eos, self.pad = self.ids["<EOS>"], self.ids["<PAD>"]
        self.columns = [self.ids[f"x_{j}"] for j in range(self.n_columns)]
        # Of a word that stands twice only the last id is in use.
        used = [self.ids[word] == i for i, word in enumerate(self.words)]
        parts = [_part(w) if u else _NO_PART for w, u in zip(self.words, used, strict=True)]
        self.arity, self.needs, self.leads = (list(column) for column in zip(*parts, strict=True))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tree: Tree) -> list[int]:
        """Token ids of ``tree``, three per constant; raises ``FormulaError`` for unknown words."""
        values = iter(tree.constants)
        words: list[str] = []
        for symbol in tree.symbols:
            if symbol == CONSTANT:
                words += FloatTokens.split(next(values))
            elif symbol >= VARIABLE:
                words.append(f"x_{symbol - VARIABLE}")
            else:
                name = BY_CODE[symbol].name
                words.append(_OFFICIAL_NAME.get(name, name))
        missing = [word for word in words if word not in self.ids]
        if missing:
            raise FormulaError(f"no token for {missing[0]!r}")
        return [self.ids[word] for word in words]

    def decode(self, ids: Iterable[int]) -> Tree:
        """The tree of ``ids``; raises ``FormulaError`` unless it is one complete formula."""
        ids = list(ids)
        if any(not 0 <= i < len(self.words) for i in ids):
            raise FormulaError("token ids out of range")
        words = [self.words[i] for i in ids]
        symbols: list[int] = []
        constants: list[float] = []
        i = 0
        while i < len(words):
            step = 3 if words[i] in ("+", "-") else 1
            symbol, value = _official(words[i : i + step])
            symbols.append(symbol)
            if value is not None:
                constants.append(value)
            i += step
        return _complete(symbols, constants)


_BY_OFFICIAL_NAME = {_OFFICIAL_NAME.get(name, name): op.code for name, op in BY_NAME.items()}


def _official(words: Sequence[str]) -> tuple[int, float | None]:
    """Symbol code, and the value if it is a constant, of one node in E2E's words."""
    word = words[0]
    if word in ("+", "-"):
        return CONSTANT, FloatTokens.join(words)
    if word in _BY_OFFICIAL_NAME:
        return _BY_OFFICIAL_NAME[word], None
    if word.startswith("x_"):
        return VARIABLE + int(word[2:]), None
    if word in _NAMED:
        return CONSTANT, _NAMED[word]
    if word.lstrip("-").isdigit():
        return CONSTANT, float(word)
    raise FormulaError(f"token {word!r} cannot stand in a formula")


_NO_PART = (-1, 0, 0)


def _part(word: str) -> tuple[int, int, int]:
    """What E2E's ``word`` needs and leads to: arity, part of a number due before and after."""
    if word in ("+", "-"):
        return 2, 0, 1
    if word in _SPECIAL or word in _UNUSED:
        return _NO_PART
    if word[0] == "N":
        return 0, 1, 2
    if word[0] == "E":
        return 0, 2, 0
    return ARITY[_official([word])[0]] if word in _BY_OFFICIAL_NAME else 0, 0, 0


def _complete(symbols: list[int], constants: list[float]) -> Tree:
    tree = Tree(symbols, constants)
    if not tree.is_valid():
        raise FormulaError(f"not one complete formula: {len(symbols)} tokens")
    return tree

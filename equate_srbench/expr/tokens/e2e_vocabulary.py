"""Formulas and numbers as token sequences of Meta's E2E release.

The decoder's vocabulary writes a tree in prefix order, with three tokens per constant: sign,
four-digit mantissa, exponent. The encoder reads numbers in the same three tokens.

References
----------
Kamienny et al. (2022), "End-to-end symbolic regression with transformers".
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from functools import cache

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import ARITY, BY_CODE, BY_NAME, CONSTANT, OPERATORS, VARIABLE
from equate_srbench.expr.tokens.vocabulary import complete_tree
from equate_srbench.expr.tree import Tree

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
    """The encoder's vocabulary: numbers as sign, four-digit mantissa and exponent.

    Attributes
    ----------
    words : list of str
        10,218 words in the order of the release.
    ids : dict
        Word to id.
    pad, input_pad : int
        Padding for missing points and for missing columns.
    """

    def __init__(self) -> None:
        numbers = ["+", "-", *(f"N{i:04d}" for i in range(10_000))]
        numbers += [f"E{i}" for i in range(-_MAX_EXPONENT, _MAX_EXPONENT + 1)]
        self.words = [*_SPECIAL, *sorted(numbers)]
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.pad, self.input_pad = self.ids["<PAD>"], self.ids["<INPUT_PAD>"]

    @staticmethod
    def split(value: float) -> tuple[str, str, str]:
        """Words of ``value``, clipped to +-9.999e103; raises ``FormulaError`` for NaN."""
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
        """Value of sign, mantissa and exponent words; raises ``FormulaError`` if they are not."""
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
    """The shared table of float tokens, built at first use."""
    return FloatTokens()


class E2EVocabulary:
    """The decoder's vocabulary, in the order of the release and with its duplicates.

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
        """Token ids of ``tree``, three per constant; raises ``FormulaError`` for missing words."""
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
        """Decode token ids; raises ``FormulaError`` unless they are one complete formula."""
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
        return complete_tree(symbols, constants)


_BY_OFFICIAL_NAME = {_OFFICIAL_NAME.get(name, name): op.code for name, op in BY_NAME.items()}


def _official(words: Sequence[str]) -> tuple[int, float | None]:
    """Symbol code of one node in E2E's words, and its value if it is a constant."""
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
    raise FormulaError(f"token {word!r} is not allowed in a formula")


_NO_PART = (-1, 0, 0)


def _part(word: str) -> tuple[int, int, int]:
    """Arity of ``word``, and the parts of a number due before and after it."""
    if word in ("+", "-"):
        return 2, 0, 1
    if word in _SPECIAL or word in _UNUSED:
        return _NO_PART
    if word[0] == "N":
        return 0, 1, 2
    if word[0] == "E":
        return 0, 2, 0
    return ARITY[_official([word])[0]] if word in _BY_OFFICIAL_NAME else 0, 0, 0

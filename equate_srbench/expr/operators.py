"""The table of operators, shared by all code that parses, prints or evaluates formulas.

Symbol codes (small integers) are what trees, kernels and vocabularies store:
``CONSTANT`` is a number, ``1 .. 63`` are operators, ``VARIABLE + j`` is column ``j``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CONSTANT = 0
VARIABLE = 64


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of expression trees.

    Attributes
    ----------
    name : str
        Token in the vocabularies and name in the parser (E2E spells squares ``pow2``; its
        vocabulary maps that).
    code : int
        Symbol code, 1 .. 63; the compiled kernel dispatches on it, so codes never change.
    arity : int
        1 or 2.
    array : callable
        ``array(m, *args)`` computes the operator with ``m`` being ``numpy`` or ``torch``.
    sympy : str
        Text with ``{0}``, ``{1}`` that SymPy parses to the same function.
    numpy : str
        The same as NumPy source text.
    latex : str
        The same in LaTeX.
    level : int
        Binding strength of the printed text: 1 sum, 2 product, 3 power, 4 call (never bracketed).
    domain : str
        Where the value is real and finite, in words.
    commutative : bool
        Whether the two arguments may be swapped.
    """

    name: str
    code: int
    arity: int
    array: Callable[..., Any]
    sympy: str
    numpy: str
    latex: str
    level: int = 4
    domain: str = "all real numbers"
    commutative: bool = False


def _call(
    name: str, code: int, sympy: str, latex: str, domain: str = "all real numbers"
) -> Operator:
    """A unary operator written as a call, with one name in NumPy and torch."""
    return Operator(
        name, code, 1, lambda m, a: getattr(m, name)(a),
        f"{sympy}({{0}})", f"np.{name}({{0}})",
        latex if "{0}" in latex else f"{latex}\\left({{0}}\\right)", 4, domain,
    )  # fmt: skip


OPERATORS: tuple[Operator, ...] = (
    Operator("add", 1, 2, lambda m, a, b: a + b, "{0} + {1}", "{0} + {1}", "{0} + {1}", 1,
             commutative=True),
    Operator("sub", 2, 2, lambda m, a, b: a - b, "{0} - {1}", "{0} - {1}", "{0} - {1}", 1),
    Operator("mul", 3, 2, lambda m, a, b: a * b, "{0}*{1}", "{0} * {1}", "{0} \\cdot {1}", 2,
             commutative=True),
    Operator("div", 4, 2, lambda m, a, b: a / b, "{0}/{1}", "{0} / {1}",
             "\\frac{{{0}}}{{{1}}}", 2, "denominator not zero"),
    Operator("pow", 5, 2, lambda m, a, b: a**b, "{0}**{1}", "{0} ** {1}", "{0}^{{{1}}}", 3,
             "base positive, or a whole exponent"),
    _call("abs", 6, "Abs", "\\left|{0}\\right|"),
    Operator("inv", 7, 1, lambda m, a: 1.0 / a, "1/{0}", "1.0 / {0}", "\\frac{{1}}{{{0}}}", 2,
             "not zero"),
    _call("sqrt", 8, "sqrt", "\\sqrt{{{0}}}", "not negative"),
    Operator("square", 9, 1, lambda m, a: a * a, "{0}**2", "{0} ** 2", "{0}^{{2}}", 3),
    Operator("cube", 10, 1, lambda m, a: a * a * a, "{0}**3", "{0} ** 3", "{0}^{{3}}", 3),
    _call("exp", 11, "exp", "\\exp"),
    _call("log", 12, "log", "\\log", "positive"),
    _call("sin", 13, "sin", "\\sin"),
    _call("cos", 14, "cos", "\\cos"),
    _call("tan", 15, "tan", "\\tan", "not an odd multiple of pi/2"),
    _call("arcsin", 16, "asin", "\\arcsin", "-1 .. 1"),
    _call("arccos", 17, "acos", "\\arccos", "-1 .. 1"),
    _call("arctan", 18, "atan", "\\arctan"),
    _call("tanh", 19, "tanh", "\\tanh"),
)  # fmt: skip

BY_CODE: dict[int, Operator] = {op.code: op for op in OPERATORS}
BY_NAME: dict[str, Operator] = {op.name: op for op in OPERATORS}
UNARY: tuple[Operator, ...] = tuple(op for op in OPERATORS if op.arity == 1)
BINARY: tuple[Operator, ...] = tuple(op for op in OPERATORS if op.arity == 2)

#: Number of arguments by symbol code, for codes below ``VARIABLE``; leaves have none.
ARITY: tuple[int, ...] = tuple(
    BY_CODE[code].arity if code in BY_CODE else 0 for code in range(VARIABLE)
)


def arity(symbol: int) -> int:
    """Number of arguments that ``symbol`` takes (0 for constants and variables)."""
    return ARITY[symbol] if symbol < VARIABLE else 0

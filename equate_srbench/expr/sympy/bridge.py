"""Conversion between trees and SymPy expressions, without parsing any text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.text.parser import combine
from equate_srbench.expr.tree import Tree

if TYPE_CHECKING:
    import sympy

_BINARY: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}
_EXACT = frozenset({"add", "sub", "mul", "div", "inv"})
_POWERS = {"inv": -1, "square": 2, "cube": 3}
_FUNCTIONS = {"abs": "Abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_NAMES = {spelt: name for name, spelt in _FUNCTIONS.items()} | {
    name: name for name in ("exp", "log", "sin", "cos", "tan", "tanh")
}


def attempted(step: Callable[[Any], Any], expression: sympy.Expr) -> Any | None:
    """``step(expression)``, or None if a defect of SymPy's routine makes it fail."""
    import sympy

    try:
        return step(expression)
    except (ValueError, TypeError, NotImplementedError, AttributeError, KeyError,
            IndexError, ZeroDivisionError, RecursionError, sympy.PolynomialError):  # fmt: skip
        return None


def to_sympy(tree: Tree, symbols: Sequence[sympy.Symbol]) -> sympy.Expr:
    """Convert ``tree`` to a SymPy expression.

    Parameters
    ----------
    tree : Tree
    symbols : sequence of Symbol
        One per column.

    Returns
    -------
    sympy.Expr
        Whole constants as Integer, others as Float with all bits of the double.

    Raises
    ------
    FormulaError
        If constants fold to something that is not finite.
    """
    stack: list[Any] = []
    values = list(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(_number(float(values.pop())))
        elif symbol >= VARIABLE:
            stack.append(symbols[symbol - VARIABLE])
        else:
            op = BY_CODE[symbol]
            args = [stack.pop() for _ in range(op.arity)]
            fixed = all(arg.is_number for arg in args)
            stack.append(_folded(op.name, args) if fixed else _apply(op.name, args))
    return stack[0]


def _number(value: float) -> sympy.Expr:
    import sympy

    if not math.isfinite(value):
        raise FormulaError(f"the constant {value} is not finite")
    whole = value.is_integer() and abs(value) < 1e15
    return sympy.Integer(int(value)) if whole else sympy.Float(value)


def _folded(name: str, args: list[Any]) -> sympy.Expr:
    """Apply an operator to numbers in float64: SymPy's exact 9**9**9 would never end."""
    if name in _EXACT and all(arg.is_Rational for arg in args) and args[-1] != 0:
        return _apply(name, args)
    constants = [Tree.constant(float(arg)) for arg in args]
    return _number(float(evaluate(Tree.apply(name, *constants), np.empty((1, 0)))[0]))


def _apply(name: str, args: list[Any]) -> Any:
    import sympy

    if name in _BINARY:
        return _BINARY[name](*args)
    if name in _POWERS:
        return args[0] ** _POWERS[name]
    return getattr(sympy, _FUNCTIONS.get(name, name))(args[0])


def from_sympy(expression: sympy.Expr, columns: Mapping[sympy.Symbol, int]) -> Tree:
    """Convert a SymPy expression over known symbols to a tree.

    Parameters
    ----------
    expression : sympy.Expr
    columns : mapping from Symbol to int

    Raises
    ------
    FormulaError
        For functions, symbols or numbers that trees do not have.
    """
    if expression in columns:
        return Tree.variable(columns[expression])
    if expression.is_Add:
        return _from_sum(expression, columns)
    if expression.is_Mul:
        return _from_product(expression, columns)
    if expression.is_Pow:
        base, exponent = (from_sympy(arg, columns) for arg in expression.args)
        return combine("pow", base, exponent)
    if expression.is_number:
        return Tree.constant(_value(expression))
    name = type(expression).__name__
    if name == "sign":  # derivative of Abs; undefined at 0, as the derivative is
        inner = from_sympy(expression.args[0], columns)
        return Tree.apply("div", inner, Tree.apply("abs", inner))
    if name not in _NAMES:
        raise FormulaError(f"'{name}' of SymPy has no counterpart among the operators")
    if len(expression.args) != 1:
        raise FormulaError(f"'{name}' takes one argument here, got {len(expression.args)}")
    return Tree.apply(_NAMES[name], from_sympy(expression.args[0], columns))


def _value(expression: Any) -> float:
    number = complex(expression.evalf(17))
    if number.imag or number.real != number.real or abs(number.real) == float("inf"):
        raise FormulaError(f"{expression} is not a real number")
    return number.real


def _from_sum(expression: Any, columns: Mapping[Any, int]) -> Tree:
    # positive terms first, so that the text does not begin with a minus sign
    terms = sorted(expression.args, key=lambda t: bool(t.as_coeff_Mul()[0].is_negative))
    tree = from_sympy(terms[0], columns)
    for term in terms[1:]:
        if not term.is_number and term.as_coeff_Mul()[0].is_negative:
            tree = Tree.apply("sub", tree, from_sympy(-term, columns))
        else:
            tree = Tree.apply("add", tree, from_sympy(term, columns))
    return tree


def _from_product(expression: Any, columns: Mapping[Any, int]) -> Tree:
    above: list[Any] = []
    below: list[Any] = []
    for factor in expression.args:
        negative = factor.is_Pow and factor.exp.is_number and bool(factor.exp.is_negative)
        (below if negative else above).append(1 / factor if negative else factor)
    over = _multiplied(above, columns) if above else None
    if not below:
        assert over is not None
        return over
    under = _multiplied(below, columns)
    return Tree.apply("inv", under) if over is None else Tree.apply("div", over, under)


def _multiplied(factors: list[Any], columns: Mapping[Any, int]) -> Tree:
    tree = from_sympy(factors[0], columns)
    for factor in factors[1:]:
        tree = Tree.apply("mul", tree, from_sympy(factor, columns))
    return tree

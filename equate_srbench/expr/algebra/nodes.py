"""Nodes of the algebra: n-ary sums and products as nested tuples, and their numbers.

A node is a float, or a nested tuple, so that nodes hash, compare and sort as plain tuples:

- ``("v", column)``
- ``("f", name, node)`` a function of one argument; roots and inverses are powers
- ``("^", base, exponent)`` a power whose exponent contains a column; a number as base is
  ``("n", value)``
- ``("u", name, nodes)`` an operator left as it is: to fold it would leave the range of doubles
- ``("*", coefficient, ((node, exponent), ...))`` a product of constant powers, sorted
- ``("+", constant, ((node, coefficient), ...))`` a sum, sorted
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeGuard

Weighted = tuple[tuple["Form", float], ...]  # factors with exponents, or terms with coefficients
Variable = tuple[Literal["v"], int]
Number = tuple[Literal["n"], float]
Call = tuple[Literal["f"], str, "Form"]
Power = tuple[Literal["^"], "Form", "Form"]
Product = tuple[Literal["*"], float, Weighted]
Sum = tuple[Literal["+"], float, Weighted]
Unfolded = tuple[Literal["u"], str, tuple["Form", ...]]
Form = Variable | Number | Call | Power | Unfolded | Product | Sum
Node = float | Form

_CANCELLED = 1e-15  # a sum of two numbers this small beside them is rounding
_CENTRED = 1e6  # w*(x - c) with so large a c stays: w*x - w*c would lose the digits of x - c


class UnsafeRewriteError(ArithmeticError):
    """Raised if constants fold to no finite real value (``log(-1)``, ``1/0``) or lose digits."""


def is_call(node: Node, *names: str) -> TypeGuard[Call]:
    """Whether ``node`` is one of the functions ``names`` of something."""
    return isinstance(node, tuple) and node[0] == "f" and node[1] in names


def is_sum(node: Node) -> TypeGuard[Sum]:
    """Whether ``node`` is a sum."""
    return isinstance(node, tuple) and node[0] == "+"


def split_coefficient(node: Node) -> tuple[float, Node]:
    """Split ``node`` into ``coefficient * rest``; the rest of a number is 1."""
    if isinstance(node, float):
        return node, 1.0
    if node[0] != "*" or node[1] == 1.0:
        return 1.0, node
    return node[1], product(1.0, node[2])


def factors_of(node: Node) -> Weighted:
    """Factors and exponents of ``node``, without its coefficient."""
    if isinstance(node, float):
        return ()
    return node[2] if node[0] == "*" else ((node, 1.0),)


def terms_of(node: Node) -> tuple[float, Weighted]:
    """Constant and terms of ``node``, read as a sum."""
    if isinstance(node, float):
        return node, ()
    if node[0] == "+":
        return node[1], node[2]
    c, rest = split_coefficient(node)
    return (c, ()) if isinstance(rest, float) else (0.0, ((rest, c),))


def is_centred(node: Sum) -> bool:
    """Whether a sum is ``x - c`` with a constant so large that no factor should meet it."""
    return abs(node[1]) > _CENTRED * max(abs(c) for _, c in node[2])


def product(coefficient: float, factors: Iterable[tuple[Form, float]]) -> Node:
    """A node of a coefficient and factors that are collected already."""
    kept = tuple(sorted(factors))
    if coefficient == 0.0 or not kept:
        return coefficient
    if len(kept) == 1 and kept[0][1] == 1.0:
        base = kept[0][0]
        if coefficient == 1.0:
            return base
        if base[0] == "+" and (coefficient == -1.0 or not is_centred(base)):
            terms = tuple((node, scaled(coefficient, c)) for node, c in base[2])
            return "+", scaled(coefficient, base[1]), terms
        if base[0] == "*":
            return product(scaled(coefficient, base[1]), base[2])
    return "*", coefficient, kept


def as_form(node: Node) -> Form:
    """Narrow the type of a node that cannot be a number."""
    assert isinstance(node, tuple)
    return node


def as_call(node: Node) -> Call:
    """Narrow the type of a node that is a function."""
    assert isinstance(node, tuple)
    assert node[0] == "f"
    return node


# -- numbers ------------------------------------------------------------------------------------


def tidy(value: float) -> float:
    """The number of few digits that ``value`` is but for rounding (0.3 for 0.1 + 0.2)."""
    if value.is_integer():
        return value
    if len(repr(value)) > 16:
        near = float(f"{value:.14g}")
        if len(repr(near)) < 13:
            return near
    return value


def total(a: float, b: float) -> float:
    """``a + b``, zero where only rounding is left."""
    found = a + b
    if abs(found) <= _CANCELLED * abs(a):
        return 0.0
    return tidy(finite(found))


def scaled(a: float, b: float) -> float:
    """``a * b``; raises ``UnsafeRewriteError`` on overflow or loss of digits by underflow."""
    if a in (1.0, -1.0) or b in (1.0, -1.0):
        return a * b + 0.0  # no minus zero
    found = finite(a * b)
    if abs(found) < 1e-290 and a and b:
        raise UnsafeRewriteError
    return tidy(found)


def finite(value: float) -> float:
    """``value``; raises ``UnsafeRewriteError`` if it is infinite or not a number."""
    if not math.isfinite(value):
        raise UnsafeRewriteError
    return value


def number_power(base: float, e: float) -> float:
    """``base ** e``; raises ``UnsafeRewriteError`` if that is no sound number."""
    if base == 1.0:
        return 1.0
    try:
        value = base**e
    except (OverflowError, ZeroDivisionError):
        raise UnsafeRewriteError from None
    if isinstance(value, complex) or (value == 0.0) != (base == 0.0):
        raise UnsafeRewriteError
    return tidy(finite(value))


def ratio(a: float, b: float) -> float:
    """``a / b``; raises ``UnsafeRewriteError`` like ``scaled``."""
    found = finite(a / b) + 0.0  # no minus zero
    if a and abs(found) < 1e-290:
        raise UnsafeRewriteError
    return found

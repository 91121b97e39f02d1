"""N-ary sums and products that collect like terms and factors (used by ``rewrite``).

A node is a float, or a nested tuple, so that nodes hash and compare by plain tuple equality:

- ``("v", column)``
- ``("f", name, node)`` a function of one argument; roots and inverses are powers
- ``("^", base, exponent)`` a power whose exponent contains a column
- ``("*", coefficient, ((node, exponent), ...))`` a product of constant powers
- ``("+", constant, ((node, coefficient), ...))`` a sum

The constructors keep the value of every formula at each real point where it was finite. They may
define it at further points (``x/x`` becomes 1), never change it: ``sqrt(x**2)`` is ``abs(x)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeGuard

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

Weighted = tuple[tuple["Form", float], ...]  # factors with exponents, or terms with coefficients
Variable = tuple[Literal["v"], int]
Call = tuple[Literal["f"], str, "Node"]
Power = tuple[Literal["^"], "Node", "Node"]
Product = tuple[Literal["*"], float, Weighted]
Sum = tuple[Literal["+"], float, Weighted]
Form = Variable | Call | Power | Product | Sum
Node = float | Form

_FOLD: dict[str, Callable[[float], float]] = {
    "exp": math.exp, "log": math.log, "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "tanh": math.tanh,
    "abs": abs,
}  # fmt: skip
_POWERS = {"inv": -1.0, "sqrt": 0.5, "square": 2.0, "cube": 3.0}
_ODD = frozenset({"sin", "tan", "arcsin", "arctan", "tanh"})
_UNDONE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_LARGEST_SHIFT = 50.0  # exp(u + c) gives its factor exp(c) away only in a harmless range


class UnsafeRewriteError(ArithmeticError):
    """Raised if constants fold to no finite real value (``log(-1)``, ``1/0``) or lose digits."""


def from_tree(tree: Tree) -> Node:
    """Convert ``tree`` to a node.

    Raises
    ------
    UnsafeRewriteError
        If constants fold to something that is not finite.
    """
    stack: list[Node] = []
    values = list(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(_finite(float(values.pop())))  # NumPy's doubles included
        elif symbol >= VARIABLE:
            stack.append(("v", symbol - VARIABLE))
        else:
            op = BY_CODE[symbol]
            stack.append(operate(op.name, *(stack.pop() for _ in range(op.arity))))
    return stack[0]


def operate(name: str, *args: Node) -> Node:
    """Apply operator ``name`` to nodes."""
    if name == "add":
        return add((args[0], 1.0), (args[1], 1.0))
    if name == "sub":
        return add((args[0], 1.0), (args[1], -1.0))
    if name == "mul":
        return multiply(args[0], args[1])
    if name == "div":
        return multiply(args[0], power(args[1], -1.0))
    if name == "pow":
        return raised(args[0], args[1])
    if name in _POWERS:
        return power(args[0], _POWERS[name])
    return function(name, args[0])


def is_call(node: Node, name: str) -> TypeGuard[Call]:
    """Whether ``node`` is function ``name`` of something."""
    return isinstance(node, tuple) and node[0] == "f" and node[1] == name


def split_coefficient(node: Node) -> tuple[float, Node]:
    """Split ``node`` into ``coefficient * rest``; the rest of a number is 1."""
    if isinstance(node, float):
        return node, 1.0
    if node[0] != "*":
        return 1.0, node
    return node[1], _product(1.0, node[2])


def factors_of(node: Node) -> Weighted:
    """Factors and exponents of ``node``, without its coefficient."""
    if isinstance(node, float):
        return ()
    return node[2] if node[0] == "*" else ((node, 1.0),)


def add(*terms: tuple[Node, float]) -> Node:
    """Sum of ``coefficient * node`` with like terms collected."""
    constant = 0.0
    collected: dict[Form, float] = {}
    queue = list(reversed(terms))
    while queue:
        node, c = queue.pop()
        inner, node = split_coefficient(node)
        c = _scaled(c, inner)
        if isinstance(node, float):
            constant += c
        elif node[0] == "+" and abs(c) == 1.0:
            constant += c * node[1]
            queue.extend((term, c * d) for term, d in reversed(node[2]))
        else:
            collected[node] = collected.get(node, 0.0) + c
    kept = [(node, _finite(c)) for node, c in collected.items() if c != 0.0]
    if constant != 0.0 and any(_scaled_logarithm(node) for node, _ in kept):
        return add((_finite(constant), 1.0), *(part for term in kept for part in _freed(*term)))
    return _sum(_finite(constant), kept)


def _scaled_logarithm(node: Form) -> TypeGuard[Call]:
    """Whether ``node`` is ``log(c u)``, whose factor is one constant too many in ``k + a node``."""
    if not is_call(node, "log"):
        return False
    c = split_coefficient(node[2])[0]
    return c > 0.0 and c != 1.0


def _freed(node: Form, a: float) -> tuple[tuple[Node, float], ...]:
    """``a log(c u)`` as ``a log(u) + a log(c)``; other terms as they are."""
    if not _scaled_logarithm(node):
        return ((node, a),)
    c, rest = split_coefficient(node[2])
    return (function("log", rest), a), (math.log(c), a)


def _sum(constant: float, terms: list[tuple[Form, float]]) -> Node:
    if not terms:
        return constant
    if len(terms) == 1 and constant == 0.0:
        node, c = terms[0]
        return multiply(c, node)
    shared = abs(terms[0][1])
    alike = shared != 1.0 and all(abs(c) == shared for _, c in terms)
    if len(terms) > 1 and alike and abs(constant) in (0.0, shared):  # 3 x + 3 y = 3 (x + y)
        inner = ((node, c / shared) for node, c in terms)
        return multiply(shared, add(*inner, (constant / shared, 1.0)))
    return "+", constant, tuple(terms)


def multiply(*nodes: Node) -> Node:
    """Product of ``nodes`` with equal bases and exponentials collected."""
    coefficient = 1.0
    powers: dict[Form, float] = {}
    exponent: list[tuple[Node, float]] = []
    queue = list(reversed(nodes))
    while queue:
        node = queue.pop()
        if isinstance(node, float):
            coefficient = _scaled(coefficient, node)
            continue
        if node[0] == "*":
            coefficient = _scaled(coefficient, node[1])
        for base, e in factors_of(node):
            if is_call(base, "exp") and e == 1.0:
                exponent.append((base[2], 1.0))
                continue
            total = powers.pop(base, 0.0) + e
            if total == e or not _regroups(base, total):
                powers[base] = total
            else:  # sqrt(x y) * sqrt(x y): the factors come free
                queue.append(power(base, total))
    if len(exponent) > 1:
        return multiply(
            _product(coefficient, tuple(powers.items())), function("exp", add(*exponent))
        )
    if exponent:
        call: Call = ("f", "exp", exponent[0][0])
        powers[call] = powers.get(call, 0.0) + 1.0
    return _product(coefficient, tuple((base, e) for base, e in powers.items() if e != 0.0))


def _regroups(base: Form, exponent: float) -> bool:
    return (base[0] == "*" or (base[0] == "f" and base[1] in ("abs", "exp"))) and exponent != 0.0


def _product(coefficient: float, factors: Weighted) -> Node:
    if coefficient == 0.0 or not factors:
        return coefficient
    if len(factors) == 1 and factors[0][1] == 1.0:
        base = factors[0][0]
        if coefficient == 1.0:
            return base
        if coefficient == -1.0 and base[0] == "+":
            return "+", -base[1], tuple((node, -c) for node, c in base[2])
    return "*", coefficient, factors


def power(base: Node, e: float) -> Node:
    """``base ** e`` for a number ``e``."""
    if e in (0.0, 1.0):
        return base if e else 1.0
    if isinstance(base, float):
        return _number_power(base, e)
    if base[0] == "f":
        if base[1] == "abs" and e % 2.0 == 0.0:
            return power(base[2], e)
        if base[1] == "exp" and (2.0 * e).is_integer():  # smaller powers could meet an underflow
            return function("exp", multiply(e, base[2]))
    if base[0] != "*":
        return "*", 1.0, ((base, e),)
    coefficient, factors = base[1], base[2]
    if e.is_integer():
        parts = [power(inner, d * e) for inner, d in factors]
        return multiply(_number_power(coefficient, e), *parts)
    return _root(coefficient, factors, e)


def _root(coefficient: float, factors: Weighted, e: float) -> Node:
    """A fractional power of a product; only factors that stay real are taken out."""
    if coefficient < 0.0:
        return "*", 1.0, ((as_form(_product(coefficient, factors)), e),)
    outside = _number_power(coefficient, e)
    if all(d % 2.0 == 0.0 for _, d in factors):  # (x**2)**e = abs(x)**(2 e)
        return multiply(outside, *(power(function("abs", inner), d * e) for inner, d in factors))
    if len(factors) == 1:  # here the base is not negative wherever the root is real
        inner, d = factors[0]
        return multiply(outside, power(inner, d * e))
    return _product(outside, ((as_form(_product(1.0, factors)), e),))


def as_form(node: Node) -> Form:
    """Narrow the type of a node that cannot be a number."""
    assert isinstance(node, tuple)
    return node


def _number_power(base: float, e: float) -> float:
    if base == 1.0:
        return 1.0
    try:
        value = base**e
    except (OverflowError, ZeroDivisionError):
        raise UnsafeRewriteError from None
    if isinstance(value, complex) or (value == 0.0) != (base == 0.0):
        raise UnsafeRewriteError
    return _finite(value)


def raised(base: Node, exponent: Node) -> Node:
    """``base ** exponent`` for any nodes."""
    if isinstance(exponent, float):
        return power(base, exponent)
    if base == 1.0:
        return 1.0
    if is_call(base, "exp"):
        return function("exp", multiply(base[2], exponent))
    return "^", base, exponent


def function(name: str, node: Node) -> Node:
    """Apply function ``name``; inverse pairs cancel, and signs are taken out."""
    if isinstance(node, float):
        try:
            return _finite(float(_FOLD[name](node)))
        except (ValueError, OverflowError):
            raise UnsafeRewriteError from None
    if name == "exp":
        return _exponential(node)
    if name == "log":
        return _logarithm(node)
    if name == "abs":
        return _absolute(node)
    if node[0] == "f" and _UNDONE.get(name) == node[1]:
        return node[2]
    coefficient, rest = split_coefficient(node)
    if name == "cos" and coefficient < 0.0:
        return "f", name, multiply(-coefficient, rest)
    if name in _ODD and coefficient == -1.0:
        return multiply(-1.0, ("f", name, rest))
    return "f", name, node


def _exponential(node: Form) -> Node:
    """``exp``, where logarithms become powers and a constant summand a factor."""
    shift: float
    terms: Weighted
    shift, terms = (node[1], node[2]) if node[0] == "+" else (0.0, ((node, 1.0),))
    powers: list[Node] = []
    rest: list[tuple[Node, float]] = []
    for term, c in terms:
        d, inner = split_coefficient(term)
        if is_call(inner, "log"):
            powers.append(power(inner[2], c * d))
        else:
            rest.append((term, c))
    if abs(shift) > _LARGEST_SHIFT:
        rest.append((shift, 1.0))
        shift = 0.0
    left = add(*rest)
    if isinstance(left, float):
        try:
            return multiply(math.exp(shift + left), *powers)
        except OverflowError:
            raise UnsafeRewriteError from None
    return multiply(math.exp(shift), ("f", "exp", left), *powers)


def _logarithm(node: Form) -> Node:
    """``log``, simplified for an exponential or a power whose base must be positive."""
    coefficient, rest = split_coefficient(node)
    if coefficient > 0.0 and is_call(rest, "exp"):
        return add((rest[2], 1.0), (math.log(coefficient), 1.0))
    factors = factors_of(rest)
    if coefficient == 1.0 and len(factors) == 1:
        base, e = factors[0]
        if e != 1.0 and e % 2.0 != 0.0:
            return multiply(e, ("f", "log", base))
    return "f", "log", node


def _absolute(node: Form) -> Node:
    coefficient, rest = split_coefficient(node)
    if all(never_negative(base, e) for base, e in factors_of(rest)):
        return multiply(abs(coefficient), rest)
    factors = factors_of(rest)
    if len(factors) == 1 and factors[0][1] != 1.0:  # abs(1/x) = 1/abs(x)
        base, e = factors[0]
        return multiply(abs(coefficient), power(function("abs", base), e))
    return multiply(abs(coefficient), ("f", "abs", rest))


def never_negative(base: Form, e: float) -> bool:
    """Whether ``base ** e`` is non-negative wherever it is real."""
    if e % 2.0 == 0.0 or not e.is_integer():
        return True
    return base[0] == "f" and base[1] in ("exp", "abs", "arccos")


def _scaled(a: float, b: float) -> float:
    """``a * b``; raises ``UnsafeRewriteError`` on overflow or loss of digits by underflow."""
    product = _finite(a * b)
    if abs(product) < 1e-290 and a and b:
        raise UnsafeRewriteError
    return product


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise UnsafeRewriteError
    return value

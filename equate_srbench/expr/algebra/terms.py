"""The core of the algebra: constructors of sums, products, powers and functions, and from trees.

A sum that stands alone has its coefficients inside (``2*(a + b)`` is ``2*a + 2*b``); as a factor or
a base most of its coefficients are 1 or -1. The constructors keep the value of every formula at
each real point where it and all its parts are finite. They may define it at further points
(``x/x`` is 1), never change it: ``sqrt(x**2)`` is ``abs(x)``. Coefficients that cancel to rounding
are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeGuard

from equate_srbench.expr.algebra.nodes import (
    Call,
    Form,
    Node,
    Sum,
    UnsafeRewriteError,
    Weighted,
    as_call,
    as_form,
    factors_of,
    finite,
    is_call,
    is_centred,
    is_sum,
    number_power,
    product,
    ratio,
    scaled,
    split_coefficient,
    terms_of,
    tidy,
    total,
)
from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

_FOLD: dict[str, Callable[[float], float]] = {
    "exp": math.exp, "log": math.log, "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "tanh": math.tanh,
    "abs": abs,
}  # fmt: skip
_POWERS = {"inv": -1.0, "sqrt": 0.5, "square": 2.0, "cube": 3.0}
ODD = frozenset({"sin", "tan", "arcsin", "arctan", "tanh"})
_UNDONE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_LARGEST_SHIFT = 50.0  # exp(u + c) gives its factor exp(c) away only in a harmless range
_LARGEST_PRIMITIVE = 20.0
_QUARTER = math.pi / 2.0
_MANY_DIGITS, _FEW_DIGITS = 14, 9


# -- reading ------------------------------------------------------------------------------------


def from_tree(tree: Tree) -> Node:
    """Convert ``tree`` to a node; operators that fold to no finite number are left as they are."""
    stack: list[Node | list[tuple[Node, float]]] = []  # a list is a sum still growing
    values = list(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            value = float(values.pop())  # NumPy's doubles included
            stack.append(value if math.isfinite(value) else ("n", value))
        elif symbol >= VARIABLE:
            stack.append(("v", symbol - VARIABLE))
        else:
            name = BY_CODE[symbol].name
            first = stack.pop()
            if name in ("add", "sub"):
                second = stack.pop()
                sign = 1.0 if name == "add" else -1.0
                terms = first if isinstance(first, list) else [(first, 1.0)]
                more = second if isinstance(second, list) else [(second, 1.0)]
                stack.append([*terms, *((node, sign * c) for node, c in more)])
            elif BY_CODE[symbol].arity == 2:
                stack.append(_applied(name, _closed(first), _closed(stack.pop())))
            else:
                stack.append(_applied(name, _closed(first)))
    return _closed(stack[0])


def _closed(part: Node | list[tuple[Node, float]]) -> Node:
    if not isinstance(part, list):
        return part
    try:
        return add(*part)
    except UnsafeRewriteError:
        parts = [_applied("mul", c, node) if c != 1.0 else node for node, c in part]
        whole = parts[0]
        for node in parts[1:]:
            whole = unfolded("add", whole, node)
        return whole


def _applied(name: str, *args: Node) -> Node:
    try:
        return operate(name, *args)
    except UnsafeRewriteError:
        return unfolded(name, *args)


def unfolded(name: str, *args: Node) -> Node:
    """Operator ``name`` of nodes, as it is."""
    return "u", name, tuple(("n", arg) if isinstance(arg, float) else arg for arg in args)


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


# -- sums ---------------------------------------------------------------------------------------


def add(*terms: tuple[Node, float]) -> Node:
    """Sum of ``coefficient * node`` with like terms collected."""
    constant = 0.0
    collected: dict[Form, float] = {}
    logarithms = 0
    queue = list(terms)
    while queue:
        node, c = queue.pop()
        if isinstance(node, float):
            constant = total(constant, scaled(c, node))
            continue
        if node[0] == "*":
            c = scaled(c, node[1])
            if node[1] != 1.0:
                node = as_form(product(1.0, node[2]))
        if node[0] == "+" and (abs(c) == 1.0 or not is_centred(node)):
            constant = total(constant, scaled(c, node[1]))
            queue.extend((term, scaled(c, d)) for term, d in node[2])
            continue
        if node in collected:
            collected[node] = total(collected[node], c)
        else:
            collected[node] = c
            logarithms += node[0] == "f" and node[1] == "log"
    kept = [(node, c) for node, c in collected.items() if c != 0.0]
    if logarithms:
        if logarithms > 1 and (joined := _joined_logarithms(kept)) is not None:
            return add((constant, 1.0), *joined)
        if constant != 0.0 and any(_scaled_logarithm(node) for node, _ in kept):
            return add((constant, 1.0), *(part for term in kept for part in _freed(*term)))
    return _sum(constant, kept)


def _sum(constant: float, terms: list[tuple[Form, float]]) -> Node:
    if not terms:
        return constant
    if len(terms) == 1 and constant == 0.0:
        node, c = terms[0]
        return multiply(c, node) if c != 1.0 else node
    return "+", constant, tuple(sorted(terms))


def _joined_logarithms(terms: list[tuple[Form, float]]) -> list[tuple[Node, float]] | None:
    """``c log u - c log v`` as ``c log(u/v)``; None if there is nothing to join."""
    groups: dict[float, list[tuple[Form, float]]] = {}
    for node, c in terms:
        if is_call(node, "log"):
            groups.setdefault(abs(c), []).append((node, c))
    shared = max((c for c, members in groups.items() if len(members) > 1), default=None)
    if shared is None:
        return None
    members = sorted(groups[shared])
    sign = math.copysign(1.0, members[0][1])
    inside = multiply(*(power(as_call(u)[2], sign * math.copysign(1.0, c)) for u, c in members))
    rest: list[tuple[Node, float]] = [term for term in terms if term not in members]
    return [*rest, (function("log", inside), sign * shared)]


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


# -- products and powers --------------------------------------------------------------------------


def multiply(*nodes: Node) -> Node:
    """Product of ``nodes`` with equal bases and exponentials collected."""
    forms = [node for node in nodes if isinstance(node, tuple)]
    if len(forms) == 1:  # the coefficients of a sum need no division
        factor = 1.0
        for node in nodes:
            factor = scaled(factor, node) if isinstance(node, float) else factor
        if factor == 1.0:
            return forms[0]
        return product(factor, factors_of(forms[0]) if forms[0][0] != "*" else ((forms[0], 1.0),))
    coefficient = 1.0
    powers: dict[Form, float] = {}
    exponent: list[tuple[Node, float]] = []
    circular = absolute = False
    queue = list(nodes)
    while queue:
        node = queue.pop()
        if isinstance(node, float):
            coefficient = scaled(coefficient, node)
            continue
        if node[0] == "*":
            coefficient = scaled(coefficient, node[1])
        for base, e in factors_of(node):
            if base[0] == "f":
                if base[1] == "exp" and e == 1.0:
                    exponent.append((base[2], 1.0))
                    continue
                circular |= base[1] in ("sin", "cos", "tan")
                absolute |= base[1] == "abs"
            if base[0] == "+":
                lead, base = _primitive(base, e)
                if lead != 1.0:
                    coefficient = scaled(coefficient, number_power(lead, e))
            if base not in powers:
                powers[base] = e
                continue
            both = powers.pop(base) + e
            if _regroups(base, both):  # sqrt(x y) * sqrt(x y): the factors come free
                queue.append(power(base, both))
            elif abs(both) > 1e-12:
                powers[base] = tidy(both)
    if len(exponent) > 1:
        whole = product(coefficient, powers.items())
        return multiply(whole, function("exp", add(*exponent)))
    if exponent:
        call: Call = ("f", "exp", as_form(exponent[0][0]))
        powers[call] = powers.get(call, 0.0) + 1.0
    if circular and len(powers) > 1:
        _merge_circular(powers)
    if absolute and len(powers) > 1:
        _merge_absolute(powers)
    return product(coefficient, powers.items())


def _regroups(base: Form, exponent: float) -> bool:
    return exponent != 0.0 and (
        base[0] == "*" or (base[0] == "f" and base[1] in ("abs", "exp")) or base[0] == "^"
    )


def _primitive(node: Sum, e: float) -> tuple[float, Sum]:
    """A sum that is a factor to the power ``e``, as a number times a sum with unit coefficients.

    For whole powers most of its signs are plus.
    """
    if abs(e) > _LARGEST_PRIMITIVE:
        return 1.0, node  # the number to that power would have lost digits, if it were a double
    lead = _unit(node[2])
    if e.is_integer() and _is_mostly_minus(node):
        lead = -lead
    if lead == 1.0:
        return 1.0, node
    terms = tuple((term, tidy(ratio(c, lead))) for term, c in node[2])
    return lead, ("+", tidy(ratio(node[1], lead)), terms)


def _unit(terms: Weighted) -> float:
    """The size that most coefficients have; of several such, that of the first column or term."""
    sizes = [abs(c) for _, c in terms]
    if len(sizes) > 2:
        counts = [sizes.count(size) for size in sizes]
        most = max(counts)
        terms = tuple(term for term, n in zip(terms, counts, strict=True) if n == most)
    return abs(next((c for term, c in terms if term[0] == "v"), terms[0][1]))


def _merge_absolute(powers: dict[Form, float]) -> None:
    """``abs(x) * x**2`` as ``abs(x)**3``, in place."""
    for base in [b for b in powers if is_call(b, "abs")]:
        d = powers.get(as_call(base)[2], 0.0)
        if d and d % 2.0 == 0.0:
            del powers[as_call(base)[2]]
            powers[base] = tidy(powers[base] + d)


def _merge_circular(powers: dict[Form, float]) -> None:
    """``sin/cos`` as ``tan`` and ``tan * cos`` as ``sin``, in place."""
    for base in [b for b in powers if is_call(b, "sin", "tan")]:
        u = as_call(base)[2]
        e = powers.get(base, 0.0)
        cosine: Form = ("f", "cos", u)
        d = powers.get(cosine, 0.0)
        opposite = as_call(base)[1] == "tan"
        if not e or not d or not (e.is_integer() and d.is_integer()):
            continue
        if (e > 0.0) != ((d > 0.0) if opposite else (d < 0.0)):
            continue
        k = math.copysign(min(abs(e), abs(d)), e)
        other: Form = ("f", "sin" if opposite else "tan", u)
        for name, change in ((base, -k), (cosine, -k if opposite else k), (other, k)):
            powers[name] = powers.get(name, 0.0) + change
            if powers[name] == 0.0:
                del powers[name]


def power(base: Node, e: float) -> Node:
    """``base ** e`` for a number ``e``."""
    if e in (0.0, 1.0):
        return base if e else 1.0
    if isinstance(base, float):
        return number_power(base, e)
    if base[0] == "f":
        if base[1] == "abs" and e % 2.0 == 0.0:
            return power(base[2], e)
        if base[1] == "exp" and (2.0 * e).is_integer():  # smaller powers could meet an underflow
            return function("exp", multiply(e, base[2]))
    if base[0] == "u" and base[1] == "inv" and e == -1.0:  # 1/(1/0) is 0
        inner = base[2][0]
        return inner[1] if inner[0] == "n" else inner
    if base[0] == "^" and e.is_integer():
        return raised(base[1] if base[1][0] != "n" else base[1][1], multiply(e, base[2]))
    if base[0] == "+":
        lead, base = _primitive(base, e)
        return product(number_power(lead, e), ((base, e),))
    if base[0] != "*":
        return "*", 1.0, ((base, e),)
    coefficient, factors = base[1], base[2]
    if e.is_integer():
        parts = [power(inner, tidy(d * e)) for inner, d in factors]
        return multiply(number_power(coefficient, e), *parts)
    return _root(coefficient, factors, e)


def _root(coefficient: float, factors: Weighted, e: float) -> Node:
    """A fractional power of a product; only factors that stay real are taken out."""
    if coefficient < 0.0:
        odd = next((base for base, d in factors if base[0] == "+" and d % 2.0 == 1.0), None)
        if odd is None:
            return "*", 1.0, ((as_form(product(coefficient, factors)), e),)
        opposite = as_form(product(-1.0, ((odd, 1.0),)))  # (1 - x)**3, not -(x - 1)**3
        factors = tuple((opposite if base == odd else base, d) for base, d in factors)
        coefficient = -coefficient
    outside = number_power(coefficient, e)
    if len(factors) == 1 or all(never_negative(inner, d) for inner, d in factors):
        # no part is negative wherever the root is real; (x**2)**e = abs(x)**(2 e)
        parts = [
            power(function("abs", inner) if d % 2.0 == 0.0 else inner, tidy(d * e))
            for inner, d in factors
        ]
        return multiply(outside, *parts)
    return product(outside, ((as_form(product(1.0, factors)), e),))


def raised(base: Node, exponent: Node) -> Node:
    """``base ** exponent`` for any nodes."""
    if isinstance(exponent, float):
        return power(base, exponent)
    if isinstance(base, float):
        if base == 1.0:
            return 1.0
        coefficient, _ = split_coefficient(exponent)
        if base > 0.0 and coefficient != 1.0 and not is_sum(exponent):
            return function("exp", multiply(math.log(base), exponent))
        return "^", ("n", base), exponent
    if is_call(base, "exp"):
        return function("exp", multiply(base[2], exponent))
    return "^", base, exponent


# -- functions ----------------------------------------------------------------------------------


def function(name: str, node: Node) -> Node:
    """Apply function ``name``; inverse pairs cancel, and signs are taken out."""
    if isinstance(node, float):
        try:
            return tidy(finite(float(_FOLD[name](node))))
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
    if name in ("sin", "cos") and node[0] == "+" and node[1] != 0.0:
        turns = round(node[1] / _QUARTER)
        if turns and abs(node[1] - turns * _QUARTER) <= 4e-16 * abs(node[1]):
            return _turned(name, _sum(0.0, list(node[2])), turns)
        if len(repr(node[1])) > _MANY_DIGITS:
            for turns in (-2, -1, 1, 2):
                shift = tidy(node[1] - turns * _QUARTER)
                if len(repr(shift)) < _FEW_DIGITS:
                    return _turned(name, ("+", shift, node[2]), turns)
    if name == "cos" or name in ODD:
        minus = node[1] < 0.0 if node[0] == "*" else node[0] == "+" and _is_mostly_minus(node)
        if minus:
            opposite: Call = ("f", name, as_form(multiply(-1.0, node)))
            return opposite if name == "cos" else multiply(-1.0, opposite)
    return "f", name, node


def _is_mostly_minus(node: Sum) -> bool:
    """Whether a sum has more minus signs than plus signs, or as many and its first column minus."""
    signs = sum(c < 0.0 for _, c in node[2]) + (node[1] < 0.0)
    n = len(node[2]) + (node[1] != 0.0)
    if 2 * signs != n:
        return 2 * signs > n
    return next((c for term, c in node[2] if term[0] == "v"), node[2][0][1]) < 0.0


def _turned(name: str, node: Node, turns: int) -> Node:
    """``sin`` or ``cos`` of ``node`` plus ``turns`` right angles."""
    if name == "cos":  # cos(u) is sin(u + pi/2)
        turns += 1
    plain = function("sin" if turns % 2 == 0 else "cos", node)
    return multiply(1.0 if turns % 4 < 2 else -1.0, plain)


def _exponential(node: Form) -> Node:
    """``exp``, where logarithms become powers and a constant summand a factor."""
    shift, terms = terms_of(node)
    powers: list[Node] = []
    rest: list[tuple[Node, float]] = []
    for term, c in terms:
        if is_call(term, "log"):
            powers.append(power(term[2], c))
        else:
            rest.append((term, c))
    if abs(shift) > _LARGEST_SHIFT:
        rest.append((shift, 1.0))
        shift = 0.0
    left = add(*rest)
    if isinstance(left, float):
        try:
            return multiply(tidy(math.exp(shift + left)), *powers)
        except OverflowError:
            raise UnsafeRewriteError from None
    call: Call = ("f", "exp", left)
    return multiply(math.exp(shift), call, *powers) if shift or powers else call


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
    known: list[Node] = [abs(coefficient)]
    unknown: list[Node] = []
    for base, e in factors_of(rest):
        (known if never_negative(base, e) else unknown).append(power(base, e))
    inner = multiply(*unknown)
    factors = factors_of(inner)
    if len(factors) == 1 and factors[0][1] != 1.0:  # abs(1/x) = 1/abs(x)
        base, e = factors[0]
        return multiply(*known, power(function("abs", base), e))
    if isinstance(inner, float):
        return multiply(*known, abs(inner))
    if is_sum(inner) and inner[2][0][1] < 0.0:
        inner = as_form(multiply(-1.0, inner))
    return multiply(*known, ("f", "abs", as_form(inner)))


def never_negative(base: Form, e: float) -> bool:
    """Whether ``base ** e`` is non-negative wherever it is real."""
    if e % 2.0 == 0.0 or not e.is_integer():
        return True
    return base[0] == "f" and base[1] in ("exp", "abs", "arccos")

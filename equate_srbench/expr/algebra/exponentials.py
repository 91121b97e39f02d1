"""Sums of logarithms, and quotients of sums of exponentials (tangents, logistic functions)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from equate_srbench.expr.algebra.nodes import (
    Call,
    Form,
    Node,
    Product,
    Sum,
    as_form,
    is_call,
    is_sum,
    product,
    tidy,
)
from equate_srbench.expr.algebra.terms import add, function, multiply, power

_TOLERANCE = 1e-13
_LARGEST_LOGARITHM = 20.0  # a constant that an argument of a logarithm may take in
_LARGEST_POWER = 4.0


def quotients(node: Product) -> Iterator[Node]:
    """Equal forms of a product in which exponentials stand above and below."""
    for i, (below, e) in enumerate(node[2]):
        if e != -1.0 or not is_sum(below) or not any(is_call(u, "exp") for u, _ in below[2]):
            continue
        for k, (above, d) in enumerate(node[2]):
            if d != 1.0:
                continue
            rest = product(node[1], [f for j, f in enumerate(node[2]) if j not in (i, k)])
            if is_sum(above):
                tangent = _tangent(above, below)
                if tangent is not None:
                    yield multiply(rest, tangent)
            elif is_call(above, "exp"):  # exp(u)/(1 + exp(u)) is 1/(exp(-u) + 1)
                inverse = function("exp", multiply(-1.0, above[2]))
                terms = ((multiply(term, inverse), c) for term, c in below[2])
                yield multiply(rest, power(add((inverse, below[1]), *terms), -1.0))


def _tangent(above: Sum, below: Sum) -> Node | None:
    """``(a exp(u) - b exp(v)) / (a exp(u) + b exp(v))`` as a hyperbolic tangent."""
    tops, bottoms = _exponents(above), _exponents(below)
    if len(tops) != 2 or tops.keys() != bottoms.keys():
        return None
    (u, a), (v, b) = bottoms.items()
    k = tops[u] / a
    if a * b <= 0.0 or abs(tops[v] / b + k) > _TOLERANCE * abs(k):
        return None
    half = add((u, 0.5), (v, -0.5), (tidy(0.5 * math.log(a / b)), 1.0))
    return multiply(tidy(k), function("tanh", half))


def _exponents(node: Sum) -> dict[Node, float]:
    """Exponents and coefficients of a sum of exponentials; empty if it has other terms."""
    found: dict[Node, float] = {0.0: node[1]} if node[1] else {}
    for term, c in node[2]:
        exponent: Form | None = term[2] if is_call(term, "exp") else None
        if exponent is None:
            return {}
        found[exponent] = c
    return found


def with_logarithms_joined(node: Sum) -> Iterator[Node]:
    """``log(u) + k`` as ``log(exp(k) * u)``, ``2*log(u) + log(v)`` as ``log(u**2 * v)``."""
    logarithms = [(term, term[2], c) for term, c in node[2] if is_call(term, "log")]
    for call, u, c in logarithms:
        rest = [part for part in node[2] if part[0] != call]
        if node[1] != 0.0 and abs(node[1] / c) < _LARGEST_LOGARITHM:
            inside = multiply(tidy(math.exp(node[1] / c)), u)
            yield add(*rest, (("f", "log", as_form(inside)), c))
        for other, v, d in logarithms:
            ratio = c / d
            if v != u and abs(ratio) <= _LARGEST_POWER and (4.0 * ratio).is_integer():
                others = [part for part in rest if part[0] != other]
                joined: Call = ("f", "log", as_form(multiply(v, power(u, ratio))))
                yield add(*others, (node[1], 1.0), (joined, d))

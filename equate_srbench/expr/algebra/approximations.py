"""Shorter formulas of nearly the same values: limits, and identities of positive numbers.

What is proposed here is not equal to the formula everywhere; ``search.shorten`` judges it on the
rows of the table. Exact identities are the business of ``rewrite``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from equate_srbench.expr.algebra.nodes import (
    Call,
    Form,
    Node,
    UnsafeRewriteError,
    is_call,
    is_sum,
    number_power,
    product,
    split_coefficient,
)
from equate_srbench.expr.algebra.terms import add, from_tree, function, multiply, power
from equate_srbench.expr.algebra.writing import Writer
from equate_srbench.expr.operators import arity
from equate_srbench.expr.tree import Tree

_LARGE_EXPONENT = 20.0  # (1 + x/n)**n with n beyond may stand for exp(x)
_SMALL_FACTOR = 0.01  # sin(c*x) with c below may stand for c*x
_LINEAR_AT_ZERO = ("sin", "tan", "arcsin", "arctan", "tanh")


def approximations(tree: Tree) -> list[Tree]:
    """Formulas with one part of ``tree`` in place of which a simpler one may do.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Tree
        Without duplicates: roots of squares taken as if their base were positive, absolute values
        left out, high powers as the exponentials they tend to, functions of a small argument by
        their first order. Often none.

    Examples
    --------
    >>> from equate_srbench.expr.text.parser import parse
    >>> from equate_srbench.expr.text.printing import to_text
    >>> [to_text(t, ["x"]) for t in approximations(parse("(1 + 0.001*x)**1000", ["x"]))]
    ['exp(x)']
    """
    found: dict[Tree, None] = {}
    for at, symbol in enumerate(tree.symbols):
        if not arity(symbol):
            continue
        part = from_tree(tree.subtree(at))
        if isinstance(part, float):
            continue
        for form in _forms(part):
            new = tree.replace(at, Writer().write(form))
            if new != tree:
                found[new] = None
    return list(found)


def _forms(node: Form) -> Iterator[Node]:
    """Stand-ins for ``node`` itself, not for its parts."""
    if is_call(node, "abs"):
        yield node[2]
    if is_call(node, *_LINEAR_AT_ZERO, "exp", "log"):
        yield from _first_order(node)
    if node[0] != "*":
        return
    for i, (base, e) in enumerate(node[2]):
        rest = product(node[1], (*node[2][:i], *node[2][i + 1 :]))
        try:
            if base[0] == "*" and not e.is_integer():  # sqrt(u**2 * v) as u * sqrt(v)
                parts = (power(inner, d * e) for inner, d in base[2])
                yield multiply(rest, number_power(base[1], e), *parts)
            if is_call(base, "abs"):
                yield multiply(rest, power(base[2], e))
            if is_sum(base) and abs(e) >= _LARGE_EXPONENT and base[1] > 0.0:
                slope = add(*((term, e / base[1] * c) for term, c in base[2]))
                yield multiply(rest, number_power(base[1], e), function("exp", slope))
        except UnsafeRewriteError:
            continue


def _first_order(node: Call) -> Iterator[Node]:
    """``u`` for ``sin(u)`` and ``log(1 + u)``, ``1 + u`` for ``exp(u)``, with small ``u``."""
    inner = node[2]
    if node[1] == "log":
        if is_sum(inner) and inner[1] > 0.0:
            shares = [(term, c / inner[1]) for term, c in inner[2]]
            if all(abs(share) <= _SMALL_FACTOR for _, share in shares):
                yield add((math.log(inner[1]), 1.0), *shares)
        return
    if abs(split_coefficient(inner)[0]) <= _SMALL_FACTOR:
        yield add((inner, 1.0), (1.0 if node[1] == "exp" else 0.0, 1.0))

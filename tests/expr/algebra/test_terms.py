"""Sums and products as sets."""

import pytest

from equate_srbench.expr.algebra import terms
from equate_srbench.expr.algebra.terms import UnsafeRewriteError
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    "spellings",
    [
        ("a + b", "b*1 + a - 0"), ("2*a*b", "a*(b + b)"), ("a/b", "a*b**-1"),
        ("exp(a)*exp(b)", "exp(a + b)"), ("3*a + 3*b", "3*(a + b)"), ("(a*b)**2", "a**2*b**2"),
        ("log(3*a) + 1", "log(a) + 1 + log(3)"), ("sqrt(4*a)", "2*sqrt(a)"),
    ],
)  # fmt: skip
def test__from_tree__spellings__same_node_up_to_order(spellings):
    """Different spellings meet in one node."""

    def normal(node):
        if isinstance(node, float):
            return round(node, 12)
        if not isinstance(node, tuple):
            return node
        parts = [normal(part) for part in node]
        return frozenset(parts) if isinstance(node[0], tuple) else tuple(parts)

    first, second = (normal(terms.from_tree(parse(text, NAMES))) for text in spellings)
    assert first == second


@pytest.mark.parametrize("text", ["log(0*a)", "1/(a - a)", "sqrt(0 - 1)", "exp(800 + 0*a)"])
def test__from_tree__no_finite_value__left_as_it_is(text):
    """Operators that cannot be folded stay, with their argument folded."""
    node = terms.from_tree(parse(text, NAMES))
    assert isinstance(node, tuple)
    assert node[0] == "u"


def test__operate__no_finite_value__unsafe():
    """The operators themselves report what they cannot fold."""
    with pytest.raises(UnsafeRewriteError):
        terms.operate("log", -1.0)


@pytest.mark.parametrize(
    ("base", "exponent", "wanted"), [("a", 2.0, True), ("a", 1.0, False), ("exp(a)", 1.0, True)]
)
def test__never_negative(base, exponent, wanted):
    """Even powers and exponentials are never negative."""
    assert terms.never_negative(terms.from_tree(parse(base, NAMES)), exponent) is wanted

"""Nodes as trees, and what they cost."""

from __future__ import annotations

from random import Random

import pytest

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.terms import from_tree
from equate_srbench.expr.algebra.writing import LONG, Writer, cost, opposite, price
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

NAMES = ["a", "b", "c"]


def test__cost__random_formulas__is_the_complexity_of_the_written_tree() -> None:
    """The estimate that guides rewriting is right for 95 % and near for the others."""
    mutator = Mutator([0, 1, 2], Random(3))
    pairs = []
    while len(pairs) < 400:
        node = from_tree(mutator.tree(4))
        if isinstance(node, tuple) and "'u'" not in repr(node) and "'n'" not in repr(node):
            pairs.append((cost(node), complexity(Writer().write(node))))
    assert sum(a == b for a, b in pairs) >= 0.95 * len(pairs)
    assert max(abs(a - b) for a, b in pairs) <= 6


@pytest.mark.parametrize(
    "text",
    ["sqrt(2*a + 3)", "4*(a - 1.5*b)**2", "a/(b + 0.5)", "c*(b - a)", "3*(a + b) + c", "a*b/3",
     "1/exp(a)", "b/exp(a)", "2**a", "a**1.5", "-1.06 - 0.5292*a", "0.3*(a - 1700000000)"],
)  # fmt: skip
def test__writer__what_people_write__comes_back(text: str) -> None:
    """Numbers stand where they have few digits, signs where they cost nothing."""
    assert to_text(Writer().write(from_tree(parse(text, NAMES))), NAMES) == text


def test__price__number_of_many_digits__counts_more() -> None:
    """Of two forms of one length the one with short numbers is taken."""
    plain, long = (from_tree(parse(t, NAMES)) for t in ("0.5*a", "0.4999997123456*a"))
    assert cost(plain) == cost(long) == price(plain) == price(long) - LONG


@pytest.mark.parametrize(("text", "free"), [("a - b", True), ("a + b", False), ("c*(a - b)", True)])
def test__opposite__sums__free_if_signs_are_balanced(text: str, free: bool) -> None:
    """``b - a`` costs what ``a - b`` costs."""
    node = from_tree(parse(text, NAMES))
    assert isinstance(node, tuple)
    assert (opposite(node) is not None) is free

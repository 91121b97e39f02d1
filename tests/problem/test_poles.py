"""Poles between the rows, and what only looks like one."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.text.parser import parse
from equate_srbench.problem.poles import has_pole, region

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "low", "expected"),
    [
        ("1/(a - b)", 1.0, True),
        ("1/(a - b)**2", 1.0, True),
        ("a/((a - b)*(a + b))", 1.0, True),
        ("(a - b)**(-3.0)", 1.0, True),
        ("tan(3*a)", 1.0, True),
        ("1/(a - 0.9)", 1.0, True),  # a twentieth of the range beside it is .8
        ("1/(a - 0.5)", 1.0, False),
        ("1/a", 0.01, False),  # positive columns stay positive
        ("1/(a**2 + b**2)", -2.0, False),
        ("sin(a)/a", -2.0, False),
        ("(a**2 - b**2)/(a - b)", -2.0, False),
        ("exp(a)*b", -2.0, False),
        ("1/(2 + sin(a))", -2.0, False),
    ],
)
def test__has_pole__sign_changes_of_divisors__unless_bounded(text, low, expected):
    """On 80 rows none of which is near the pole by more than chance."""
    X = RNG.uniform(low, low + 4.0, (80, 2))
    tree = parse(text, ["a", "b"])
    assert has_pole(tree, region(X), -1e4, 1e4) is expected


def test__region__a_twentieth_wider__never_across_zero():
    """Rows and the same a little further out."""
    X = np.column_stack([RNG.uniform(0.0, 1.0, 500), RNG.uniform(2.0, 3.0, 500)])
    rows = region(X)
    assert rows[:, 0].min() >= 0.0
    assert 1.04 < rows[:, 0].max() < 1.06
    assert 1.94 < rows[:, 1].min() < 1.96

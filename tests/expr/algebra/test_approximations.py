"""Formulas of nearly the same values."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.algebra.approximations import approximations
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

NAMES = ["a", "b"]
X = np.random.default_rng(0).uniform(0.2, 3.0, (20, 2))


@pytest.mark.parametrize(
    ("text", "short", "error"),
    [("(1 + 0.0001*a)**10000", "exp(a)", 1e-3), ("sqrt(a**2*b)", "sqrt(b)*a", 1e-14),
     ("abs(a)*b", "a*b", 0.0), ("sin(0.001*a)", "0.001*a", 1e-5),
     ("log(1 + 0.001*a)", "0.001*a", 2e-3)],
)  # fmt: skip
def test__approximations__stand_in__near(text: str, short: str, error: float) -> None:
    """The limit, or what holds for positive numbers, is among the proposals."""
    tree = parse(text, NAMES)
    found = {to_text(new, NAMES): new for new in approximations(tree)}
    assert short in found
    np.testing.assert_allclose(evaluate(found[short], X), evaluate(tree, X), rtol=error + 1e-14)


@pytest.mark.parametrize("text", ["a + b", "sin(a)*b", "sqrt(a + b)", "(1 + a)**3", "2.5"])
def test__approximations__ordinary_formula__none(text: str) -> None:
    """Nothing is proposed for most formulas."""
    assert approximations(parse(text, NAMES)) == []

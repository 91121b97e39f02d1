"""Identities of sine and cosine."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.algebra.expansion import collapsed, expanded
from equate_srbench.expr.algebra.terms import from_tree
from equate_srbench.expr.algebra.trigonometry import identities, is_circular, without_tangents
from equate_srbench.expr.algebra.writing import Writer
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "b"]
X = np.random.default_rng(0).uniform(-1.2, 1.2, (30, 2))
PARTS = ["sin(a)", "cos(a)", "sin(2*a)", "cos(2*a)", "tan(a)", "sin(b)", "cos(b)", "sin(a + 0.3)",
         "sin(a)**2", "cos(a)**2", "sin(a)**3", "b", "2", "cos(b + 1)"]  # fmt: skip


@given(st.integers(0, 2**32 - 1))
def test__identities__random_terms__all_equal(seed: int) -> None:
    """Every form that is offered has the values of the formula."""
    rng = Random(seed)
    terms = ["*".join(rng.choices(PARTS, k=rng.randint(1, 3))) for _ in range(rng.randint(1, 4))]
    text = " + ".join(f"{rng.choice([1, 2, 3])}*{term}" for term in terms)
    polynomial = expanded(from_tree(parse(text, NAMES)))
    assert polynomial is not None
    wanted = evaluate(parse(text, NAMES), X)
    for form in (without_tangents(polynomial), *identities(polynomial)):
        found = evaluate(Writer().write(collapsed(form)), X)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("text", "wanted"), [("a + sin(b)", True), ("a*b + 1", False)])
def test__is_circular(text: str, wanted: bool) -> None:
    """Whether there is anything to do."""
    polynomial = expanded(from_tree(parse(text, NAMES)))
    assert polynomial is not None
    assert is_circular(polynomial) is wanted

"""Short forms of polynomials."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.algebra.expansion import collapsed, expanded, times
from equate_srbench.expr.algebra.factoring import Factoring
from equate_srbench.expr.algebra.terms import from_tree
from equate_srbench.expr.algebra.writing import Writer, cost, price
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

NAMES = ["a", "b", "c"]
X = np.random.default_rng(0).uniform(0.5, 2.0, (20, 3))


@pytest.mark.parametrize(
    ("text", "short"),
    [("a**2 + 2*a + 1", "(a + 1)**2"), ("4*a**2 - 12*a*b + 9*b**2", "4*(a - 1.5*b)**2"),
     ("a**3 - 3*a**2*b + 3*a*b**2 - b**3", "(a - b)**3"), ("a*b + a*c", "a*(b + c)"),
     ("a*b + a*c + 2*b + 2*c", "(a + 2)*(b + c)"), ("a + b**2 - 2*sqrt(a)*b", "(b - sqrt(a))**2"),
     ("a**3 - 6*a**2 + 11*a - 6", "(a - 1)*(a - 2)*(a - 3)"), ("a**2 + a", "a**2 + a"),
     ("a**2 + b**2 + 2*a*b + c", "(a + b)**2 + c"), ("a**2 - b**2", "a**2 - b**2")],
)  # fmt: skip
def test__shortest__known_polynomial__as_people_write_it(text: str, short: str) -> None:
    """Powers of sums, linear factors, common factors; none where it would be longer."""
    polynomial = expanded(from_tree(parse(text, NAMES)))
    assert polynomial is not None
    found = Writer().write(Factoring(price).shortest(polynomial))
    np.testing.assert_allclose(evaluate(found, X), evaluate(parse(text, NAMES), X), atol=1e-12)
    assert to_text(found, NAMES) == short


columns, numbers = st.integers(0, 2), st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0])
factors = st.lists(st.tuples(columns, columns, numbers, numbers), min_size=1, max_size=3)


@settings(max_examples=60)
@given(factors)
def test__shortest__product_of_sums__equal_and_not_longer(factors: list) -> None:
    """Multiplied out and factored again, whatever the factors are."""
    polynomial = {(): 1.0}
    for i, j, c, d in factors:
        linear = {((("v", i), 1.0),): c, (): d} if i == j else {
            ((("v", i), 1.0),): c, ((("v", j), 1.0),): d
        }  # fmt: skip
        polynomial = times(polynomial, linear)
    plain = collapsed(polynomial)
    found = Factoring(cost).shortest(polynomial)
    assert cost(found) <= cost(plain)
    wanted = evaluate(Writer().write(plain), X)
    np.testing.assert_allclose(evaluate(Writer().write(found), X), wanted, atol=1e-11)

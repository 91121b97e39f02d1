"""Polynomials over arbitrary parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.algebra.expansion import (
    LONGEST,
    Polynomial,
    collapsed,
    common_divisor,
    content,
    divided,
    expanded,
    over,
    over_one_denominator,
    times,
    with_sums_collected,
)
from equate_srbench.expr.algebra.nodes import Node, product
from equate_srbench.expr.algebra.terms import from_tree, multiply, power
from equate_srbench.expr.algebra.writing import Writer
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "b", "c"]
X = np.random.default_rng(0).uniform(0.5, 2.0, (20, 3))


def poly(text: str) -> Polynomial:
    """A formula multiplied out."""
    found = expanded(from_tree(parse(text, NAMES)))
    assert found is not None
    return found


def values(node: Node) -> np.ndarray:
    """Values on positive rows."""
    return evaluate(Writer().write(node), X)


@pytest.mark.parametrize(
    ("text", "n_terms"),
    [("(a + b)*(a - b)", 2), ("(a + 1)**3", 4), ("a*(b/a - 1)", 2), ("(a + b)**2 - (a - b)**2", 1),
     ("(sqrt(a) + 1)*(sqrt(a) - 1)", 2), ("exp(a)*(exp(-a) + 1)", 2), ("2.5", 1), ("a - a", 0)],
)  # fmt: skip
def test__expanded__formula__like_terms_meet(text: str, n_terms: int) -> None:
    """Nothing is left to multiply out, and the values stay."""
    found = poly(text)
    assert len(found) == n_terms
    np.testing.assert_allclose(
        values(collapsed(found)), evaluate(parse(text, NAMES), X), atol=1e-12
    )


def test__expanded__too_long__none() -> None:
    """A product of many sums is not multiplied out."""
    assert expanded(from_tree(parse("(a + b + c + 1)**6", NAMES))) is None
    assert times(poly("(a + b + 1)**4"), poly("(b + c + 1)**4")) is None


whole = st.integers(-3, 3)
polynomials = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 2)), whole.filter(bool), min_size=2, max_size=4
)


def build(powers: dict[tuple[int, int], int]) -> Polynomial:
    """Coefficients by powers of ``a`` and ``b``."""
    a, b = (("v", 0), ("v", 1))
    return {
        tuple((v, float(e)) for v, e in ((a, i), (b, j)) if e): float(c)
        for (i, j), c in powers.items()
    }


@given(polynomials, polynomials)
def test__divided__product__gives_back_the_other_factor(one: dict, other: dict) -> None:
    """Division undoes multiplication, and says so where there is a remainder."""
    p, q = build(one), build(other)
    pq = times(p, q)
    if pq is None or len(pq) < 2 or len(pq) > LONGEST:
        return
    found = divided(pq, q)
    assert found is not None
    assert {m: pytest.approx(c) for m, c in found.items()} == p
    spoilt = pq | {((("v", 2), 1.0),): 1.0}
    assert divided(spoilt, q) is None


def test__common_divisor__polynomials_of_one_column__found() -> None:
    """Euclid's algorithm, up to a factor; None where columns differ or nothing is shared."""
    shared = common_divisor(poly("(a + 2)*(a + 1)"), poly("(a + 2)*(a - 5)*a"))
    assert shared is not None
    assert values(collapsed(shared)) == pytest.approx(X[:, 0] + 2.0)
    assert common_divisor(poly("a + 1"), poly("b + 1")) is None
    assert common_divisor(poly("a + 1"), poly("a + 2")) is None


def test__content__terms__largest_shared_monomial() -> None:
    """What all terms have; of one side of the fraction line."""
    found = poly("a**2*b/c + a*b**2/c**2")
    shared = content(found)
    assert dict(shared) == {("v", 0): 1.0, ("v", 1): 1.0, ("v", 2): -1.0}
    whole = multiply(product(1.0, shared), collapsed(over(found, shared)))
    np.testing.assert_allclose(values(whole), values(collapsed(found)))
    assert content(poly("a + 1/a")) == ()


def test__over_one_denominator__fractions__same_value() -> None:
    """Numerator over denominator is the sum of fractions."""
    text = "1/a + 3/(b + 1) - a/b**2"
    found = over_one_denominator(poly(text))
    assert found is not None
    numerator, denominator = found
    whole = multiply(collapsed(numerator), power(product(1.0, denominator), -1.0))
    np.testing.assert_allclose(values(whole), evaluate(parse(text, NAMES), X))
    assert over_one_denominator(poly("a + b")) is None


def test__with_sums_collected__terms_of_a_factor__become_it() -> None:
    """A square and the double of one sum meet in that sum."""
    square = {((("+", 0.0, ((("v", 0), 1.0), (("v", 1), 1.0))), 2.0),): 1.0}
    given_terms = square | {((("v", 0), 1.0),): 2.0, ((("v", 1), 1.0),): 2.0}
    (found,) = with_sums_collected(given_terms)
    assert len(found) == 2

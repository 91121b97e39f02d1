"""Quotients of exponentials, and sums of logarithms."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

NAMES = ["a", "b"]
X = np.random.default_rng(0).uniform(0.2, 3.0, (20, 2))


@pytest.mark.parametrize(
    ("text", "short"),
    [("(exp(a) - exp(-a))/(exp(a) + exp(-a))", "tanh(a)"), ("1 - 2/(1 + exp(2*a))", "tanh(a)"),
     ("exp(a)/(1 + exp(a))", "1/(1/exp(a) + 1)"), ("(exp(a) - 2)/(exp(a) + 1)", None),
     ("0.5*log(a) + log(b)", "log(sqrt(a)*b)"), ("log(3*a + log(b)) - log(3)", None),
     ("exp(2*a) - 2*exp(a) + 1", "(exp(a) - 1)**2")],
)  # fmt: skip
def test__rewrite__exponentials__short_form(text: str, short: str | None) -> None:
    """The functions that people write; others keep their values."""
    new = rewrite(parse(text, NAMES))
    np.testing.assert_allclose(evaluate(new, X), evaluate(parse(text, NAMES), X), rtol=1e-10)
    assert short is None or to_text(new, NAMES) == short


def test__rewrite__logistic_function_far_out__finite() -> None:
    """No new overflow where the formula was defined."""
    far = np.array([[-800.0, 1.0], [700.0, 1.0]])
    tree = parse("exp(a)/(1 + exp(a))", NAMES)
    np.testing.assert_allclose(evaluate(rewrite(tree), far), [0.0, 1.0])

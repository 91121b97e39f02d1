"""What the SymPy process finds, asked without a process."""

import numpy as np
import pytest

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.sympy.forms import forms
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [("(a**2 - b**2)/(a - b)", 3), ("sqrt(a**2 + 2*a*b + b**2)", 4), ("1/(1/a + 1/b)", 8),
     ("2*sin(a)*cos(a)", 4), ("1.5*a**2 + 3*a*b + 1.5*b**2", 7), ("2.7*a/(3.1*a)", 1)],
)  # fmt: skip
def test__forms__known_identities__short_form_found(text, nodes):
    """The shortest form is found, and all forms are equal on positive numbers."""
    tree = parse(text, NAMES)
    X = np.random.default_rng(0).uniform(0.5, 3.0, (20, 3))
    found = list(forms(tree))
    assert min(map(complexity, found)) <= nodes
    for form in found:
        np.testing.assert_allclose(evaluate(form, X), evaluate(tree, X), rtol=1e-10)

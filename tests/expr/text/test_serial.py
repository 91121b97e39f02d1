"""JSON of equations, below the class."""

import json

import numpy as np
import pytest

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.serial import dump, load


def test__dump_and_load__everything_back():
    """Constants are bitwise the same, what is not finite becomes NaN."""
    tree = parse("0.1*a + pi", ["a"])
    covariance = np.array([[1.0, np.nan], [np.nan, 2.0]])
    text = dump(tree, text="t", feature_names=["a"], covariance=covariance, metrics={"r2": np.inf})
    again, names, rest = load(text)
    assert (again, names) == (tree, ["a"])
    np.testing.assert_equal(rest["covariance"], covariance)
    assert np.isnan(rest["metrics"]["r2"])


def test__load__newer_version__says_update():
    """A file of a later release is refused by name."""
    text = dump(parse("a", ["a"]), text="a", feature_names=None, covariance=None, metrics={})
    with pytest.raises(FormulaError, match=r"version 9 of the equation format.*update"):
        load(json.dumps(json.loads(text) | {"version": 9}))

"""Reference evaluation: shapes, domains, extreme numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree


def test__evaluate__known_formula__values():
    """A formula with every kind of symbol."""
    X = np.array([[1.0, 2.0], [0.5, -4.0]])
    values = evaluate(parse("2*sin(a) + b**2/3", ["a", "b"]), X)
    np.testing.assert_array_equal(values, 2.0 * np.sin(X[:, 0]) + X[:, 1] * X[:, 1] / 3.0)


@pytest.mark.parametrize("tree", [Tree.constant(2.5), Tree.apply("exp", Tree.constant(0.0))])
def test__evaluate__no_column__one_value_per_row(tree):
    """Constant formulas fill the column, and the result may be written to."""
    values = evaluate(tree, np.zeros((4, 2)))
    assert values.shape == (4,)
    assert values.flags.writeable
    assert len(set(values)) == 1


def test__evaluate__column_alone__copy():
    """Changing the result does not change the table."""
    X = np.ones((3, 1))
    evaluate(Tree.variable(0), X)[:] = 5.0
    assert (X == 1.0).all()


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test__evaluate__other_dtypes__float64(dtype):
    """Whatever comes in, doubles come out."""
    X = np.array([[0, 1], [1, 1]], dtype=dtype)
    values = evaluate(parse("a - 2*b", ["a", "b"]), X)
    assert values.dtype == np.float64
    assert values.tolist() == [-2.0, -1.0]


def test__evaluate__no_rows__empty():
    """An empty table gives no values."""
    assert evaluate(parse("a/b", ["a", "b"]), np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
@given(X=arrays(np.float64, (3, 2), elements=st.floats(width=64)))
def test__evaluate__any_doubles__no_warning(op, X):
    """NaN, infinities, denormals and signed zeros pass without a warning or an exception."""
    args = [Tree.variable(0), Tree.variable(1)][: op.arity]
    assert evaluate(Tree.apply(op.name, *args), X).shape == (3,)


@pytest.mark.parametrize(
    ("text", "value"),
    [("log(0*x)", -np.inf), ("log(x - 2)", np.nan), ("sqrt(x - 2)", np.nan), ("1/(x - 1)", np.inf),
     ("(x - 2)**0.3", np.nan), ("(x - 2)**2.0", 1.0), ("arcsin(2*x)", np.nan), ("0**(0*x)", 1.0)],
)  # fmt: skip
def test__evaluate__edge_of_domain__ieee_value(text, value):
    """Outside a domain the IEEE value stands; nothing is patched."""
    np.testing.assert_equal(evaluate(parse(text, ["x"]), np.ones((1, 1))), [value])

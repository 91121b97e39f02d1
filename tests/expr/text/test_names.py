"""Column names that formula text can hold."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.text.names import FUNCTIONS, is_plain, plain_names
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (["x", "E", "pi", "spin", "beta", "S"], ["x", "E", "pi", "spin", "beta", "S"]),
        (["lambda", "x 1", "2nd", "exp"], ["lambda_", "x_1", "x2nd", "exp_"]),
        (["a b", "a_b", "a-b"], ["a_b_", "a_b", "a_b__"]),
        (["a", "a"], ["a", "a_"]),
        (["", "  ", "%"], ["x_0", "x_1", "x_2"]),
        (["\u00b5", "\u03bc"], ["\u03bc_", "\u03bc"]),
        (["a\U0001ec9cb", "\u0b72"], ["a_b", "x_1"]),  # numerals that are no digits
        (["\u0307a"], ["\u1e8ba"]),
    ],
)
def test__plain_names__keeps_what_can_be_kept(names, plain):
    """Good names stay; the others change as little as possible."""
    assert list(plain_names(names)) == plain


@given(names=st.lists(st.text(max_size=8), max_size=6))
def test__plain_names__any_text__distinct_and_parseable(names):
    """Every table has distinct names that the parser reads as its columns."""
    plain = plain_names(names)
    assert len(set(plain)) == len(names)
    for j, name in enumerate(plain):
        assert is_plain(name)
        assert not keyword.iskeyword(name)
        assert name not in FUNCTIONS
        assert parse(name, plain) == Tree.variable(j)

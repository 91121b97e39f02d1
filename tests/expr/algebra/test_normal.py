"""The normal form: one spelling per function, and a fingerprint blind to names and constants."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.pretrain.corpus import generators

NAMES = ["a", "b", "c", "d"]


def read(text: str) -> normal.Expression:
    """The normal form of a formula text."""
    return normal.from_tree(parse(text, NAMES))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a*b + c", "c + b*a"),
        ("a/b/c", "a/(b*c)"),
        ("(a*b)**2", "a*a*b*b"),
        ("exp(a)*exp(-b)", "exp(a - b)"),
        ("1/exp(a)", "exp(-a)"),
        ("sin(b - a)", "-sin(a - b)"),
        ("cos(b - a)", "cos(a - b)"),
        ("log(exp(a))", "a"),
        ("a**1.5", "a*sqrt(a)"),
        ("2*a + 3*a - b*2/2", "5*a - b"),
        ("sqrt(4*a*b)", "2*sqrt(a)*sqrt(b)"),
    ],
)
def test__to_tree__two_spellings__one_tree(one: str, other: str) -> None:
    """Spellings of one function end as one tree."""
    assert normal.to_tree(read(one)) == normal.to_tree(read(other))


def test__apply__exp_of_a_sum_whose_terms_vanish__is_a_constant() -> None:
    """What is left of the exponent beside its constant may be nothing."""
    value, node = read("exp((a + 1e13)*1e-13)")
    assert node is None
    assert value == pytest.approx(np.e)


@given(st.integers(0, 10**9))
def test__to_tree__random_formula__canonical_and_same_values(seed: int) -> None:
    """A target is in canonical order, and reading it back keeps its values."""
    expression, n_columns = generators.draw(Random(seed))
    tree = normal.to_tree(expression)
    assert tree.is_valid()
    assert tree == tree.canonical()
    X = np.random.default_rng(seed).uniform(1.0, 2.0, (20, n_columns))
    before = evaluate(tree, X)
    again = normal.to_tree(normal.from_tree(tree))
    rows = np.isfinite(before) & (np.abs(before) < 1e6)
    # cancellation near poles costs digits that a different order of operations loses elsewhere
    np.testing.assert_allclose(evaluate(again, X)[rows], before[rows], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "other",
    ["c + 1/sqrt(1 - d**2/b**2)", "3.7/sqrt(5 - 2*b*b/(c*c)) - 4", "(2 - (a/d)**2)**(-0.5)"],
)
def test__skeleton_key__renamed_reordered_other_constants__same(other: str) -> None:
    """Names, order, constants, scale and offset do not matter."""
    first = normal.skeleton_key(read("1/sqrt(1 - a**2/b**2)"))
    if other.startswith("c +"):
        other = other.replace("c", "7", 1)
    assert normal.skeleton_key(read(other)) == first


def test__skeleton_key__every_renaming__same() -> None:
    """All permutations of the columns share one key."""
    text = "{0}*sin({1}*{2})/({3} + {2}) + exp({0})"
    keys = {normal.skeleton_key(read(text.format(*p))) for p in itertools.permutations(NAMES)}
    assert len(keys) == 1


@pytest.mark.parametrize("other", ["a*b + a*b*c", "a*b + c*d", "a/b + b*c", "sin(a*b) + b*c"])
def test__skeleton_key__other_structure__differs(other: str) -> None:
    """Which columns are shared, and how, matters."""
    assert normal.skeleton_key(read(other)) != normal.skeleton_key(read("a*b + b*c"))


@pytest.mark.parametrize("text", ["log(-2)*a", "a + 1/(2 - 2)", "arcsin(3)*a"])
def test__from_tree__undefined_constant__error(text: str) -> None:
    """A constant part without a real value is refused."""
    with pytest.raises(normal.UndefinedConstantError):
        read(text)


def test__strip__outer_scale_and_offset__gone() -> None:
    """The target is the formula modulo what a fit finds in closed form."""
    stripped = normal.to_tree(normal.strip(read("3*sin(a) - 4")))
    assert stripped == parse("sin(a)", NAMES)


def test__substitute__columns__replaced() -> None:
    """Columns become expressions."""
    new = {0: normal.scaled(normal.variable(1), 2.0)}
    assert normal.to_tree(normal.substitute(read("a*b"), new)) == normal.to_tree(read("2*b*b"))

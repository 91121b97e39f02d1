"""Canonical rows, some of the columns, moderate units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.canonical import bad_columns, prepare

RNG = np.random.default_rng(0)


def test__prepare__repeated_rows_and_weights__are_the_same_problem():
    """Weight 2 is the row twice, and the order of rows does not matter."""
    X, y = RNG.normal(size=(20, 3)), RNG.normal(size=20)
    counts = RNG.integers(0, 4, 20)
    order = RNG.permutation(counts.sum())
    one = prepare(X, y, counts.astype(float))
    two = prepare(np.repeat(X, counts, axis=0)[order], np.repeat(y, counts)[order], None)
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(one.weights, two.weights)


@settings(max_examples=30, deadline=None)
@given(power=st.integers(-150, 150), target=st.integers(-150, 150))
def test__to_user__any_units__formula_in_the_users_numbers(power, target):
    """What is right in moderate units is right in the user's, at any scale."""
    X = RNG.uniform(1.0, 5.0, (30, 2)) * [10.0**power, 1.0]
    y = X[:, 0] / X[:, 1] * 10.0**target if power + target < 300 else X[:, 1]
    problem = prepare(X, y, None)
    assert 1e-4 < np.abs(problem.X).max() < 1e6
    inner = Tree.apply("div", Tree.variable(0), Tree.variable(1))
    value = evaluate(problem.to_raw(inner), X)
    order = np.lexsort(np.column_stack([X, y]).T[::-1])
    np.testing.assert_allclose(
        value[order], evaluate(inner, problem.X) * problem.y_scale, rtol=1e-12
    )


def test__of_columns__some__keeps_their_order_units_and_way_back():
    """Kept columns stand in their old order, whatever order they are asked for in."""
    X = RNG.normal(size=(200, 6)) * [1.0, 1e9, 1.0, 1.0, 1.0, 1.0]
    problem = prepare(X, X[:, 4], None).of_columns([4, 1])
    assert problem.kept == (1, 4)
    assert problem.X.shape == (200, 2)
    assert problem.x_scale[0] > 1e8
    assert problem.to_raw(Tree.variable(1)) == Tree.variable(4)


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1e-6, 1e6))
def test__prepare__fractional_weights__only_their_ratios_count(factor):
    """Weights that are no counts are relative: any factor gives the same problem."""
    X, y = RNG.normal(size=(12, 2)), RNG.normal(size=12)
    w = np.linspace(0.51, 1.52, 12)
    one, two = prepare(X, y, w), prepare(X, y, w * factor * 1.01)
    np.testing.assert_allclose(one.weights, two.weights, rtol=1e-12)
    np.testing.assert_allclose(one.weights.sum(), 12.0)


def test__prepare__negative_zero__is_zero():
    """Rows that differ in the sign of a zero are one row."""
    X = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 3.0]])
    problem = prepare(X, np.array([1.0, 1.0, 2.0]), None)
    np.testing.assert_array_equal(problem.weights, [2.0, 1.0])
    assert not np.signbit(problem.X).any()


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e300, 1.7e308])
def test__prepare__ends_of_the_range_of_numbers__units_have_inverses(scale):
    """Subnormal and nearly infinite columns become moderate, and the way back exists."""
    X = RNG.uniform(0.5, 1.0, (20, 1)) * scale
    problem = prepare(X, X[:, 0], None)
    assert problem.extreme
    assert np.isfinite(problem.X).all()
    assert np.isfinite(problem.y).all()
    assert np.isfinite(1.0 / problem.x_scale).all()
    assert all(np.isfinite(problem.to_raw(Tree.variable(0)).constants))


def test__extreme__moderate_and_large_units__only_the_latter():
    """Thousands are harmless, 1e40 is not; without rows the answer stays."""
    X = RNG.uniform(1.0, 2.0, (20, 2))
    assert not prepare(X * 1e6, X[:, 0], None).extreme
    assert prepare(X * 1e40, X[:, 0], None).without_rows().extreme
    assert prepare(X, X[:, 0] * 1e-40, None).without_rows().X.shape == (0, 2)


def test__to_user__constant__in_the_users_unit():
    """A constant formula stays one node."""
    problem = prepare(np.ones((3, 1)), np.array([1e9, 2e9, 3e9]), None)
    assert problem.to_raw(Tree.constant(2.0)) == Tree.constant(2e9)


def test__bad_columns__mixed_table__says_what_is_wrong_with_which():
    """Text, categories and dates are no numbers; gaps and infinities are listed apart."""
    table = pd.DataFrame({
        "fine": [1.0, 2.0], "flag": [True, False], "text": ["a", "1"], "gap": [1.0, np.nan],
        "top": [np.inf, 0.0], "kind": pd.Categorical(["u", "v"]),
        "maybe": pd.array([1, None], dtype="Int64"),
    })  # fmt: skip
    said = bad_columns(table)
    assert "not numbers: text, kind (" in said
    assert "infinite values: gap, top, maybe" in said
    assert bad_columns(table[["fine", "flag"]]) == ""
    assert bad_columns(np.array([[np.nan]])) == ""


def test__prepare__very_many_rows__sample_and_all_rows():
    """The search gets a sample; all rows stay at hand in the same units."""
    X = np.column_stack([np.arange(30_000.0) * 1e6, np.ones(30_000)])
    problem = prepare(X, X[:, 0], None)
    assert problem.rows.shape == (30_000, 2)
    assert len(problem.X) == len(problem.y) < 30_000
    np.testing.assert_array_equal(problem.X[[0, -1]], problem.rows[[0, -1]])
    assert problem.without_rows().rows is None
    assert problem.of_columns([1]).rows.shape == (30_000, 1)

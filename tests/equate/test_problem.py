"""Canonical rows, choice of columns, moderate units."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.equate.problem import prepare, rank_columns
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

RNG = np.random.default_rng(0)


def test__prepare__repeated_rows_and_weights__are_the_same_problem():
    """Weight 2 is the row twice, and the order of rows does not matter."""
    X, y = RNG.normal(size=(20, 3)), RNG.normal(size=20)
    counts = RNG.integers(0, 4, 20)
    order = RNG.permutation(counts.sum())
    one = prepare(X, y, counts.astype(float), 10)
    two = prepare(np.repeat(X, counts, axis=0)[order], np.repeat(y, counts)[order], None, 10)
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(one.weights, two.weights)


@settings(max_examples=30, deadline=None)
@given(power=st.integers(-150, 150), target=st.integers(-150, 150))
def test__to_user__any_units__formula_in_the_users_numbers(power, target):
    """What is right in moderate units is right in the user's, at any scale."""
    X = RNG.uniform(1.0, 5.0, (30, 2)) * [10.0**power, 1.0]
    y = X[:, 0] / X[:, 1] * 10.0**target if power + target < 300 else X[:, 1]
    problem = prepare(X, y, None, 10)
    assert 1e-4 < np.abs(problem.X).max() < 1e6
    inner = Tree.apply("div", Tree.variable(0), Tree.variable(1))
    value = evaluate(problem.to_user(inner), X)
    order = np.lexsort(np.column_stack([X, y]).T[::-1])
    np.testing.assert_allclose(
        value[order], evaluate(inner, problem.X) * problem.y_scale, rtol=1e-12
    )


def test__rank_columns__linear_even_and_monotone_dependence__come_first():
    """Columns that matter in any of the three ways rank before noise."""
    X = RNG.normal(size=(300, 12))
    y = X[:, 7] + np.exp(X[:, 2]) + X[:, 10] ** 2
    assert set(rank_columns(X, y)[:3]) == {7, 2, 10}


def test__prepare__more_columns_than_allowed__keeps_the_strongest_in_order():
    """Kept columns stand in their old order."""
    X = RNG.normal(size=(200, 6))
    problem = prepare(X, X[:, 4] - 2.0 * X[:, 1], None, 2)
    assert problem.kept == (1, 4)
    assert problem.X.shape == (200, 2)

"""Detectors: partitions, sums, products, idle columns, combinations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.structure.combinations import COMBINATIONS, Combination, combinations
from equate_srbench.structure.detectors import read
from equate_srbench.structure.interactions import differences, partitions
from equate_srbench.structure.surrogate import Surrogate


def rows(p: int, low: float = 0.5, high: float = 3.0, n: int = 200) -> np.ndarray:
    """Uniform rows."""
    return np.random.default_rng(0).uniform(low, high, (n, p))


@given(st.integers(2, 7), st.integers(0, 100))
def test__partitions__any_strengths__cover_all_columns_and_become_coarser(k, seed):
    """From single columns to two groups, each with one group less."""
    columns = list(range(3, 3 + k))
    found = list(partitions(np.random.default_rng(seed).random((k, k)), columns))
    assert [len(groups) for groups in found] == list(range(k, 1, -1))
    for groups in found:
        assert sorted(j for g in groups for j in g) == columns
    for fine, coarse in pairwise(found):
        assert all(any(set(g) <= set(h) for h in coarse) for g in fine)


def test__differences__sum_and_product__vanish_where_columns_do_not_interact():
    """Of the exact function."""
    X, rng = rows(3), np.random.default_rng(0)
    sums, _ = differences(lambda X: X[:, 0] * X[:, 1] + X[:, 2], X, range(3), rng)
    _, products = differences(lambda X: (X[:, 0] + X[:, 1]) * X[:, 2], X, range(3), rng)
    for found in (sums, products):
        assert found[0, 2] < 1e-20
        assert found[1, 2] < 1e-20
        assert found[0, 1] > 1e-4


@pytest.mark.parametrize(
    ("law", "kind", "link", "groups"),
    [
        ("x0*x1 + sin(x2) + x3**2/x4", "sum", "identity", {(0, 1), (2,), (3, 4)}),
        ("(x0 + x1**2)*exp(-x2)/(x3 + x4)", "product", "log", {(0, 1), (2,), (3, 4)}),
        ("sqrt(x0**2*x1 + x2*exp(x3))", "sum", "square", {(0, 1), (2, 3)}),
        ("1/(x0*x1 + exp(x2))", "sum", "inverse", {(0, 1), (2,)}),
        ("(x0 - x1)*(x2 - x3**2 + 2)", "product", "identity", {(0, 1), (2, 3)}),
    ],
)
def test__read__law_that_falls_apart__first_finding_has_its_groups(law, kind, link, groups):
    """A column that does nothing is in no group."""
    names = [f"x{j}" for j in range(6)]
    X = rows(6)
    y = evaluate(parse(law, names), X)
    finding = read(X, y, range(6), np.random.default_rng(0)).findings[0]
    assert (finding.kind, finding.link.name) == (kind, link)
    assert set(finding.groups) == groups
    assert finding.gain > 10.0


def test__read__noise__groups_are_found_still():
    """A tenth of the target's spread."""
    X = rows(4, n=250)
    y = X[:, 0] * X[:, 1] + np.exp(-X[:, 2]) * X[:, 3]
    y += 0.1 * y.std() * np.random.default_rng(1).normal(size=len(y))
    finding = read(X, y, range(4), np.random.default_rng(0)).findings[0]
    assert set(finding.groups) == {(0, 1), (2, 3)}


def test__read__one_interaction_of_all__nothing_is_found():
    """A law that does not fall apart."""
    X = rows(3)
    y = np.sin(X[:, 0] * X[:, 1] + X[:, 2] * X[:, 0] - X[:, 1] * X[:, 2])
    assert read(X, y, range(3), np.random.default_rng(0)).findings == []


@pytest.mark.parametrize("name", COMBINATIONS)
def test__combinations__law_of_one__is_the_first(name):
    """``sqrt(1 + u^2 x2)`` for every combination ``u`` of the first two columns."""
    X = rows(3)
    formula, _ = COMBINATIONS[name]
    u = evaluate(formula(parse("x0", ["x0", "x1"]), parse("x1", ["x0", "x1"])), X)
    joint = Surrogate(X, np.sqrt(1.0 + u**2 * X[:, 2]), [(0, 1, 2)])
    first = combinations(joint)[0]
    assert (first.name, first.columns) == (name, (0, 1))


def test__resolved__formula_with_the_combination__has_equal_values():
    """In the table with the new column, and in the one without."""
    names = ["x0", "x1", "x2"]
    X = rows(3)
    found = Combination("ratio", (0, 1), parse("x0/x1", names), 1.0)
    tree = parse("u*sin(u) + x2", [*names, "u"])
    expected = evaluate(tree, found.added(X))
    np.testing.assert_allclose(evaluate(found.resolved(tree, 3), X), expected)

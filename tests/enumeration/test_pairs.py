"""Pairs of formulas: products, ratios, factors with an offset, sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.enumeration.matching import standardised
from equate_srbench.enumeration.pairs import factors, planes, products_and_ratios, sums
from equate_srbench.enumeration.sieve import Sieve
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), way=st.sampled_from(["mul", "div", "over"]))
def test__products_and_ratios__one_of_all_pairs__passes(seed, way):
    """Whatever the scale and offset around it."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(size=(4, 30)))
    i, j = sorted(rng.permutation(30)[:2])
    u, v = values[:, i], values[:, j]
    wanted = {"mul": u * v, "div": u / v, "over": v / u}[way]
    names = np.arange(100, 130)
    sieve = Sieve(7.0 - 3.0 * wanted[None], np.zeros(1))
    found = products_and_ratios(values, names, sieve, heads=i + 1, most=max(i + 1, 3))
    first, second = (j, i) if way == "over" else (i, j)
    pairs = {(p.op.name, a, b) for p in found for a, b in zip(p.first, p.second, strict=True)}
    assert ("mul" if way == "mul" else "div", 100 + first, 100 + second) in pairs


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), divided=st.booleans())
def test__factors__one_factor_with_an_offset__is_looked_up(seed, divided):
    """``u * (a v + b)`` and ``(a v + b) / u`` for another target than the first."""
    rng = np.random.default_rng(seed)
    u, v = np.exp(rng.normal(size=(4, 20))), rng.normal(size=(4, 50))
    i, j = rng.integers(20), rng.integers(50)
    inner = 2.5 * v[:, j] - 0.7
    target = inner / u[:, i] if divided else inner * u[:, i]
    found = factors(np.column_stack([rng.normal(size=4), target]), u, v)
    pairs = set(zip(found.target, found.u, found.v, found.is_divided, strict=True))
    extreme = np.abs(np.diff(v[:, j])).min() < 0.01  # a ratio near 0 tells nothing apart
    assert (1, i, j, divided) in pairs or extreme


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), is_product=st.booleans())
def test__planes__two_terms_with_any_coefficients__are_found_alone(seed, is_product):
    """Of all pairs the one that the target is made of, with the share of its terms."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(size=(8, 30)))
    i, j = sorted(rng.permutation(30)[:2])
    u, v = values[:, i], values[:, j]
    target = 1.3 - 2.0 * u + 0.9 * (u * v if is_product else v)
    found = planes(values[:5], values[:5], target[None, :5], is_product=is_product)
    assert list(zip(found.u, found.v, found.targets, strict=True)) == [(i, j, 1)]
    share = found.share(u, v, target, 1e-12)
    assert share == pytest.approx(-0.45, rel=1e-6)
    assert found.share(u, v, target + rng.normal(size=8), 1e-12) is None
    tree = found.tree(Tree.variable(0), Tree.variable(1), share)
    got = 1.3 - 2.0 * evaluate(tree, np.column_stack([u, v]))
    np.testing.assert_allclose(got, target, rtol=1e-6)


def test__sums__of_all_pairs__is_the_one_of_least_squares():
    """The best pair and its error are those of a least-squares fit of every pair."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 25))
    targets = rng.normal(size=(50, 3)) + values[:, :3] - 2.0 * values[:, 3:6]
    unit, seen = standardised(values)[0], standardised(targets)[0]
    first, second, error = sums(unit, seen, 5)
    for t in range(3):
        best = {}
        for i in range(25):
            for j in range(i + 1, 25):
                A = np.column_stack([np.ones(50), values[:, i], values[:, j]])
                left = np.linalg.lstsq(A, targets[:, t], rcond=None)[1]
                best[i, j] = float(left[0]) / (50 * targets[:, t].var())
        pair = min(best, key=best.__getitem__)
        assert (first[t, 0], second[t, 0]) == pair
        assert error[t, 0] == pytest.approx(best[pair], abs=1e-4)
        assert (np.diff(error[t]) >= -1e-6).all()

"""The parts of the edit search: views of the target, library, inversion, mutations."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.edits.inversion import wanted_columns
from equate_srbench.edits.library import Library
from equate_srbench.edits.target_views import IDENTITY, TRANSFORMS, monomial_factor, view
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tree import Tree

X3 = np.random.default_rng(0).uniform(0.5, 3.0, (150, 3))
a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)
def test__transform__back_of_forward__is_the_target(transform):
    """Reading a perfect fit in a view back as a formula for y gives y."""
    y = np.linspace(-1.5, -0.2, 150) if "minus" in transform.name else np.linspace(0.2, 1.5, 150)
    seen = view(transform, X3, y, None)
    assert seen is not None
    table = seen.target[:, None]
    np.testing.assert_allclose(evaluate(seen.wrap(a), table), y, rtol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS[:6], ids=lambda t: t.name)
def test__view__weights__turn_small_errors_into_errors_of_y(transform):
    """The weighted squared error of a nearly right target is the squared error of y."""
    y = np.random.default_rng(1).uniform(1.0, 2.0, 150)
    seen = view(transform, X3, y, None)
    moved = transform.forward(y + 1e-6)
    error = seen.weights * (moved - seen.target) ** 2
    np.testing.assert_allclose(error, 1e-12, rtol=1e-3)


def test__view__target_out_of_domain__is_none():
    """A view that some row does not allow is not offered."""
    y = np.linspace(-1.0, 1.0, 150)
    names = {t.name for t in TRANSFORMS if view(t, X3, y, None) is not None}
    assert "log" not in names
    assert "identity" in names


def test__monomial_factor__product_with_a_sum__finds_the_pure_powers():
    """Columns that enter as powers are divided out, the others stay."""
    y = 7.0 * X3[:, 0] ** 2 / (1.0 + X3[:, 1] * X3[:, 2])
    factor = monomial_factor(X3, y)
    assert factor is not None
    assert factor.columns == (0,)
    np.testing.assert_allclose(evaluate(factor, X3), X3[:, 0] ** 2)


def test__monomial_factor__sum_of_columns__is_none():
    """No column of a plain sum is a factor."""
    assert monomial_factor(X3, X3 @ [1.0, 2.0, 3.0]) is None


def make_library(capacity: int = 1500) -> Library:
    """A library over three columns."""
    return Library(X3, [0, 1, 2], capacity=capacity, rng=np.random.default_rng(0))


def test__library__entries__hold_their_trees_values():
    """Stored columns are the standardised values of the stored trees, all distinct."""
    library = make_library(400)
    for tree, unit in zip(library.trees, library.values, strict=True):
        v = evaluate(tree, X3)
        np.testing.assert_allclose(unit, (v - v.mean()) / v.std(), atol=2e-5)
    assert len({t.symbols for t in library.trees}) == len(library.trees)


def test__library_match__affine_copy_of_an_entry__is_found_with_its_constants():
    """Slope and intercept come out in the units of the wanted column."""
    library = make_library()
    d = 3.0 * X3[:, 0] / X3[:, 2] - 5.0
    found = library.match(d[None], np.ones((1, len(d))), k=2)
    u = evaluate(library.trees[found.index[0, 0]], X3)
    np.testing.assert_allclose(found.slope[0, 0] * u + found.intercept[0, 0], d, rtol=1e-3)
    assert found.error[0, 0] < 1e-5


def test__library_match__rows_of_weight_zero__do_not_count():
    """A row without weight may hold anything."""
    library = make_library()
    d = 2.0 * X3[:, 1] * X3[:, 2] + 1.0
    w = np.ones((1, len(d)))
    w[0, :20] = 0.0
    spoilt = d.copy()
    spoilt[:20] = 1e6
    assert library.match(spoilt[None], w).error[0, 0] < 1e-5


def test__library_pairs__sum_of_two_entries__comes_first():
    """A target that is a sum of two entries is found as that pair."""
    library = make_library()
    y = 2.0 * np.sin(X3[:, 0]) - 3.0 * X3[:, 1] / X3[:, 2]
    i, j, error = library.pairs(y, np.ones(len(y)))[0]
    A = np.column_stack(
        [np.ones(len(y)), evaluate(library.trees[i], X3), evaluate(library.trees[j], X3)]
    )
    residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    assert error < 1e-4
    assert residual @ residual < 1e-6 * y.var() * len(y)


def test__library_sums__sum_of_four_entries__is_among_them():
    """Greedy growth with all coefficients fitted anew finds a sum of four terms."""
    library = make_library()
    x, y, z = X3.T
    wanted = 2.0 * np.sin(x) - 3.0 * y / z + 1.5 * z**2 - 0.7 * np.exp(y)
    errors = []
    for entries in library.sums(wanted, np.ones(len(wanted))):
        A = np.column_stack(
            [np.ones(len(wanted)), *(evaluate(library.trees[i], X3) for i in entries)]
        )
        residual = wanted - A @ np.linalg.lstsq(A, wanted, rcond=None)[0]
        errors.append(residual @ residual / (wanted.var() * len(wanted)))
        assert len(set(entries)) == len(entries) >= 2
    assert min(errors) < 1e-4


def test__library_sums__one_more_entry__never_fits_worse():
    """Within a run every sum extends the one before it."""
    library = make_library()
    noise = np.random.default_rng(1).normal(size=len(X3))
    runs = library.sums(X3[:, 0] * X3[:, 1] + noise, np.ones(len(X3)), starts=1)
    assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(runs))
    assert [len(entries) for entries in runs] == list(range(2, len(runs) + 2))


def test__library_extend__beyond_the_limit__drops_the_oldest_additions():
    """Additions never push enumerated entries out."""
    library = make_library(200)
    rng = random.Random(0)
    mutator = Mutator([0, 1, 2], rng)
    first = list(library.trees)
    library.extend([mutator.tree(4) for _ in range(400)], limit=50)
    assert library.trees[: len(first)] == first
    assert len(library) <= 250
    assert len(library.values) == len(library.trees) == len(library.squares)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__wanted_columns__replacing_the_node__gives_the_target(seed):
    """Where a node has its wanted value, the whole formula has the target's value."""
    rng = random.Random(seed)
    tree = Mutator([0, 1, 2], rng).tree(4)
    now = evaluate(tree, X3)
    if not np.isfinite(now).all() or tree.size < 3:
        return
    target = now * 1.001 + 1e-4
    wide = np.column_stack([X3, np.zeros(len(X3))])
    for node in wanted_columns(tree, X3, target, np.ones(len(X3)), min_rows=0.5):
        wide[:, 3] = node.wanted
        got = evaluate(tree.replace(node.at, Tree.variable(3)), wide)
        ok = (node.weights > 0) & np.isfinite(got)
        # far from the identity a wanted value can lose digits; ignore hopeless cancellation
        good = ok & (np.abs(node.wanted) < 1e6) & (np.abs(node.wanted) > 1e-6)
        close = np.isclose(got[good], target[good], rtol=1e-4, atol=1e-6)
        assert good.sum() == 0 or close.mean() > 0.95


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__mutator_edit__any_tree__gives_a_valid_tree_within_the_limit(seed):
    """Edits keep the prefix code complete, the constants in step and the size bounded."""
    rng = random.Random(seed)
    mutator = Mutator([0, 2], rng, max_size=20)
    tree, other = mutator.tree(4), mutator.tree(3)
    for _ in range(10):
        new = mutator.edit(tree, other)
        assert new.is_valid()
        assert new.size <= 20
        assert set(new.columns) <= {0, 2}
        tree = new


def test__mutator__same_seed__same_trees():
    """All draws come from the generator that was passed in."""
    one, two = (Mutator([0, 1], random.Random(5)) for _ in range(2))
    assert [one.tree(4) for _ in range(50)] == [two.tree(4) for _ in range(50)]


def test__identity__is_the_first_transform():
    """The plain view is the one that the search begins with."""
    assert TRANSFORMS[0] is IDENTITY

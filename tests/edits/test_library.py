"""The library of small formulas: entries, matches, pairs, sums."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from equate_srbench.edits.library import PLAIN, Library
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.mutations import Mutator

X3 = np.random.default_rng(0).uniform(0.5, 3.0, (150, 3))


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
    assert len(library.values) == len(library.trees)


def test__library__larger_than_plain__holds_all_small_formulas_behind_the_plain_ones():
    """Further entries are built when asked for, and have their values."""
    plain, large = make_library(PLAIN), make_library(PLAIN + 5000)
    assert len(large) == PLAIN + 5000
    assert large.trees[: len(plain)] == plain.trees[: len(plain)]
    for i in (len(plain), len(plain) + 2500, len(large) - 1):
        v = evaluate(large.trees[i], X3)
        np.testing.assert_allclose(large.values[i], (v - v.mean()) / v.std(), atol=2e-4)
    sizes = {large.trees[i].size for i in range(len(plain), len(large))}
    assert max(sizes) <= 5


def test__library_match__of_all_entries__is_the_best_of_least_squares():
    """The two stages find what a fit of every entry finds, where something fits."""
    library = make_library()
    rng = np.random.default_rng(0)
    picked = rng.permutation(len(library))[:20]
    targets = library.values[picked] + 0.05 * rng.normal(size=(20, len(X3)))
    weights = rng.uniform(0.5, 2.0, targets.shape)
    found = library.match(targets, weights, k=1)
    u = library.values.astype(float)
    for t in range(20):
        w = weights[t] / weights[t].sum()
        d = targets[t] - w @ targets[t]
        z = u - (u @ w)[:, None]
        error = 1.0 - (z @ (w * d)) ** 2 / (z**2 @ w) / (w @ d**2)
        assert found.error[t, 0] == pytest.approx(error.min(), abs=1e-5)

"""Least squares by matrix products."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.enumeration import matching
from equate_srbench.enumeration.matching import UnitTargets, nearest, standardised


def brute_force(entries: np.ndarray, target: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Weighted error of each entry with scale and offset, as a share of the variance."""
    out = []
    for u in entries.astype(float):
        A = np.column_stack([u, np.ones(len(u))]) * np.sqrt(w)[:, None]
        c = np.linalg.lstsq(A, target * np.sqrt(w), rcond=None)[0]
        out.append(w @ (target - c[0] * u - c[1]) ** 2)
    mean = w @ target / w.sum()
    return np.array(out) / (w @ (target - mean) ** 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), tile=st.sampled_from([7, 4096]))
def test__nearest__any_weights__are_the_best_of_least_squares(seed, tile):
    """Entries and errors are those of a fit of every entry, in tiles of any width."""
    rng = np.random.default_rng(seed)
    unit = standardised(rng.normal(size=(40, 60)))[0]
    targets = rng.normal(size=(3, 40)) + 2.0 * unit[:3]
    weights = rng.uniform(0.1, 2.0, (3, 40)) * (rng.random((3, 40)) < 0.8)
    matching.TILE, before = tile, matching.TILE
    try:
        index, error = nearest(unit, unit**2, targets, weights, 4)
    finally:
        matching.TILE = before
    for t in range(3):
        wanted = brute_force(unit, targets[t], weights[t])
        best = np.argsort(wanted)[:4]
        np.testing.assert_allclose(error[t], wanted[best], atol=2e-5)
        np.testing.assert_allclose(wanted[index[t]], wanted[best], atol=2e-5)


def test__fits__entries_of_each_target__give_slope_and_intercept():
    """The fit of the best entry, in the units of the target."""
    rng = np.random.default_rng(0)
    entries = standardised(rng.normal(size=(30, 8)))[0].reshape(2, 4, 30)
    targets = np.stack([5.0 * entries[0, 2] - 1.0, -0.1 * entries[1, 1] + 40.0]).astype(float)
    targets[0, 3] = 1e6
    weights = rng.uniform(0.5, 1.0, (2, 30))
    weights[0, 3] = 0.0
    found = UnitTargets.of(targets, weights).fits(entries, 1)
    assert found.index[:, 0].tolist() == [2, 1]
    np.testing.assert_allclose(found.slope[:, 0], [5.0, -0.1], rtol=1e-5)
    np.testing.assert_allclose(found.intercept[:, 0], [-1.0, 40.0], rtol=1e-5)
    assert (found.error < 1e-9).all()


def test__standardised__constants_poles_and_nan__are_nan():
    """They match nothing; all others have mean 0 and mean square 1."""
    x = np.linspace(-1.0, 1.0, 200)
    pole = 1.0 / (x - x[50] + 1e-9)
    with np.errstate(invalid="ignore"):
        values = np.column_stack([x, np.ones(200), pole, np.log(x + 0.5), 1e9 * x])
    unit = standardised(values)[0]
    assert np.isfinite(unit[:, 0]).tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(unit[[0, 4]].mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose((unit[[0, 4]] ** 2).mean(axis=1), 1.0, rtol=1e-5)

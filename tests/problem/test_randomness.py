"""Noise looks random, what a formula lacks does not."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.problem.randomness import looks_random


@pytest.mark.parametrize("p", [1, 2, 5])
@pytest.mark.parametrize("n", [30, 200])
def test__noise__looks_random(n, p):
    """At most one in fifty draws of noise is taken for structure."""
    rng = np.random.default_rng(n + p)
    found = [looks_random(rng.normal(size=(n, p)), rng.standard_t(4, size=n)) for _ in range(100)]
    assert np.mean(found) >= 0.98


@pytest.mark.parametrize(
    "missing",
    [
        lambda X: np.sin(3.0 * X[:, 0]),
        lambda X: X[:, 0] * X[:, 1],
        lambda X: np.abs(X[:, 1]),
    ],
    ids=["wave", "product", "kink"],
)
def test__structure__does_not(missing):
    """A term that is missing shows, also beside as much noise."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        X = rng.uniform(-2.0, 2.0, (300, 2))
        term = missing(X)
        assert not looks_random(X, term + 0.5 * term.std() * rng.normal(size=300))


def test__few_rows_and_no_residual__look_random():
    """Nothing to see."""
    assert looks_random(np.ones((3, 1)), np.arange(3.0))
    assert looks_random(np.ones((50, 2)), np.random.default_rng(0).normal(size=50))
    assert looks_random(np.random.default_rng(0).normal(size=(50, 2)), np.zeros(50))

"""Scores and sizes of one fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from equate_srbench.bench import metrics
from equate_srbench.bench.recovery import Law
from equate_srbench.bench.suites.drawing import Range


@pytest.fixture
def X(rng) -> pd.DataFrame:
    """Rows with a name that SymPy owns."""
    return pd.DataFrame(rng.uniform(1, 3, (200, 2)), columns=["I", "x"])


@pytest.mark.parametrize(
    ("error", "acc99", "acc999"), [(0.0, True, True), (0.05, True, False), (0.2, False, False)]
)
def test__accuracy__error_grows__thresholds_fall(rng, error, acc99, acc999):
    """The thresholds are strict and look at the test rows."""
    y = rng.normal(size=4000)
    p = y + error * rng.normal(size=4000)
    found = metrics.accuracy(y, y, y, p)
    assert found["r2_train"] == 1.0
    assert found["r2_test"] == pytest.approx(1 - error**2, abs=5e-3)
    assert (found["acc99"], found["acc999"]) == (acc99, acc999)


def test__formula__raw_and_simplified__srbench_counts(X):
    """Nodes as SymPy reads the text, and fewer after simplification."""
    found = metrics.formula("x*I/(x*2.5 + x*I) + I", X, None)
    assert found["complexity"] > found["complexity_simplified"] >= 9
    assert found["solved"] is None
    assert found["solved_reason"] is None


def test__formula__law_given__recovered_beside_solved(X):
    """The law decides, under noise after a refit to the clean target; without it nothing does."""
    law = Law("2*x + I", {"I": Range(1, 3), "x": Range(1, 3)})
    found = metrics.formula("x + x + I", X, law.formula, law)
    assert (found["solved"], found["recovered"], found["short"]) == (True, True, True)
    noisy = "2.01*x + 0.99*I"
    assert metrics.formula(noisy, X, law.formula, law)["recovered"] is False
    clean = (2 * X["x"] + X["I"]).to_numpy()
    assert metrics.formula(noisy, X, law.formula, law, clean)["recovered"] is True
    assert "recovered" not in metrics.formula(noisy, X, None)


def test__formula__beyond_the_parser__no_size_and_undecided(X):
    """A function that nobody here knows has no size; what it is stays open."""
    found = metrics.formula("besselj(0, x)", X, "x")
    assert found["complexity"] is None
    assert found["solved"] is None
    assert "besselj" in found["solved_reason"]


def test__accuracy__arrays_of_any_float__plain_numbers():
    """The values are Python's, ready for JSON."""
    y = np.arange(4, dtype=np.float32)
    found = metrics.accuracy(y, y, y, y)
    assert {type(v) for v in found.values()} == {float, bool}

"""Sources of a fit, in their order."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from equate_srbench.regressor import EquateRegressor
from equate_srbench.search.pipeline import patience


def phases_of(X: np.ndarray, y: np.ndarray, **params: object) -> tuple[EquateRegressor, list[str]]:
    """A fit, and its phases in order."""
    phases: list[str] = []
    est = EquateRegressor(
        **{"max_time": 10.0, "random_state": 0, **params},
        on_progress=lambda state: phases.append(state.phase),
    ).fit(X, y)
    return est, list(dict.fromkeys(phases))


def test__phases__law_of_a_family__solved_before_anything_else():
    """A short exact formula of a family ends the search."""
    X = np.random.default_rng(0).uniform(-1.0, 2.0, (200, 2))
    y = 3.0 * X[:, 1] * np.sin(7.23 * X[:, 0]) + 1.0
    est, phases = phases_of(X, y)
    assert phases == ["families", "shorten"]
    assert "family" in set(est.candidates_["source"])
    assert "family" in set(est.trajectory_["source"])
    np.testing.assert_allclose(est.predict(X), y, rtol=1e-9, atol=1e-9)


def test__phases__noise__edits_before_and_after_the_network():
    """The order of a fit, and that noise with a short answer ends it."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2.0, (60, 2))
    est, phases = phases_of(X, X[:, 0] + 0.3 * rng.normal(size=60), max_time=300.0)
    assert phases[:4] == ["families", "library", "edit", "propose"]
    assert phases[-1] == "shorten"
    assert est.diagnostics_["tried"]["edit"] > patience(60)
    assert est.fit_time_ < 300.0  # it ended by itself


def test__phases__paper__as_published():
    """No families, no edits."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2.0, (60, 2))
    est, phases = phases_of(X, X[:, 0] + 0.3 * rng.normal(size=60), preset="paper", max_time=3.0)
    assert phases[0] == "propose"
    assert not {"families", "library", "edit"} & set(phases)
    assert set(est.diagnostics_["tried"]) <= {"backbone", "ascent", "shorten"}


@pytest.mark.parametrize("rounding", ["3 decimals", "4 digits", "single"])
def test__fit__rounded_table__the_law(rounding):
    """The fit ends with the law's form, and says what it took for the floor."""
    x = np.random.default_rng(1).uniform(0.0, 10.0, 200)
    law = np.exp(-0.3 * x) * np.sin(2.0 * x)
    y = {
        "3 decimals": np.round(law, 3),
        "4 digits": np.array([float(f"{v:.4g}") for v in law]),
        "single": law.astype(np.float32).astype(np.float64),
    }[rounding]
    est, phases = phases_of(x[:, None], y, max_time=30.0)
    assert phases == ["families", "shorten"]
    assert est.diagnostics_["exact"]
    assert est.diagnostics_["floor"].startswith("y ")
    assert est.equation_.complexity <= 10
    assert np.abs(est.predict(x[:, None]) - law).max() < 1e-3


def test__fit__no_time__simple_formula_and_a_warning():
    """Never a silent constant."""
    X = np.random.default_rng(0).uniform(1.0, 5.0, (300, 3))
    y = np.exp(np.sin(X[:, 0] * X[:, 1])) / X[:, 2]
    with pytest.warns(UserWarning, match="simple formulas were tried within max_time"):
        est = EquateRegressor(max_time=1e-6, random_state=0).fit(X, y)
    assert est.equation_.columns
    assert not est.diagnostics_["began"]
    with pytest.warns(UserWarning, match="no formula was tried within max_time"):
        est = EquateRegressor(max_time=1e-6, preset="paper", random_state=0).fit(X, y)
    assert est.diagnostics_["tried"] == {}


def test__fit__constant_target__no_warning():
    """Nothing has to be tried."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est = EquateRegressor(max_time=1e-6).fit(np.arange(20.0)[:, None], np.full(20, 3.0))
    assert est.diagnostics_["began"]


def test__fit__many_decades__law_of_the_small_values_too():
    """Searched with relative errors as well, and said so."""
    X = np.random.default_rng(0).uniform(0.01, 20.0, (300, 1))
    y = 3.0 * X[:, 0] ** 8 + X[:, 0]
    est, _ = phases_of(X, y, max_time=600.0, settings={"sources": ("edits",)})
    assert est.diagnostics_["weights"] == "absolute and relative"
    assert est.diagnostics_["exact"]
    assert np.abs(est.predict(X) / y - 1.0).max() < 1e-9

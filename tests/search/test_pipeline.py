"""Sources of a fit, in their order."""

from __future__ import annotations

import numpy as np

from equate_srbench.equate.settings import PRESETS, preset
from equate_srbench.regressor import EquateRegressor


def quick(**params: object) -> EquateRegressor:
    """An estimator with a seed."""
    return EquateRegressor(**{"random_state": 7, **params})


def test__sources__families__solves_before_the_backbone():
    """A short exact formula of a family ends the search; the default has no families."""
    X = np.random.default_rng(0).uniform(-1.0, 2.0, (200, 2))
    y = 3.0 * X[:, 1] * np.sin(7.23 * X[:, 0]) + 1.0
    phases = []
    sources = ("families", "backbone", "ascent", "edits")
    est = EquateRegressor(
        max_time=10.0, random_state=0, settings={"sources": sources},
        on_progress=lambda state: phases.append(state.phase),
    ).fit(X, y)  # fmt: skip
    assert set(phases) <= {"families", "shorten"}
    assert "family" in set(est.candidates_["source"])
    assert "family" in set(est.trajectory_["source"])
    np.testing.assert_allclose(est.predict(X), y, rtol=1e-9, atol=1e-9)
    assert all("families" not in preset(name).sources for name in PRESETS)

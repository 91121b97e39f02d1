"""``EquateRegressor`` on tables with more columns, or rows, than it searches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from equate_srbench.regressor import EquateRegressor

SEED = 7


def quick(**params: object) -> EquateRegressor:
    """An estimator with a seed."""
    return EquateRegressor(**{"random_state": SEED, **params})


def test__fit__wide_table__keeps_the_strongest_and_says_which():
    """60 x 500: the columns in the formula survive, and the warning names what was kept."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 500))
    table = pd.DataFrame(X, columns=[f"c{j}" for j in range(500)])
    y = 2.0 * X[:, 17] - X[:, 400]
    with pytest.warns(UserWarning, match=r"500 columns.*c17.*c400") as caught:
        est = quick(max_features=4).fit(table, y)
    assert caught[0].filename == __file__
    assert set(est.equation_.columns) == {"c17", "c400"}
    np.testing.assert_allclose(est.predict(table), y, rtol=1e-9, atol=1e-9)


def test__fit__wide_table_ended_while_columns_are_chosen__usable():
    """The mean is the answer from the first moment on, and the choice so far is kept."""
    X = np.random.default_rng(1).normal(size=(60, 30))
    phases = []

    def stop(progress):
        phases.append(progress.phase)
        return True

    with pytest.warns(UserWarning, match="30 columns"):
        est = quick(on_progress=stop).fit(X, X[:, 17])
    assert phases[0] == "columns"
    assert np.isfinite(est.predict(X)).all()


def test__fit__more_rows_than_searched__answer_is_defined_on_all():
    """A large table is sampled; rows that the sample missed still veto a formula."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2.0, (12_000, 1))
    X[rng.permutation(12_000)[:5]] = -1.0  # few enough to be missed
    y = np.log(np.abs(X[:, 0])) + 0.05 * rng.normal(size=12_000)
    est = quick(max_time=4, on_progress=lambda progress: progress.seconds > 2).fit(X, y)
    assert np.isfinite(est.predict(X)).all()
    assert est.score(X, y) > 0.9

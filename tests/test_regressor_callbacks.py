"""scikit-learn's callbacks on ``EquateRegressor``."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from equate_srbench.baselines.e2e import E2ERegressor
from equate_srbench.regressor import EquateRegressor

callbacks = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

PHASES = {"families", "library", "propose", "align", "ascend", "edit", "shorten"}


class Recorder:
    """Writes down all hooks; may ask for the end, or fail, at some task's end."""

    def __init__(self, stop_at: int = 10**9, fail_at: int = 10**9) -> None:
        self.stop_at, self.fail_at = stop_at, fail_at
        self.calls: list[str] = []
        self.open = 0
        self.ended: list[str] = []
        self.scores: list[float] = []

    def setup(self, estimator, context):
        """Before the fit."""
        self.calls.append("setup")

    def teardown(self, estimator, context):
        """After it."""
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        """At the beginning of a task."""
        self.open += 1

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        """At the end of a task."""
        self.open -= 1
        self.ended.append(context.task_name)
        if isinstance(estimator, EquateRegressor):
            assert fitted_estimator is not estimator
            self.scores.append(fitted_estimator.score(X, y))
        if len(self.ended) == self.fail_at:
            raise RuntimeError("callback failed")
        return len(self.ended) >= self.stop_at


class Everywhere(Recorder):
    """Goes from meta-estimators to what they fit."""

    max_propagation_depth = None


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, pd.Series]:
    """A named table with noise."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1, 5, (60, 2)), columns=["u", "v"])
    return X, X["u"] / X["v"] + 0.1 * rng.normal(size=60)


def test__callback__whole_fit__task_tree_of_phases_and_steps(table):
    """Every begun task ends, phases come in order, the score of the best so far never falls."""
    recorder = Recorder()
    est = EquateRegressor(random_state=0).set_callbacks(recorder)
    est.fit(*table)
    assert recorder.calls == ["setup", "teardown"]
    assert recorder.open == 0
    assert recorder.ended[-1] == "fit"
    assert set(recorder.ended) <= PHASES | {"fit", "step"}
    assert {"families", "library", "propose", "edit", "shorten"} <= set(recorder.ended)
    assert recorder.scores[-1] == est.score(*table)
    assert not hasattr(est, "_callback_fit_ctx")


def test__callback__returns_true__ends_the_fit():
    """The stop of a hook ends the fit with a usable model."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 5, (1000, 3))
    y = np.sin(3 * X[:, 0]) * X[:, 1] + rng.normal(size=1000)
    recorder = Recorder(stop_at=3)
    est = EquateRegressor(max_time=60, random_state=0).set_callbacks(recorder).fit(X, y)
    assert est.fit_time_ < 30.0
    assert recorder.open == 0
    assert recorder.calls == ["setup", "teardown"]
    assert np.isfinite(est.predict(X)).all()


def test__callback__raises__torn_down_and_model_usable(table):
    """The error passes through; the teardown comes all the same."""
    recorder = Recorder(fail_at=2)
    est = EquateRegressor(random_state=0).set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="callback failed"):
        est.fit(*table)
    assert recorder.calls == ["setup", "teardown"]
    assert np.isfinite(est.predict(table[0])).all()


def test__callback__invalid_table__torn_down(table):
    """Errors before the search leave no callback behind."""
    recorder = Recorder()
    est = EquateRegressor().set_callbacks(recorder)
    with pytest.raises(ValueError, match="NaN"):
        est.fit(table[0] * np.nan, table[1])
    assert recorder.calls.count("setup") == recorder.calls.count("teardown")


@pytest.mark.parametrize("weighted", [False, True])
def test__scoring_monitor__logs_a_score_per_task(table, weighted):
    """R2 of the current answer, at every step, phase, and the end."""
    monitor = callbacks.ScoringMonitor(scoring="r2")
    est = EquateRegressor(random_state=0).set_callbacks(monitor)
    weights = np.linspace(0.5, 1.5, 60) if weighted else None
    est.fit(*table, sample_weight=weights)
    log = monitor.get_logs().data_as_pandas
    assert set(log["task_name"]) >= {"fit", "edit", "step"}
    assert log["r2"].notna().all()
    final = log.loc[log["task_name"] == "fit", "r2"]
    np.testing.assert_allclose(final, est.score(*table, sample_weight=weights))


def test__scoring_monitor__constant_target__one_score():
    """Nothing to search, yet the fit is a task with a score."""
    monitor = callbacks.ScoringMonitor(scoring="neg_mean_squared_error")
    EquateRegressor().set_callbacks(monitor).fit(np.ones((5, 1)), np.ones(5))
    assert monitor.get_logs().data[0]["neg_mean_squared_error"] == 0.0


def test__progress_bar__fit__shows_the_phases(table, capsys):
    """The bar names the estimator and its phases, and gives the terminal back."""
    pytest.importorskip("rich")
    EquateRegressor(random_state=0).set_callbacks(callbacks.ProgressBar()).fit(*table)
    shown = capsys.readouterr().out
    assert "EquateRegressor" in shown
    assert "edit" in shown


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test__grid_search__callbacks__reach_every_fit(table, jobs):
    """Propagated through a meta-estimator: phases of the inner fits appear in its task tree."""
    monitor, recorder = callbacks.ScoringMonitor(scoring="r2"), Everywhere()
    grid = GridSearchCV(
        EquateRegressor(random_state=0), {"lam": [0.1, 0.5]}, cv=2, n_jobs=jobs
    ).set_callbacks(recorder)
    grid.estimator.set_callbacks(monitor)
    grid.fit(*(part[:20] for part in table))
    assert grid.best_score_ > 0.5
    if jobs == 1:  # workers have their own copies
        assert recorder.ended.count("propose") == 5
        assert recorder.calls == ["setup", "teardown"]
    assert not hasattr(grid.best_estimator_, "_parent_callback_ctx")


def test__baseline__callbacks__work_too(table):
    """The baseline reports in the same way."""
    recorder = Recorder()
    E2ERegressor(n_bags=1, n_samples=2, random_state=0).set_callbacks(recorder).fit(*table)
    assert {"fit", "propose", "step"} <= set(recorder.ended)
    assert recorder.open == 0


def test__without_callback_support__estimator_works(table, monkeypatch):
    """Older scikit-learn: no ``set_callbacks``, everything else as ever."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    for name in ("sklearn_callbacks", "search_regressor", "regressor"):
        module = importlib.import_module(f"equate_srbench.{name}")
        spec = importlib.util.spec_from_file_location(module.__name__, module.__file__)
        old = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, old)
        spec.loader.exec_module(old)
    est = old.EquateRegressor(random_state=0, on_progress=lambda progress: False)
    assert not hasattr(est, "set_callbacks")
    assert est.fit(*table).score(*table) > 0.9

"""The estimator of the entry: quick to import, in time, and never without a model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import types

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from equate_srbench.regressor import EquateRegressor
from equate_srbench.srbench import estimator
from equate_srbench.srbench.estimator import (
    SRBenchRegressor,
    complexity,
    find_weights,
    model,
    pre_train,
)
from equate_srbench.srbench.submission import own


@pytest.fixture
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """An exact product of two columns."""
    X = pd.DataFrame(np.random.default_rng(0).uniform(1, 5, (60, 2)), columns=["I", "x0"])
    return X, (X["I"] * X["x0"]).to_numpy()


def test__regressor_py__import__loads_no_network_library():
    """The harness imports it in every job; torch comes with ``pre_train``."""
    code = (
        f"import sys; sys.path.insert(0, {str(own().experiment)!r}); "
        "import methods.equate.regressor as r; "
        "assert {'torch', 'numba', 'sympy'}.isdisjoint(sys.modules); "
        "print(r.est, sorted(r.eval_kwargs))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SRBenchRegressor() ['max_train_samples', 'pre_train',")


def test__fit__frame_or_array__string_in_the_names_of_the_frame(table):
    """The model found is the one that is printed."""
    X, y = table
    for given in (X, X.to_numpy()):
        est = SRBenchRegressor(random_state=0, max_time=60).fit(given, y)
        assert model(est, X) == "I*x0"
        assert complexity(est) == 3
        np.testing.assert_allclose(est.predict(given), y)
    assert model(est) == "x0*x1"
    assert model(clone(est).fit(X, y)) == "I*x0"


def test__parameters__are_json_and_survive_clone():
    """SRBench writes them into its result file."""
    est = SRBenchRegressor(max_time=360, longest=4.0)
    assert json.loads(json.dumps(est.get_params())) == clone(est).get_params()
    assert isinstance(pre_train, types.FunctionType)


@pytest.mark.parametrize("settings", [{"max_time": 1e-3}, {"longest": 1e-3}])
def test__fit__no_time__answers_the_mean(table, settings):
    """A limit that is over at once still leaves a model."""
    X, y = table
    est = SRBenchRegressor(**settings).fit(X, y)
    np.testing.assert_allclose(est.predict(X), y.mean())
    assert float(model(est, X)) == y.mean()


@pytest.mark.parametrize("name", ["max_time", "longest"])
@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test__fit__time_out_of_range__refused(table, name, seconds):
    """The message has the name and the value."""
    with pytest.raises(ValueError, match=f"{name}={seconds}"):
        SRBenchRegressor(**{name: seconds}).fit(*table)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({"max_time": 100.0}, 95.0), ({"max_time": 36_000.0}, 3600.0), ({"longest": 4.0}, 4.0)],
)
def test__fit__search__ends_before_the_harness_does(table, monkeypatch, settings, seconds):
    """95 % of the limit, and at most an hour."""
    given = []
    monkeypatch.setattr(EquateRegressor, "fit", lambda search, X, y: given.append(search.max_time))
    est = SRBenchRegressor(**settings).fit(*table)
    assert seconds - 60.0 < given[0] <= seconds
    assert np.isfinite(est.predict(table[0])).all()


class Alarm(Exception):
    """Like the harness's."""


@pytest.mark.parametrize("where", ["load", "fit"])
def test__fit__alarm__passes_through_with_a_model(table, monkeypatch, where):
    """Also while torch is loaded, before any search."""
    X, y = table

    def ring(*_: object) -> None:
        raise Alarm

    def found_then_ring(search: EquateRegressor, X: pd.DataFrame, y: np.ndarray) -> None:
        search.equation_ = SRBenchRegressor(max_time=60, random_state=0).fit(X, y).equation_
        raise Alarm

    if where == "load":
        monkeypatch.setattr(SRBenchRegressor, "_load", ring)
        expected = repr(float(y.mean()))
    else:
        fit = EquateRegressor.fit
        calls: list[int] = []

        def twice(search: EquateRegressor, X: pd.DataFrame, y: np.ndarray) -> object:
            calls.append(0)
            return (found_then_ring if len(calls) == 1 else fit)(search, X, y)

        monkeypatch.setattr(EquateRegressor, "fit", twice)
        expected = "I*x0"
    est = SRBenchRegressor()
    with pytest.raises(Alarm):
        est.fit(X, y)
    assert model(est, X) == expected
    assert np.isfinite(est.predict(X)).all()


def test__find_weights__order__variable_then_folders_then_package(tmp_path, monkeypatch):
    """Weights that are bound into a container win over the packaged ones."""
    folders = (tmp_path / "srbench_pretrained", tmp_path / "pretrained")
    monkeypatch.setattr(estimator, "WEIGHTS_FOLDERS", folders)
    monkeypatch.delenv(estimator.WEIGHTS_VARIABLE, raising=False)
    assert find_weights() == "compact"
    for folder in reversed(folders):
        folder.mkdir()
        (folder / estimator.WEIGHTS_FILE).touch()
        assert find_weights() == str(folder / estimator.WEIGHTS_FILE)
    mine = tmp_path / "mine.safetensors"
    monkeypatch.setenv(estimator.WEIGHTS_VARIABLE, str(mine))
    with pytest.raises(FileNotFoundError, match="EQUATE_WEIGHTS"):
        find_weights()
    mine.touch()
    assert find_weights() == str(mine)


def test__find_weights__documented_folders__are_the_harness_s():
    """Where SRBench's images and its 2025 runs put weights."""
    assert [str(f) for f in estimator.WEIGHTS_FOLDERS] == ["/srbench_pretrained", "/pretrained"]


def test__fit__weights_of_the_folder__are_used(table, tmp_path, monkeypatch):
    """A damaged file is an error, not a silent return to the packaged weights."""
    (tmp_path / estimator.WEIGHTS_FILE).write_bytes(b"not weights")
    monkeypatch.setattr(estimator, "WEIGHTS_FOLDERS", (tmp_path,))
    monkeypatch.delenv(estimator.WEIGHTS_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=r"equate\.safetensors"):
        SRBenchRegressor().fit(*table)


def test__fit__one_second__kept(table):
    """``max_time`` is kept once everything is loaded."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 5, (500, 4))
    y = np.sin(X[:, 0] * X[:, 1]) + rng.normal(size=500)
    est = SRBenchRegressor(max_time=1.0, random_state=0)
    pre_train(est)
    for _ in range(3):  # a busy machine may stall one fit
        started = time.monotonic()
        est.fit(X, y)
        if time.monotonic() - started < 3.0:
            return
    pytest.fail("three fits with max_time=1 took 3 seconds or more")

"""One fit: task, split, noise, scaling, row."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from equate_srbench.bench.protocol import run_task, split
from equate_srbench.bench.suites.loading import Dataset, load_suite
from equate_srbench.bench.task import NOISE_LEVELS, SEEDS, Task

FAKES = "tests.bench.fakes"


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch):
    """The fakes are found from wherever pytest was started."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture
def data(rng) -> Dataset:
    """2000 rows, a known formula."""
    X = pd.DataFrame(rng.uniform(1, 5, (2000, 2)), columns=["a", "lambda"])
    return Dataset("made", X, (3.0 * X["a"] + X["lambda"]).to_numpy(), "3*a + lambda_")


def test__task__through_json__equal():
    """A task travels as JSON."""
    task = Task("quick", "steam", "equate", {"preset": "fast", "n": [1, 2]}, noise=0.1)
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


def test__key__equal_and_different_tasks__equal_and_different_keys():
    """The key depends on every field, not on the order of settings, and not on the process."""
    base = Task("quick", "steam", "equate", {"a": 1, "b": 2})
    assert base.key == Task("quick", "steam", "equate", {"b": 2, "a": 1}).key
    others = [
        Task("quick", "steam", "equate", {"a": 1}),
        Task("quick", "steam", "equate", {"a": 1, "b": 2}, seed=1),
        Task("quick", "steam", "equate", {"a": 1, "b": 2}, noise=0.1),
        Task("quick", "steam", "equate", {"a": 1, "b": 2}, max_time=5),
        Task("quick", "steam", "equate", {"a": 1, "b": 2}, scale=True),
        Task("quick", "steam", "equate", {"a": 1, "b": 2}, max_train=None),
    ]
    assert len({t.key for t in [base, *others]}) == 7
    assert base.key == "quick--steam--equate--" + base.key.split("--")[3] + "--s23654--n0"


def test__key__paths_and_class_names__safe_as_a_file_name():
    """Odd names give short keys of plain characters, and different names different keys."""
    odd = Task("/data/../My sets/é#price", "x" * 300, "package.module:Class")
    assert len(odd.key) < 230
    assert set(odd.key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert odd.key != Task("/data/../My sets/è#price", "x" * 300, "package.module:Class").key


@pytest.mark.parametrize(
    ("field", "value"),
    [("noise", -0.1), ("max_time", 0), ("seed", -1), ("max_train", 1), ("noise", float("nan"))],
)
def test__task__out_of_range__error_names_the_field(field, value):
    """Limits are checked when a task is made."""
    with pytest.raises(ValueError, match=field):
        Task("quick", "steam", "linear", **{field: value})


def test__task__time_limit_among_the_settings__says_where_it_belongs():
    """What the task sets itself cannot be a setting, too."""
    with pytest.raises(ValueError, match="'max_time', which the task sets itself"):
        Task("quick", "steam", "linear", {"max_time": 3.0})


def test__split__no_noise__srbench_split(data):
    """The same rows as scikit-learn's split with the seed, 75 to 25, cut without replacement."""
    found = split(Task("s", "made", "linear", seed=860, max_train=None), data)
    X_train, _, y_train, y_test = train_test_split(
        data.X, data.y, train_size=0.75, test_size=0.25, random_state=860
    )
    np.testing.assert_array_equal(found.X_train, X_train)
    np.testing.assert_array_equal(found.y_test, y_test)
    assert list(found.X_train.columns) == ["a", "lambda_"]
    cut = split(Task("s", "made", "linear", seed=860, max_train=100), data)
    assert len(cut.y_train) == 100
    assert len(np.unique(cut.X_train["a"])) == 100
    assert np.isin(cut.y_train, y_train).all()
    assert len(cut.y_test) == 500


@pytest.mark.parametrize("level", NOISE_LEVELS)
def test__split__noise__on_the_training_target_only(data, level):
    """Noise has the standard deviation level * RMS(y_train), and never touches the test rows."""
    clean = split(Task("s", "made", "linear", max_train=None), data)
    noisy = split(Task("s", "made", "linear", noise=level, max_train=None), data)
    added = noisy.y_train - clean.y_train
    expected = level * np.sqrt(np.mean(clean.y_train**2))
    assert np.std(added) == pytest.approx(expected, rel=0.06, abs=1e-15)
    np.testing.assert_array_equal(noisy.y_test, clean.y_test)
    np.testing.assert_array_equal(noisy.X_train, clean.X_train)


def test__split__scaled__by_the_training_rows_and_without_truth(data):
    """X and y have mean 0 and deviation 1 on the training rows; the formula no longer holds."""
    found = split(Task("s", "made", "linear", scale=True, max_train=200), data)
    np.testing.assert_allclose(found.X_train.mean(), 0.0, atol=1e-12)
    np.testing.assert_allclose(found.y_train.std(), 1.0)
    assert abs(found.y_test.mean()) > 1e-6
    assert found.truth is None


def test__split__test_rows_changed__training_rows_the_same(data):
    """No test value reaches anything that the fit sees, also with scaling."""
    task = Task("s", "made", "linear", scale=True, noise=0.1)
    found = split(task, data)
    train, test = train_test_split(
        np.arange(len(data.y)), train_size=0.75, test_size=0.25, random_state=task.seed
    )
    y = data.y.copy()
    y[test] *= 1e6
    other = split(task, Dataset("made", data.X, y))
    np.testing.assert_array_equal(found.y_train, other.y_train)
    assert len(train) == 1500


def test__run_task__linear_fake__whole_row():
    """A fit gives a row with scores, sizes, verdict and provenance."""
    row = run_task(Task("quick", "feynman_I_12_11", f"{FAKES}:Linear"))
    assert row["status"] == "ok"
    assert (row["n_train"], row["n_test"], row["n_features"]) == (1000, 2500, 5)
    assert 0.5 < row["r2_test"] < 0.99
    assert row["acc99"] is False
    assert row["complexity"] == 17
    assert row["solved"] is False
    assert row["solved_reason"] == "numbers differ"
    assert row["fit_seconds"] <= row["total_seconds"]
    assert row["provenance"]["cores"] >= 1
    assert len(row["rows_sha256"]) == 64


def test__run_task__predictions_not_finite__error_row_with_the_model():
    """SRBench loses such a run; here it is an error that keeps what there is."""
    row = run_task(Task("quick", "steam", f"{FAKES}:Undefined"))
    assert row["status"] == "error"
    assert "1 of 30 training rows and 1 of 11 test rows" in row["error"]
    assert row["r2_test"] is None
    assert row["model"]


def test__run_task__fit_raises__error_reaches_the_runner():
    """What a method raises is for the runner to record."""
    with pytest.raises(RuntimeError, match="no fit"):
        run_task(Task("quick", "steam", f"{FAKES}:Raises"))


@pytest.mark.parametrize(("method", "status"), [("Nan", "error"), ("Patched", "ok")])
def test__run_task__undefined_rows__in_the_row(method, status):
    """A row that is not finite loses the fit; one that the method replaced is told of."""
    row = run_task(Task("quick", "steam", f"{FAKES}:{method}"))
    assert row["status"] == status
    if status == "error":
        assert row["error"] == "no finite prediction on 1 of 30 training rows and 1 of 11 test rows"
    else:
        assert row["notes"] == ["undefined on 1 row"] * 2


def test__run_task__the_truth__solved_and_counted():
    """A method that knows the answer gets a symbolic solution and a test R2 of 1."""
    row = run_task(Task("strogatz", "strogatz_lv2", f"{FAKES}:Oracle"))
    assert row["solved"] is True
    assert row["r2_test"] == 1.0
    assert row["acc999"] is True
    assert row["recovered"] is True
    assert row["short"] is True
    assert row["complexity_simplified"] <= row["complexity"]


def test__run_task__method_without_formula__no_size():
    """A black box has scores only."""
    row = run_task(Task("quick", "steam", "hgb"))
    assert row["status"] == "ok"
    assert row["model"] is None
    assert row["complexity"] is None
    assert row["solved"] is None
    assert row["recovered"] is None


def test__run_task__no_law_or_scaled_units__no_verdict():
    """Where there is no law in the units of the fit, nothing is recovered and nothing is missed."""
    for task in (
        Task("quick", "steam", f"{FAKES}:Linear"),
        Task("strogatz", "strogatz_lv2", f"{FAKES}:Linear", scale=True),
    ):
        row = run_task(task)
        assert row["model"]
        assert (row["recovered"], row["short"]) == (None, None)


def test__split__fastsrb__half_of_its_rows_and_noise_in_standard_deviations():
    """512 rows to fit, 512 to test; noise is a share of the deviation, not of the size."""
    data = load_suite("fastsrb").load("I.12.1", seed=SEEDS[0])
    far = dataclasses.replace(data, y=data.y + 1e3 * np.std(data.y))  # size and deviation differ
    clean = split(Task("fastsrb", "I.12.1", "equate"), far)
    noisy = split(Task("fastsrb", "I.12.1", "equate", noise=0.1), far)
    assert len(clean.y_train) == len(clean.y_test) == 512
    assert np.std(noisy.y_train - clean.y_train) == pytest.approx(0.1 * np.std(data.y), rel=0.15)
    assert np.array_equal(noisy.y_test, clean.y_test)
    assert list(clean.law.ranges.values()) == list(data.ranges)


def test__run_task__candidates__trace_of_what_improved():
    """A method that keeps its candidates tells when it got better."""
    row = run_task(Task("quick", "steam", f"{FAKES}:Tracing"))
    assert row["trace"] == [[0.1, 0.2], [0.3, 0.9]]


def test__seeds__srbench__ten_different():
    """The seeds of SRBench's ground-truth track."""
    assert len(set(SEEDS)) == 10
    assert load_suite("groundtruth").srbench


def test__run_task__distilled__row_tells_about_the_teacher():
    """Strengths, fidelity and the teacher's own accuracy travel with the row."""
    settings = {"student": "linear", "jacobian": [0.1], "lipschitz": [0.0]}
    task = Task(suite="quick", dataset="steam", method="distilled", settings=settings, max_time=5.0)
    row = run_task(task)
    assert row["status"] == "ok"
    assert set(row["teacher"]) == {"jacobian", "lipschitz", "fidelity", "r2_test"}
    assert row["teacher"]["jacobian"] == 0.1
    assert run_task(Task(suite="quick", dataset="steam", method="linear"))["teacher"] is None

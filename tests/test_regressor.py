"""``EquateRegressor`` as scikit-learn's users meet it: tables, parameters, copies, errors."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import random
import re
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split

from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.data import SHIPPED
from equate_srbench.equation import Equation
from equate_srbench.formula_regressor import model
from equate_srbench.regressor import EquateRegressor

SEED = 7


def make_table(n: int = 30, p: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A small table that is found exactly at once: the first column over the second."""
    X = np.random.default_rng(seed).uniform(1.0, 5.0, (n, p))
    return X, X[:, 0] / X[:, 1]


def noisy_table(n: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """A small table that is not: the search ends by its patience."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 2))
    return X, 3.0 * X[:, 0] + rng.normal(size=n)


def quick(**params: object) -> EquateRegressor:
    """An estimator with a seed."""
    return EquateRegressor(**{"random_state": SEED, **params})


# -- formulas -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test__fit__six_planets__keplers_law_and_nothing_more(seed: int) -> None:
    """Six rows of real data with their errors: longer formulas fit them better, and are not it."""
    planets = pd.read_csv(SHIPPED["kepler"].path)
    est = quick(random_state=seed).fit(planets[["distance"]], planets["period"])
    assert str(est.equation_) == "distance**1.5"
    assert (
        est.equations_["r2"].max()
        > est.candidates_["r2"][est.candidates_["equation"] == str(est.equation_)].max()
    )


# -- tables ---------------------------------------------------------------------------------


def test__fit__exact_table__short_right_formula():
    """The formula behind a clean table comes out, alike in text, prediction and front."""
    X, y = make_table(60)
    est = quick().fit(X, y)
    assert str(est.equation_) == "x0/x1"
    assert est.interrupted_ is False
    assert est.score(X, y) > 1 - 1e-12
    np.testing.assert_array_equal(est.predict(X), est.equation_.predict(X))
    assert est.equations_["equation"].iloc[-1] == "x0/x1"
    assert est.equations_["complexity"].is_monotonic_increasing
    assert set(est.candidates_["source"]) >= {"constant", "shorten"}
    assert est.fit_time_ < 60


@pytest.mark.parametrize(
    "names",
    [["lambda", "E"], ["x 1", "spin"], ["pi", "I"], ["gamma", "S"], ["exp", "1st"], ["a/b", "a.b"]],
)
def test__fit__awkward_names__same_formula_and_names_kept(names):
    """Any column name works: as feature name, in the formula, and in predictions by name."""
    X, y = make_table()
    table = pd.DataFrame(X, columns=names)
    est = quick().fit(table, y)
    assert list(est.feature_names_in_) == names
    assert est.equation_.columns == tuple(names)
    np.testing.assert_allclose(est.predict(table), y, rtol=1e-12)
    assert model(est) == model(est, table)


@pytest.mark.parametrize(
    "labels", [[0, 1], pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])], ids=str
)
def test__fit__labels_that_are_no_strings__formula_reads_the_table_by_position(labels):
    """scikit-learn drops such names; the formula numbers the columns, and its text is readable."""
    X, y = make_table()
    table = pd.DataFrame(X, columns=labels)
    est = quick().fit(table, y)
    assert not hasattr(est, "feature_names_in_")
    np.testing.assert_array_equal(est.equation_.predict(table), est.predict(table))
    assert est.equation_.fit_constants(table, y).predict(table) == pytest.approx(y)
    assert Equation.from_string(str(est.equation_)).tree == est.equation_.tree


def test__fit__bool_and_integer_columns__are_numbers():
    """Bool counts as 0 and 1, integers as they are, alike in frame and array."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"flag": rng.random(30) < 0.5, "count": rng.integers(1, 9, 30)})
    y = 2.0 * frame["flag"] + frame["count"]
    est = quick().fit(frame, y)
    np.testing.assert_allclose(est.predict(frame), y, rtol=1e-12)
    bare = quick().fit(frame.to_numpy(dtype=object), y)
    np.testing.assert_array_equal(est.predict(frame), bare.predict(frame.to_numpy(dtype=object)))


@pytest.mark.parametrize("value", [3.5, 0.0, -1e200])
def test__fit__constant_target__is_that_constant(value):
    """Nothing to explain: one node, no search."""
    X, _ = make_table()
    est = quick().fit(X, np.full(len(X), value))
    assert est.equation_.size == 1
    np.testing.assert_array_equal(est.predict(X), value)
    assert len(est.equations_) == 1


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("preset", ["default", "paper"])
def test__fit__few_rows__finite_predictions(n, preset):
    """One, two and three rows are enough for an answer."""
    X, y = make_table(n)
    est = quick(preset=preset, max_time=5).fit(X, y)
    assert np.isfinite(est.predict(X)).all()


def test__fit__constant_and_duplicate_columns__do_no_harm():
    """A column that says nothing, and one that says the same twice."""
    X, y = make_table()
    X = np.column_stack([np.full(len(X), 4.0), X, X[:, 0], np.zeros(len(X))])
    np.testing.assert_allclose(quick().fit(X, y).predict(X), y, rtol=1e-12)


def test__fit__only_constant_columns__mean():
    """Nothing to explain with: the mean, as for least squares."""
    y = np.arange(30.0)
    est = quick().fit(np.ones((30, 3)), y)
    np.testing.assert_allclose(est.predict(np.ones((2, 3))), y.mean())


@pytest.mark.parametrize("x_power", [-150, 0, 150])
@pytest.mark.parametrize("y_power", [-150, 150])
def test__fit__extreme_units__right_and_finite(x_power, y_power):
    """The relative error does not depend on the units."""
    X, y = make_table(18)
    X = X * [10.0**x_power, 1.0]
    y = y * 10.0**y_power
    est = quick().fit(X, y)
    np.testing.assert_allclose(est.predict(X), y, rtol=1e-9)


def test__predict__fit_rows__finite_where_the_search_was():
    """A target whose logarithm or root has an edge at the data: no row is undefined."""
    rng = np.random.default_rng(2)
    X = np.abs(rng.normal(size=(25, 2)))
    X[0] = 0.0
    y = np.sqrt(X[:, 0]) + rng.normal(size=25) * 0.1
    assert np.isfinite(quick().fit(X, y).predict(X)).all()


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test__fit__missing_or_infinite_cells__error_names_the_columns(bad):
    """scikit-learn's words, and the columns of a frame."""
    X, y = make_table()
    table = pd.DataFrame(X, columns=["good", "broken"])
    table.loc[3, "broken"] = bad
    with pytest.raises(ValueError, match=r"(?s)NaN|infinity.*values: broken$"):
        quick().fit(table, y)
    with pytest.raises(ValueError, match="contains"):
        quick().fit(table.to_numpy(), y)
    y[2] = bad
    with pytest.raises(ValueError, match="Input y contains"):
        quick().fit(X, y)


@pytest.mark.parametrize("cells", [["a", "b"], [{}, {}]])
def test__fit__cells_that_are_no_numbers__error_names_the_columns(cells):
    """Text and objects are refused with advice."""
    X, y = make_table()
    table = pd.DataFrame(X, columns=["good", "other"])
    table["kind"] = cells * 15
    with pytest.raises(ValueError, match=r"not numbers: kind \(encode"):
        quick().fit(table, y)
    table["kind"] = table["kind"].astype(str).astype("category")
    with pytest.raises(ValueError, match=r"not numbers: kind \(encode"):
        quick().fit(table, y)


def test__predict__missing_cell__error_names_the_column():
    """The same care as in fit."""
    X, y = make_table()
    table = pd.DataFrame(X, columns=["u", "v"])
    est = quick().fit(table, y)
    table.loc[0, "v"] = np.nan
    with pytest.raises(ValueError, match="values: v"):
        est.predict(table)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(5), np.ones(5), "2D array"),
        (np.ones((5, 2, 2)), np.ones(5), "dim"),
        (np.ones((0, 2)), np.ones(0), "0 sample"),
        (np.ones((5, 0)), np.ones(5), "0 feature"),
        (np.ones((5, 2)), np.ones(4), "inconsistent"),
        (np.ones((5, 2)), np.ones((5, 2)), "1d array"),
        (np.ones((5, 2)), None, "y"),
        (np.ones((5, 2)), ["a"] * 5, "could not convert"),
    ],
)
def test__fit__wrong_shapes__scikit_learns_errors(X, y, message):
    """The words that users know."""
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"preset": "slow"}, ValueError, "preset"),
        ({"max_time": 0}, ValueError, "max_time"),
        ({"max_features": 0}, ValueError, "max_features"),
        ({"select": "nicest"}, ValueError, "select"),
        ({"lam": -1}, ValueError, "lam"),
        ({"on_progress": 3}, ValueError, "on_progress"),
        ({"backbone": "no-such-file"}, FileNotFoundError, r"no-such-file.*compact"),
        ({"backbone": __file__}, CheckpointError, "not a safetensors file"),
        ({"device": "abacus"}, ValueError, "abacus"),
        ({"device": "cuda:77"}, ValueError, "cuda:77"),
    ],
)
def test__fit__impossible_parameter__clear_error_at_once(params, error, message):
    """Also for tables too small to need the parameter."""
    X, y = make_table(5)
    est = quick(**params)
    with pytest.raises(error, match=message):
        est.fit(X, y)
    with pytest.raises(NotFittedError):
        est.predict(X)


def test__predict__other_columns__refused():
    """Another number of columns, or other names."""
    X, y = make_table()
    est = quick().fit(pd.DataFrame(X, columns=["u", "v"]), y)
    with pytest.raises(ValueError, match="feature names"):
        est.predict(pd.DataFrame(X, columns=["v", "w"]))
    with pytest.raises(ValueError, match="3 features"):
        quick().fit(X, y).predict(np.ones((2, 3)))


# -- weights --------------------------------------------------------------------------------


def test__sample_weight__zero__row_does_not_exist():
    """A wild row of weight 0 changes nothing at all."""
    X, y = noisy_table()
    wild_X, wild_y = np.vstack([X, [[1e6, -1e6]]]), np.append(y, -1e9)
    weights = np.append(np.ones(len(y)), 0.0)
    with_wild = quick().fit(wild_X, wild_y, weights)
    assert with_wild.equation_ == quick().fit(X, y).equation_


def test__sample_weight__counts__are_repeated_rows():
    """Weight 2 is the row twice; the order of rows is of no importance."""
    X, y = noisy_table()
    counts = np.random.default_rng(0).integers(1, 4, len(y))
    order = np.random.default_rng(1).permutation(counts.sum())
    weighted = quick().fit(X, y, counts)
    repeated = quick().fit(np.repeat(X, counts, 0)[order], np.repeat(y, counts)[order])
    assert weighted.equation_ == repeated.equation_


def test__sample_weight__fractions__are_relative():
    """Weights that sum to one are as good as weights that sum to the number of rows."""
    X, y = noisy_table()
    w = np.random.default_rng(0).uniform(0.5, 1.5, len(y))
    assert quick().fit(X, y, w / w.sum()).score(X, y) > 0.5
    assert quick().fit(X, y, 1.5).equation_ == quick().fit(X, y).equation_


def test__sample_weight__impossible__refused():
    """Negative, all zero, of another length, not finite."""
    X, y = make_table()
    for weights, message in [
        (-np.ones(30), "negative"),
        (np.zeros(30), r"0 for every row|non-zero"),
        (np.ones(29), r"sample_weight\.shape"),
        (np.full(30, np.nan), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            quick().fit(X, y, weights)


# -- copies, processes, state ---------------------------------------------------------------


def test__parameters__json_clone_and_repr__plain_values():
    """A harness writes parameters as JSON, clones and prints."""
    est = quick(max_time=3.5)
    assert json.loads(json.dumps(est.get_params())) == est.get_params()
    assert clone(est).get_params() == est.get_params()
    assert "max_time=3.5" in repr(est)
    assert "EquateRegressor" in est._repr_html_()
    est.max_time, est.random_state = 5.0, 3  # as SRBench sets them
    assert est.get_params()["max_time"] == 5.0


def test__documentation__every_parameter_and_attribute__is_described():
    """The class docstring knows all constructor parameters, and its attributes exist."""
    doc = inspect.getdoc(EquateRegressor)
    for name, parameter in inspect.signature(EquateRegressor).parameters.items():
        entry = re.search(rf"^{name} : .*$", doc, re.MULTILINE)
        assert entry, name
        assert f"default={str(parameter.default).strip()}".replace("'", '"') in entry[0] or (
            f'default="{parameter.default}"' in entry[0]
        ), name
    section = doc.split("Attributes\n-----")[1].split("Notes\n-----")[0]
    X, y = make_table()
    est = quick().fit(pd.DataFrame(X, columns=["u", "v"]), y)
    for name in re.findall(r"^(\w+_)(?: :|$)", section, re.MULTILINE):
        assert hasattr(est, name), name


@pytest.fixture(scope="module")
def fitted() -> EquateRegressor:
    """Fitted on a table of noise, so that thousands of formulas were tried."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    return quick(max_time=20).fit(X, X[:, 0] * np.sin(X[:, 1]) + 0.3 * rng.normal(size=120))


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "cloudpickle"])
def test__fitted_estimator__copied__small_and_equal(fitted, way):
    """At most 1 MB without the network and the rows; predictions and tables are the same."""
    if way == "deepcopy":
        twin = copy.deepcopy(fitted)
    else:
        pickler = pytest.importorskip(way)
        data = pickler.dumps(fitted)
        assert len(data) <= 1e6
        twin = pickle.loads(data)  # noqa: S301 - our own bytes
    X = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_array_equal(twin.predict(X), fitted.predict(X))
    assert twin.equation_ == fitted.equation_
    for table in ("equations_", "candidates_", "trajectory_"):
        pd.testing.assert_frame_equal(
            getattr(twin, table).drop(columns="object", errors="ignore"),
            getattr(fitted, table).drop(columns="object", errors="ignore"),
        )
    assert "EquateRegressor" in fitted._repr_html_()


def test__tables__after_a_longer_fit__say_where_formulas_come_from(fitted):
    """Sources, seconds and scores of the proposals; the front is a front."""
    sources = set(fitted.candidates_["source"])
    assert sources >= {"constant", "backbone", "edit"}
    assert fitted.candidates_["seconds"].between(0, fitted.fit_time_).all()
    assert set(fitted.trajectory_["source"]) >= {"backbone", "edit"}
    assert (np.diff(fitted.equations_["loss"]) < 0).all()
    assert set(fitted.diagnostics_) >= {"tried", "flip_rate", "validity_rate", "rank_correlation"}
    assert fitted.trajectory_["equation"].map(type).eq(str).all()


def test__fit__same_seed__identical_whatever_happened_before():
    """Twice in one process, after another fit, and in another process."""
    X, y = noisy_table(24)
    est = quick()
    first = est.fit(X, y).candidates_.drop(columns="seconds")
    EquateRegressor(random_state=0).fit(*make_table())
    np.random.default_rng().normal(size=3)
    again = est.fit(X, y).candidates_.drop(columns="seconds")
    pd.testing.assert_frame_equal(first, again)


def test__fit__random_states_and_threads__untouched():
    """Nobody's random numbers and nobody's threads change."""
    X, y = noisy_table(24)
    np.random.seed(5)  # noqa: NPY002 - the global state is what this is about
    torch.manual_seed(5)
    random.seed(5)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)  # not what a fit uses
    before = (
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
    )
    quick().fit(X, y).predict(X)
    assert before == (
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
    )
    torch.set_num_threads(threads)


def test__fit__in_threads__same_result():
    """No signals, no shared state: two threads fit side by side."""
    X, y = noisy_table(24)
    expected = quick().fit(X, y).equation_
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(quick().fit(X, y).equation_)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected, expected]


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test__joblib__fit_and_predict__as_in_this_process(backend):
    """Estimators travel to workers and back."""
    X, y = noisy_table(24)
    expected = quick().fit(X, y)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        twins = joblib.Parallel()(joblib.delayed(quick().fit)(X, y) for _ in range(2))
        values = joblib.Parallel()(joblib.delayed(expected.predict)(X) for _ in range(4))
    assert [t.equation_ for t in twins] == [expected.equation_] * 2
    for value in values:
        np.testing.assert_array_equal(value, expected.predict(X))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test__grid_search__over_presets__finds_a_model(jobs):
    """A meta-estimator clones, sets parameters, fits and refits."""
    X, y = make_table()
    grid = GridSearchCV(quick(), {"select": ["best", "accurate"]}, cv=2, n_jobs=jobs)
    assert grid.fit(X, y).best_score_ > 0.999
    assert str(grid.best_estimator_.equation_) == "x0/x1"


# -- no leak --------------------------------------------------------------------------------


def test__fit__held_out_rows_poisoned__identical_model(monkeypatch):
    """Whatever is in the test rows, the model is the same, and no part ever sees them."""
    X, y = noisy_table(40)
    rows = np.arange(40)
    train, test = train_test_split(rows, random_state=0)
    expected = quick().fit(X[train], y[train])

    poisoned_X, poisoned_y = X.copy(), y.copy()
    poisoned_X[test] = np.nan
    poisoned_y[test] = poisoned_y[test][::-1]
    est = quick().fit(poisoned_X[train], poisoned_y[train])
    assert est.equation_ == expected.equation_
    frames = [e.candidates_.drop(columns="seconds") for e in (est, expected)]
    pd.testing.assert_frame_equal(*frames)


def test__fit__every_part__sees_only_the_rows_given(monkeypatch):
    """All archives judge on rows of the fit and their targets; no table has more rows."""
    from equate_srbench.problem.archive import Archive
    from equate_srbench.refine import Refiner

    archives, tables = [], []
    archive_init, refiner_init = Archive.__init__, Refiner.__init__

    def archive_spy(self, X, y, *args, **kwargs):
        archives.append(np.column_stack([X, y]))
        archive_init(self, X, y, *args, **kwargs)

    def refiner_spy(self, X, y, *args, **kwargs):
        tables.append(np.asarray(X))
        refiner_init(self, X, y, *args, **kwargs)

    monkeypatch.setattr(Archive, "__init__", archive_spy)
    monkeypatch.setattr(Refiner, "__init__", refiner_spy)
    X, y = noisy_table(40)
    train, _ = train_test_split(np.arange(40), random_state=0)
    quick().fit(X[train], y[train])
    given = {tuple(row) for row in np.column_stack([X, y])[train]}
    assert archives
    assert all(tuple(row) in given for table in archives for row in table)
    assert tables
    assert all(len(table) <= len(train) for table in tables)

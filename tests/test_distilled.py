"""``DistilledRegressor``: strengths chosen by the student, on rows of the fit alone."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import check_estimator

import equate_srbench
from equate_srbench.distilled import DistilledRegressor
from equate_srbench.regressor import EquateRegressor
from equate_srbench.teacher.smooth import SmoothTeacher

TEACHER = SmoothTeacher(hidden=(16, 16), max_steps=75)


def quick(**settings: object) -> DistilledRegressor:
    """A small grid and a student that takes no time."""
    common = {
        "teacher": TEACHER, "student": DecisionTreeRegressor(max_depth=3, random_state=0),
        "jacobian": (0.0, 0.1, 1.0), "lipschitz": (0.0, 0.01), "random_state": 0,
    }  # fmt: skip
    return DistilledRegressor(**{**common, **settings})


@pytest.fixture
def table(rng) -> tuple[np.ndarray, np.ndarray]:
    """A noisy product."""
    X = rng.uniform(-2, 2, (100, 2))
    return X, X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(100)


def test__fit__grid__best_student_is_chosen(table):
    """The table of candidates says why these strengths were taken."""
    X, y = table
    est = quick().fit(X, y)
    assert len(est.candidates_) == 6
    best = est.candidates_.loc[est.candidates_["student_r2"].idxmax()]
    assert est.strengths_ == {"jacobian": best["jacobian"], "lipschitz": best["lipschitz"]}
    assert est.teacher_.jacobian == est.strengths_["jacobian"]
    assert 0 < est.accuracy_ < 1
    assert est.fidelity_ > est.accuracy_  # it learnt the teacher, not the noise
    np.testing.assert_array_equal(est.predict(X), est.student_.predict(X))
    assert not hasattr(est, "equation_")


class Line:
    """A student with ``fit``, which returns nothing, and ``predict``, and no more than that."""

    fits = 0

    def __init__(self, fails: tuple[int, ...] = ()) -> None:
        self.fails = fails

    def fit(self, X, y):
        """Least squares, or an error when it is time for one."""
        Line.fits += 1
        if Line.fits in self.fails:
            raise RuntimeError("boom")
        self.slope = np.linalg.lstsq(X, y, rcond=None)[0]

    def predict(self, X):
        """Values of the line."""
        return X @ self.slope


def test__fit__student_without_sklearn__is_taught(rng):
    """What the parameter promises: ``fit`` and ``predict``; the one given is not fitted."""
    X, student = rng.uniform(-2, 2, (100, 2)), Line()
    est = quick(student=student).fit(X, X[:, 0] - X[:, 1])
    assert est.fidelity_ > 0.9
    assert est.student_ is not student
    assert not hasattr(student, "slope")


def test__fit__student_fails_sometimes__that_trial_is_lost(rng, monkeypatch):
    """One failure is told and does not take the other trials with it; the last is an error."""
    monkeypatch.setattr(Line, "fits", 0)
    X = rng.uniform(-2, 2, (100, 2))
    with pytest.warns(UserWarning, match="loses its trial: RuntimeError"):
        est = quick(student=Line(fails=(2,))).fit(X, X[:, 0] - X[:, 1])
    assert np.isneginf(est.candidates_["student_r2"]).tolist() == [False, True, *[False] * 4]
    monkeypatch.setattr(Line, "fits", 0)
    with pytest.raises(RuntimeError, match="boom"):
        quick(student=Line(fails=(7,))).fit(X, X[:, 0] - X[:, 1])


def test__fit__one_strength__nothing_to_choose(table):
    """The ordinary network is a grid of one: all rows teach."""
    X, y = table
    est = quick(jacobian=(0.0,), lipschitz=(0.0,)).fit(X, y)
    assert est.candidates_.empty
    alone = clone(TEACHER).set_params(jacobian=0.0, random_state=est.teacher_.random_state)
    np.testing.assert_array_equal(est.teacher_.predict(X), alone.fit(X, y).predict(X))


def test__fit__poisoned_test_rows__same_choices(table):
    """What is not given to ``fit`` has no part in it: nothing remembers the whole table."""
    X, y = table
    X_train, X_test, y_train, _ = train_test_split(X, y, random_state=1)
    before = quick().fit(X_train, y_train)
    X_test[:] = np.nan  # and X_train was copied by the split
    after = quick().fit(X_train, y_train)
    assert after.strengths_ == before.strengths_
    pd.testing.assert_frame_equal(
        after.candidates_.drop(columns="seconds"), before.candidates_.drop(columns="seconds")
    )
    np.testing.assert_array_equal(after.predict(X_train), before.predict(X_train))


def test__fit__validation_targets_permuted__teachers_the_same(table):
    """Rows that choose never train: only the choice may change with them."""
    X, y = table
    est, seen = quick(), []

    class Spy(LinearRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Spy:
            seen.append(y.copy())
            return super().fit(X, y)

    seed = int(np.random.RandomState(0).randint(2**31))
    held = train_test_split(np.arange(100), test_size=0.25, random_state=seed)[1]
    other = y.copy()
    other[held] = y[held][::-1]
    est.set_params(student=Spy()).fit(X, y)
    before, seen[:] = seen[:6], []
    est.fit(X, other)
    for one, two in zip(before, seen[:6], strict=True):
        np.testing.assert_array_equal(one, two)


def test__fit__equate_student__formula_in_column_names(table):
    """The student's formula is the model, also for SRBench."""
    X, y = table
    frame = pd.DataFrame(X, columns=["mass", "speed"])
    student = EquateRegressor(preset="fast", max_time=1.0)
    est = quick(student=student, jacobian=(0.1,), lipschitz=(0.0,)).fit(frame, y)
    assert est.student_.random_state is not None
    assert str(est.equation_) == equate_srbench.model(est)
    np.testing.assert_array_equal(est.predict(frame), est.equation_.predict(frame))
    assert est.equation_.predict(frame[["speed", "mass"]]) == pytest.approx(est.predict(frame))


def test__fit__memory__grid_is_found_again(table, tmp_path, monkeypatch):
    """Another student of the same rows trains no teachers but the last."""
    X, y = table
    quick(memory=str(tmp_path)).fit(X, y)
    trained = []
    monkeypatch.setattr(
        "equate_srbench.distilled.train_grid", lambda *a, **k: trained.append(a) or []
    )
    memory = joblib.Memory(str(tmp_path), verbose=0)
    again = quick(student=LinearRegression(), memory=memory).fit(X, y)
    assert not trained
    assert len(again.candidates_) == 6


def test__fit__few_rows__first_strengths():
    """Nothing to choose by: said by an empty table of candidates."""
    X = np.arange(6.0)[:, None]
    est = quick(student=LinearRegression()).fit(X, 2 * X[:, 0])
    assert est.candidates_.empty
    assert est.strengths_ == {"jacobian": 0.0, "lipschitz": 0.0}


def test__fit__bad_grids__value_error(table):
    """Empty and negative strengths are refused before a student is asked."""
    with pytest.raises(ValueError, match="at least one value"):
        quick(jacobian=()).fit(*table)
    with pytest.raises(ValueError, match="'jacobian' parameter"):
        quick(jacobian=(0.0, -1.0)).fit(*table)
    with pytest.raises(ValueError, match="'student' parameter"):
        quick(student="tree").fit(*table)


def test__pickle__fitted__predicts_the_same(table):
    """Also with its teacher."""
    est = quick().fit(*table)
    copy = pickle.loads(pickle.dumps(est))  # noqa: S301 - ours
    np.testing.assert_array_equal(copy.predict(table[0]), est.predict(table[0]))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the checks provoke warnings on purpose
def test__check_estimator__small_grid__all_passed():
    """No failures and no expected failures."""
    est = quick(random_state=None, student=LinearRegression())
    results = check_estimator(est, on_fail=None, on_skip=None)
    found = {r["check_name"]: r["status"] for r in results if r["status"] not in ("passed",)}
    assert not {name: status for name, status in found.items() if status != "skipped"}

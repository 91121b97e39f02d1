"""What all estimators with a formula have in common."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from equate_srbench.baselines import methods
from equate_srbench.equation import Equation
from equate_srbench.expr.tree import Tree
from equate_srbench.formula_regressor import (
    ConstantAnswerWarning,
    FormulaRegressor,
    model,
    warn_of_little,
)
from equate_srbench.problem.canonical import prepare
from equate_srbench.problem.domain import Domain

OURS = sorted(
    (s.home for s in methods.METHODS.values() if s.home.startswith("equate_srbench")), key=str
)


class Ratio(FormulaRegressor):
    """Answers ``first / second`` whatever it is fitted to."""

    def fit(self, X, y):
        """Set what the base reads."""
        rows, target = self._validated(X, y, y_numeric=True)
        self._domain = Domain.of(rows, np.asarray(target))
        tree = Tree.apply("div", Tree.variable(0), Tree.variable(1))
        self.equation_ = Equation(tree, self._names(), named=hasattr(self, "feature_names_in_"))
        return self


@pytest.fixture
def frame():
    """Two named columns."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.uniform(1.0, 2.0, (20, 2)), columns=["mass", "time"])


def test__predict__pole_outside_of_the_fit_rows__finite_with_a_warning(frame):
    """The base answers with numbers on every row."""
    est = Ratio().fit(frame, frame["mass"])
    with pytest.warns(RuntimeWarning, match="undefined on 1 of 1 rows"):
        assert np.isfinite(est.predict(pd.DataFrame({"mass": [1.0], "time": [0.0]}))).all()


def test__predict__not_fitted__sklearns_error(frame):
    """As scikit-learn's estimators say it."""
    with pytest.raises(NotFittedError):
        Ratio().predict(frame)


def test__model__other_names__are_used(frame):
    """The names seen in fit, or those of a table."""
    est = Ratio().fit(frame, frame["mass"])
    assert model(est) == est.model_string() == "mass/time"
    assert model(est, frame.set_axis(["a", "b"], axis=1)) == "a/b"


def test__fit__text_column__message_names_it(frame):
    """What scikit-learn refuses is said with the name of the column."""
    with pytest.raises(ValueError, match="not numbers: unit"):
        Ratio().fit(frame.assign(unit="kg"), frame["mass"])


def test__html__fitted__has_the_formula(frame):
    """The box shows the formula below the parameters."""
    est = Ratio()
    assert "mass/time" not in est._repr_html_()
    assert "mass/time" in est.fit(frame, frame["mass"])._repr_html_()


@pytest.mark.parametrize("home", sorted(set(OURS)))
def test__estimators__parameters__stand_beside_those_of_their_bases(home):
    """No class removes a parameter that a base has a constraint for, all but two by keyword."""
    cls = type(methods._load(home)())
    given = cls().get_params(deep=False)
    assert set(cls._parameter_constraints) == set(given)
    for base in cls.__mro__[1:]:
        assert set(getattr(base, "_parameter_constraints", ())) <= set(given)
    signature = inspect.signature(cls.__init__).parameters.values()
    positional = [p for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) <= 3  # self and two more


@pytest.mark.parametrize(
    "labels", [[0, 1], pd.MultiIndex.from_tuples([("in", "mass"), ("in", "time")])]
)
def test__fit__labels_that_are_no_text__columns_are_numbered(frame, labels):
    """A table made of an array, or with two levels of names, is read by position."""
    table = frame.set_axis(labels, axis=1)
    est = Ratio().fit(table, frame["mass"])
    assert str(est.equation_) == "x0/x1"
    np.testing.assert_array_equal(est.predict(table), frame["mass"] / frame["time"])
    np.testing.assert_array_equal(est.equation_.predict(table), est.predict(table))


@pytest.mark.parametrize("dtype", ["Float64", "double[pyarrow]", "category", object])
def test__fit__extension_types__same_numbers(frame, dtype):
    """Pandas' nullable and Arrow numbers are numbers; a missing one is named."""
    table = frame.astype(dtype)
    est = Ratio().fit(table, frame["mass"])
    np.testing.assert_array_equal(est.predict(table), frame["mass"] / frame["time"])
    with pytest.raises(ValueError, match="missing or infinite values: time"):
        Ratio().fit(table.assign(time=table["time"].where(frame["time"] > 1.5)), frame["mass"])


def test__fit__dates__refused_by_name(frame):
    """Not taken for nanoseconds, alone or beside numbers, nor in predict."""
    days = pd.date_range("2024-05-01", periods=20)
    est = Ratio().fit(frame, frame["mass"])
    for table in (frame.assign(time=days), pd.DataFrame({"time": days})):
        with pytest.raises(ValueError, match=r"dates: time .turn them into elapsed time"):
            Ratio().fit(table, frame["mass"])
        with pytest.raises(ValueError, match="dates: time"):
            est.predict(table)


def test__pipeline__set_output_pandas__names_arrive(frame):
    """A scaler that hands on DataFrames."""
    steps = make_pipeline(MinMaxScaler((1, 2)).set_output(transform="pandas"), Ratio())
    assert steps.fit(frame, frame["mass"])[-1].model_string() == "mass/time"


def test__warn_of_little__target_that_varies__own_warning(frame):
    """A mean for an answer is said, unless the target is constant."""
    X, y = frame.to_numpy(), frame["mass"].to_numpy()
    with pytest.warns(ConstantAnswerWarning, match=r"max_time=1 s on 20 different rows and 2 col"):
        warn_of_little(1.0, prepare(X, y, None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_little(1.0, prepare(X, np.ones(20), None))
    with pytest.warns(UserWarning, match="only 7 simple formulas were tried"):
        warn_of_little(1.0, prepare(X, y, None), 7)

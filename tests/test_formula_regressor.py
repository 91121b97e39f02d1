"""What all estimators with a formula have in common."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from equate_srbench.baselines import methods
from equate_srbench.equation import Equation
from equate_srbench.expr.tree import Tree
from equate_srbench.formula_regressor import FormulaRegressor, model
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

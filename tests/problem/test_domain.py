"""Predictions where a formula is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.equation import Equation
from equate_srbench.problem.domain import Domain, UndefinedWarning
from equate_srbench.regressor import EquateRegressor

X = np.array([[1.0, 2.0], [3.0, 5.0]])
DOMAIN = Domain.of(X, np.array([1.0, 4.0]), np.array([1.0, 2.0]))


def test__predict__defined__the_formula_and_no_warning():
    """Nothing is changed where there is a value, however far out."""
    equation = Equation.from_string("log(a) + b", ["a", "b"])
    rows = np.array([[1e9, -1e9], [1.0, 2.0]])
    np.testing.assert_array_equal(DOMAIN.predict(equation, rows), equation.predict(rows))


def test__predict__undefined__columns_moved_into_the_ranges():
    """One row of three is outside; the others keep their values."""
    equation = Equation.from_string("log(a) + b", ["a", "b"])
    rows = np.array([[2.0, 0.0], [-1.0, 9.0], [3.0, 1.0]])
    with pytest.warns(UndefinedWarning, match="undefined on 1 of 3 rows, row 1 the first"):
        values = DOMAIN.predict(equation, rows)
    assert values == pytest.approx([np.log(2.0), np.log(1.0) + 5.0, np.log(3.0) + 1.0])


def test__predict__undefined_inside_too__mean_of_the_target():
    """A pole between the rows: a number all the same."""
    equation = Equation.from_string("1/(a - 2)", ["a", "b"])
    with pytest.warns(UndefinedWarning):
        assert DOMAIN.predict(equation, np.array([[2.0, 0.0]])) == pytest.approx([3.0])


def test__equate_regressor__row_outside__finite_and_told():
    """A logarithm that fits all rows is asked for a row of the other sign, among unused columns."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(1.0, 50.0, (80, 3))
    est = EquateRegressor(max_time=20, max_features=1, random_state=0)
    with pytest.warns(UserWarning, match="max_features=1"):
        est.fit(rows, np.log(rows[:, 1]))
    assert str(est.equation_) == "log(x1)"
    new = np.array([[-1.0, -1.0, -1.0], [2.0, 3.0, 4.0]])
    with pytest.warns(UndefinedWarning, match="1 of 2 rows"):
        values = est.predict(new)
    assert values == pytest.approx([np.log(rows[:, 1].min()), np.log(3.0)])
    assert not np.isfinite(est.equation_.predict(new)[0])

"""The fit of a user's table: splitting, and what is said about the formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from equate_srbench.equation import Equation
from equate_srbench.report.figures import effect_figures
from equate_srbench.report.fit import user_table
from equate_srbench.report.tables.record import FitRecord


@pytest.mark.parametrize(("n", "share", "n_test"), [(40, 0.25, 10), (19, 0.25, 0), (40, 0.0, 0)])
def test__split_rows__enough_rows__disjoint_and_in_order(n: int, share: float, n_test: int) -> None:
    """Every row is on one side, in the order of the table; small tables are not split."""
    X, y = pd.DataFrame({"x": np.arange(float(n))}), np.arange(float(n))
    train, test = user_table.split_rows(X, y, share, seed=0)
    assert len(train) == n - n_test
    assert (np.diff(train.y) > 0).all()
    if n_test:
        assert sorted([*train.y, *test.y]) == y.tolist()
        assert (test.X["x"] == test.y).all()
    else:
        assert test is None


def test__describe__record__formula_scores_and_time(make_record: Callable[..., FitRecord]) -> None:
    """The formula with all digits, R2 on both kinds of rows, and how long it took."""
    record = make_record()
    formula, quality = user_table.describe(record)
    assert formula == f"y = {record.equation}"
    assert "on the 20 fit rows and R²" in quality
    assert "1,900 candidates in 12.5 s" in quality


def test__constants__formula__least_squares_with_errors(
    make_record: Callable[..., FitRecord],
) -> None:
    """Refitted constants are close to those of the formula; no constants, no rows."""
    table = user_table.constants(make_record())
    assert table["value"].tolist() == pytest.approx(table["fitted"].tolist(), abs=1e-2)
    assert (table["error"] > 0).all()
    record = replace(make_record(), equation=Equation.from_string("x", ["x"]))
    assert user_table.constants(record).empty


def test__partial_effects__two_columns__only_those_of_the_formula(
    make_record: Callable[..., FitRecord],
) -> None:
    """One curve per column in the formula, with a band that holds the median; drawn if any."""
    record = make_record(extra=1)
    effects = user_table.partial_effects(record)
    assert list(effects) == ["x"]
    curve = effects["x"]
    assert (curve["low"] <= curve["middle"]).all()
    assert (curve["middle"] <= curve["high"]).all()
    assert len(effect_figures.partial_effects(effects, "y").axes) == 1
    assert effect_figures.partial_effects({}, "y") is None

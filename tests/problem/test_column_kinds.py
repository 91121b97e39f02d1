"""Columns that are refused by name before scikit-learn sees them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from equate_srbench.problem.column_kinds import refuse_columns

DAYS = pd.date_range("2024-05-01", periods=4)
GOOD = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5]})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (DAYS, "dates: bad"),
        (DAYS.tz_localize("UTC"), "dates: bad"),
        (DAYS - DAYS[0], "dates: bad"),
        (DAYS.to_period("D"), "dates: bad"),
        (DAYS.to_series(index=range(4)).dt.date, "dates: bad"),
        (pd.Series(DAYS).astype("timestamp[ns][pyarrow]"), "dates: bad"),
        (pd.arrays.SparseArray([0.0, 1.0, 0.0, 2.0]), "sparse columns: bad"),
        (np.array([1j, 2, 3, 4]), "complex numbers: bad"),
    ],
)
def test__refuse_columns__kind__named(column: object, kind: str) -> None:
    """Alone or beside others; dates alone would be nanoseconds without a word."""
    for frame in (GOOD.assign(bad=column), pd.DataFrame({"bad": column})):
        with pytest.raises(ValueError, match=kind):
            refuse_columns(frame)


def test__refuse_columns__arrays_and_target__refused() -> None:
    """An array of dates has no names; a target is called y."""
    with pytest.raises(ValueError, match="dates: X"):
        refuse_columns(DAYS.to_numpy().reshape(-1, 1))
    with pytest.raises(ValueError, match="dates: y"):
        refuse_columns(GOOD, pd.Series(DAYS))


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, 2, 3, 4], dtype="Int64"),
        pd.array([1.5, None, 3.5, 4.5], dtype="Float64"),
        pd.array([True, False, True, None], dtype="boolean"),
        pd.Series([1.0, 2.0, 3.0, 4.0], dtype="double[pyarrow]"),
        pd.Categorical([1.0, 2.0, 1.0, 2.0]),
        ["a", "b", "a", "b"],
        [None] * 4,
    ],
)
def test__refuse_columns__other_types__left_to_scikit_learn(column: object) -> None:
    """Numbers of any type pass; text has its own error."""
    refuse_columns(GOOD.assign(other=column), np.ones(4))


@pytest.mark.parametrize("target", [[1.0, 2.0], ["a", "b"], (1, 2), np.array(["a", "b"]), None])
def test__refuse_columns__targets_without_a_type_of_dates__left_to_scikit_learn(target):
    """A list has no dtype, and is no date for that."""
    refuse_columns([[1.0], [2.0]], target)

"""Tables of any type."""

import numpy as np
import pandas as pd
import pytest

from equate_srbench.expr.text.columns_by_name import read_table


def test__read_table__frame__by_name():
    """Order, other columns and dtypes do not matter."""
    frame = pd.DataFrame({"b": [True, False], "note": ["x", "y"], "a": [1, 2]})
    table = read_table(frame, ["a", "unused", "b"], [0, 2], named=True)
    assert table.tolist() == [[1.0, 0.0, 1.0], [2.0, 0.0, 0.0]]


def test__read_table__labels_that_are_numbers__by_their_text():
    """Column labels need not be strings."""
    assert read_table(pd.DataFrame({7: [1.5]}), ["7"], [0], named=True).tolist() == [[1.5]]


def test__read_table__default_names__by_position():
    """A formula over x_0, x_1 reads any table of enough columns in order."""
    frame = pd.DataFrame({"u": [1.0], "v": [2.0], "w": [3.0]})
    table = read_table(frame, ["x_0", "x_1"], [0, 1], named=False, wider=True)
    assert table[:, :2].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "labels", [[0, 1], pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), [1.5, None], ["u", "v"]]
)
def test__read_table__numbered_columns__labels_do_not_matter(labels):
    """Names that only number the columns are not looked for among the labels."""
    frame = pd.DataFrame([[1.0, 2.0]], columns=labels)
    assert read_table(frame, ["x0", "x1"], [1], named=False).tolist() == [[1.0, 2.0]]
    assert read_table(frame, ["x0"], [0], named=False, wider=True)[0, 0] == 1.0
    with pytest.raises(ValueError, match="2 columns, the formula expects 1"):
        read_table(frame, ["x0"], [0], named=False)


@pytest.mark.parametrize(
    ("X", "named", "reason"),
    [
        (np.ones(3), True, r"shape \(3,\)"),
        (np.ones((2, 3)), True, "3 columns, the formula expects 2"),
        (np.ones((2, 1)), False, "1 columns, the formula expects 2"),
        (pd.DataFrame({"a": [1.0]}), True, "missing from the table: b"),
        (np.array([["x", "y"]]), True, "could not convert"),
    ],
)
def test__read_table__wrong__says_what(X, named, reason):
    """Errors carry both numbers or the missing names."""
    with pytest.raises(ValueError, match=reason):
        read_table(X, ["a", "b"], [0, 1], named=named)

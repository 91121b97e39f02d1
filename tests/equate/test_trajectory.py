"""Rows of the search and what they say about it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from equate_srbench.equate.trajectory import COLUMNS, TrajectoryRow, diagnose, embeddings, to_frame
from equate_srbench.equation import Equation
from equate_srbench.expr.tree import Tree

AB = Tree.apply("mul", Tree.variable(0), Tree.variable(1))


def described(tree):
    """Text and complexity."""
    return str(Equation(tree, ["a", "b"])), tree.size


ROW = TrajectoryRow(
    start=0,
    step=1,
    rung=1.0,
    predicted_score=0.5,
    score=0.6,
    r2=0.5,
    tree=AB,
    new_skeleton=False,
    accepted=False,
    seconds=0.1,
    source="ascent",
)


def test__diagnose__one_of_two_steps_has_a_new_skeleton__flip_rate_is_half():
    """A step counts once, however many rungs flip; step 0 and other sources do not count."""
    rows = [
        ROW,
        replace(ROW, rung=2.0, new_skeleton=True),
        replace(ROW, rung=4.0, new_skeleton=True),
        replace(ROW, step=2),
        replace(ROW, step=0, new_skeleton=True),
        replace(ROW, source="backbone", step=3, new_skeleton=True),
    ]
    assert diagnose(rows).flip_rate == 0.5


def test__diagnose__undefined_proposals__lower_the_validity_rate():
    """Proposals without a value count as invalid and leave the correlation alone."""
    undefined = replace(ROW, tree=None, score=math.nan, r2=math.nan)
    rows = [
        replace(ROW, predicted_score=p, score=s)
        for p, s in ((0.1, 0.2), (0.2, 0.1), (0.3, 0.5), (0.4, 0.9))
    ]
    found = diagnose([*rows, undefined])
    assert found.validity_rate == 0.8
    assert found.n_proposals == 5
    assert found.rank_correlation == pytest.approx(0.8)


def test__diagnose__no_rows__everything_is_nan():
    """Nothing searched, nothing known."""
    found = diagnose([])
    assert math.isnan(found.flip_rate)
    assert math.isnan(found.validity_rate)
    assert math.isnan(found.rank_correlation)
    assert found.n_proposals == 0


def test__to_frame__no_rows__keeps_columns_and_types():
    """The empty table can be concatenated and plotted like any other."""
    frame = to_frame([], described)
    assert tuple(frame.columns) == COLUMNS
    assert frame.dtypes.equals(to_frame([ROW], described).dtypes)


def test__to_frame__rows__stand_in_order():
    """One line per row, all fields; each formula is described once, an undefined one is empty."""
    calls = []
    rows = [ROW, replace(ROW, step=2), replace(ROW, step=3, tree=None)]
    frame = to_frame(rows, lambda tree: calls.append(tree) or described(tree))
    assert calls == [AB]
    assert frame["step"].tolist() == [1, 2, 3]
    assert frame["equation"].tolist() == ["a*b", "a*b", ""]
    assert frame["complexity"].tolist() == [3, 3, 0]


def test__embeddings__rows_with_and_without__nan_where_there_is_none():
    """One row per row of the trajectory, whatever it came from."""
    found = embeddings([ROW, replace(ROW, embedding=np.ones(3, np.float16))])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[np.nan] * 3, [1.0] * 3])


def test__embeddings__none_at_all__width_zero():
    """A fit without ascent has no embeddings, but its rows."""
    assert embeddings([ROW, ROW]).shape == (2, 0)
    assert embeddings([]).shape == (0, 0)

"""What a report knows about a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from equate_srbench.equation import Equation
from equate_srbench.report.tables.record import FitRecord, RowSubset, by_source, milestones, score

MakeRecord = Callable[..., FitRecord]


def test__score__known_residuals__r2_rmse_largest() -> None:
    """Three rows by hand."""
    rows = RowSubset(pd.DataFrame({"x": [0.0, 1.0, 2.0]}), np.array([0.0, 1.0, 5.0]))
    scores = score(Equation.from_string("x", ["x"]), rows)
    assert scores.r2 == pytest.approx(1 - 9 / 14)
    assert scores.rmse == pytest.approx(np.sqrt(3.0))
    assert scores.largest == 3.0


def test__score__undefined_row__is_infinitely_bad() -> None:
    """A formula that is undefined on one row of the test has no good score."""
    rows = RowSubset(pd.DataFrame({"x": [-1.0, 1.0]}), np.array([0.0, 1.0]))
    scores = score(Equation.from_string("log(x)", ["x"]), rows)
    assert scores.r2 == float("-inf")
    assert scores.largest == float("inf")


def test__ranking__chosen_in_front__is_marked_once(make_record: MakeRecord) -> None:
    """One row is marked, and test scores are there."""
    record = make_record()
    table = record.ranking()
    assert table.loc[table["chosen"], "equation"].tolist() == [str(record.equation)]
    assert table["test_r2"].iloc[2] > 0.99


def test__ranking__chosen_not_in_front__is_added(make_record: MakeRecord) -> None:
    """A choice that the front lacks is shown among the others, in order of size."""
    record = make_record()
    chosen = Equation.from_string("2*x + sin(0.3)", ["x"])
    table = replace(record, equation=chosen).ranking()
    assert len(table) == len(record.front) + 1
    assert table.loc[table["chosen"], "equation"].tolist() == [str(chosen)]
    assert table["complexity"].is_monotonic_increasing


def test__ranking__no_test_rows__no_test_column(make_record: MakeRecord) -> None:
    """Without test rows nothing claims a test score."""
    assert "test_r2" not in make_record(test=False).ranking()


def test__milestones__any_order_of_rows__strictly_better_over_time(make_record: MakeRecord) -> None:
    """Each milestone beats all before it."""
    record = make_record()
    shuffled = replace(record, candidates=record.candidates.sample(frac=1.0, random_state=0))
    found = milestones(shuffled)
    assert found["loss"].is_monotonic_decreasing
    assert found["loss"].is_unique
    assert found["seconds"].is_monotonic_increasing
    assert found["loss"].iloc[-1] == record.candidates["loss"].min()


def test__by_source__counts__come_from_the_search(make_record: MakeRecord) -> None:
    """Tried formulas are counted by the search where it counts, else by the kept candidates."""
    record = make_record()
    table = by_source(record).set_index("source")
    assert table.loc["backbone", "tried"] == 700
    assert table.loc["ascent", "tried"] == (record.candidates["source"] == "ascent").sum()
    assert table["on_front"].sum() == len(record.front)
    assert table["records"].sum() == len(milestones(record))

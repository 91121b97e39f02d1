"""From rows to tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.bench.rows import RowStore, failure_row, make_row
from equate_srbench.bench.task import Task
from equate_srbench.report.tables import compare
from tests.report.made_up import fill


def test__summary__failures_count_as_wrong(block):
    """Shares are over all fits, also those without a result; undecided is no verdict."""
    table = compare.summary(block)
    assert list(table.index) == ["equate", "e2e", "itea"]
    assert table.loc["equate", ["r2_99", "r2_999", "exact", "solved"]].tolist() == [1, 1, 1, 1]
    assert table.loc["itea", "failed"] == 1
    assert table.loc["itea", "fits"] == 8
    assert table.loc["itea", "r2_99"] == 0.0
    assert table.loc["equate", "undecided"] == 1
    assert 0.0 < table.loc["e2e", "r2_99"] < 1.0
    assert (
        table.loc["e2e", "r2_99_low"] < table.loc["e2e", "r2_99"] < table.loc["e2e", "r2_99_high"]
    )


def test__summary__recovered__failures_count_and_old_rows_do_not(tmp_path):
    """A fit without a result has not recovered; a row without a verdict is no vote."""
    store = RowStore(tmp_path)
    verdicts = {"a": (True, True), "b": (True, False), "c": (False, False), "d": (None, None)}
    for name, (recovered, short) in verdicts.items():
        store.write(
            make_row(
                Task("classic", name, "equate"), status="ok", total_seconds=1.0, r2_test=1.0 - 1e-7,
                model="x", recovered=recovered, short=short,
            )
        )  # fmt: skip
    store.write(failure_row(Task("classic", "e", "equate"), "crash", "died", 1.0))
    line = compare.summary(compare.blocks(store.frame())[0]).loc["equate"]
    assert line[["recovered", "short"]].tolist() == [0.5, 0.25]
    assert line["recovered_low"] < 0.5 < line["recovered_high"]
    assert (line["exact"], line["single"]) == (0.0, 0.8)


def test__summary__no_law__no_share(block):
    """Rows without any verdict, also of runs before there was one, show a dash."""
    frame = block.rows.drop(columns=["recovered", "short"])
    for rows in (block.rows, frame):
        (again,) = compare.blocks(rows)
        table = compare.summary(again)
        assert table[["recovered", "short", "recovered_low"]].isna().all(axis=None)
        assert "| - | - |" in compare.to_markdown(table)


def test__summary__more_failures_than_results__median_says_so(tmp_path):
    """A method that mostly fails has no median R2 worth a number."""
    store = RowStore(tmp_path)
    for i in range(3):
        store.write(failure_row(Task("strogatz", f"s{i}", "itea"), "crash", "died", 1.0))
    table = compare.summary(compare.blocks(store.frame())[0])
    assert table.loc["itea", "r2"] == -np.inf
    assert "| - |" in compare.to_markdown(table)


def test__blocks__a_fit_is_missing__its_data_set_is_left_out_for_all(tmp_path):
    """Methods are compared on what all of them were run on."""
    fill(RowStore(tmp_path), skip="e2e/3")
    (block,) = compare.blocks(RowStore(tmp_path).frame())
    assert (block.pairs, block.left_out) == (7, 2)
    assert "set_3" not in set(block.rows["dataset"])


def test__interval__mean_of_many__covers_it():
    """A percentile interval around the mean; none where nothing varies."""
    values = np.random.default_rng(1).random(200)
    low, high = compare.interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(4 * values.std() / np.sqrt(200), rel=0.15)
    assert np.isnan(compare.interval(np.ones(5))).all()

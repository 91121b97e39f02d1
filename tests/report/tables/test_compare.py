"""From rows to tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.bench.rows import RowStore, failure_row
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

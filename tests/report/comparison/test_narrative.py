"""A comparison in sentences."""

from __future__ import annotations

import pandas as pd
import pytest

from equate_srbench.report.comparison import narrative
from equate_srbench.report.tables.compare import Block
from equate_srbench.srbench.findings import Finding

ROW = {
    "status": "ok", "r2_train": 0.9, "r2_test": 0.9, "max_time": 10.0, "fit_seconds": 10.0,
    "trace": "[[0.1, 0.2], [5.0, 0.9]]",
}  # fmt: skip


def test__headline__equate_leads__named_with_its_rivals(block: Block) -> None:
    """Share, sizes and times of all methods; nothing is lost."""
    accuracy, size, lost = narrative.headline(block)
    assert "EQUATE reaches test R² > .99 on 100.0 %" in accuracy
    assert "the 8 data sets" in accuracy
    assert "E2E" in size
    assert "No other method is more accurate" in lost


def test__losses__another_method_leads__gap_and_reason(block: Block) -> None:
    """The data set is listed with the best method, and the sentence counts it."""
    rows = block.rows.copy()
    worse = (rows["method"] == "equate") & (rows["dataset"] == "set_3")
    rows.loc[worse, ["accuracy", "r2_test"]] = 0.2
    block = Block(block.suite, block.noise, rows, block.pairs, block.left_out)
    table = narrative.losses(block)
    assert table["dataset"].tolist() == ["set_3"]
    assert table["method"].tolist() == ["e2e"]
    assert "It loses on 1 of 8 data sets: on 1 it overfits" in narrative.headline(block)[2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "timeout"}, "gave no result (timeout)"),
        ({"r2_train": 1.0}, "overfits"),
        ({"r2_train": 0.9999, "r2_test": 0.9999}, "is almost exact"),
        ({"trace": None}, "is less accurate"),
        ({"trace": "[[9.0, 0.9]]"}, "was still improving"),
        ({"trace": "[[1.0, 0.9]]"}, "found no improvement"),
        ({}, "stagnated"),
    ],
)
def test__reason__row__classified(values: dict[str, object], reason: str) -> None:
    """Status first, then accuracy on both kinds of rows, then the last improvement."""
    assert narrative.reason(pd.Series(ROW | values)).startswith(reason)


def test__contract__failed_and_undecided__counted() -> None:
    """Failures are named; otherwise open decisions are counted."""
    passed, failed = Finding("a", True, ""), Finding("b", False, "")
    assert "1 of 2 contract checks fail: b." in narrative.contract([passed, failed])
    assert "passes 1 of 2" in narrative.contract([passed, Finding("c", None, "")])

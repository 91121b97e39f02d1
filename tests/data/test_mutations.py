"""Damaged files are read or refused in one line; nothing is lost without a word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.data.dialects import DIALECTS, EXCEL
from tests.data.mutations import outcome


@pytest.mark.parametrize("name", DIALECTS)
def test__load_table__damaged__one_line_or_all_accounted_for(tmp_path: Path, name: str) -> None:
    """Ten damaged files of each dialect."""
    for seed in range(10):
        assert not outcome(DIALECTS[name], tmp_path, seed).faults


def test__load_table__damaged_workbook__one_line(tmp_path: Path) -> None:
    """Whatever openpyxl and the ZIP archive say about it."""
    pytest.importorskip("openpyxl")
    for seed in range(40):
        assert not outcome(EXCEL, tmp_path, seed).faults


@pytest.mark.slow
@pytest.mark.parametrize("name", DIALECTS)
def test__load_table__10_000_damaged__one_line_or_all_accounted_for(
    tmp_path: Path, name: str
) -> None:
    """As above, with 10,000 files in all; both ends are reached."""
    found = [outcome(DIALECTS[name], tmp_path, seed) for seed in range(1000, 1230)]
    assert not [fault for one in found for fault in one.faults]
    assert Counter(one.kind for one in found)["refused"]

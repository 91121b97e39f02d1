"""Facts of a table: kinds, ranges, decimals, outliers, and what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.data.table import Table
from equate_srbench.report.tables.table_facts import BARS, ColumnFacts, facts_of, picture

N = 24
FRAME = pd.DataFrame(
    {
        "count": np.arange(N),
        "size": np.round(np.linspace(1.0, 2.0, N) ** 3, 2),
        "always": 7.0,
        "ok": [True, False] * (N // 2),
        "day": pd.date_range("2024-05-01", periods=N),
        "who": ["p", "q", "q"] * (N // 3),
        "id": [f"id{i}" for i in range(N)],
        "mixed": [1.5, "bad", *range(N - 2)],
        "gap": [np.nan, *np.linspace(0.0, 1.0, N - 1)],
        "coded": [*np.linspace(0.0, 1.0, N - 1), -9999.0],
        "turn": 1j * np.arange(N),
        "lists": [[i] for i in range(N)],
        "far": [*np.linspace(0.0, 1.0, N - 1), 40.0],
    }
).assign(cm=lambda frame: 100.0 * frame["size"])


@pytest.fixture
def columns() -> dict[str, ColumnFacts]:
    """By name."""
    facts = facts_of(Table(FRAME, units={"size": "m"}, places=np.arange(2, N + 2), place="line"))
    return {column.name: column for column in facts.columns}


@pytest.mark.parametrize(
    ("name", "kind", "advice"),
    [
        ("count", "whole", "counts the rows"),
        ("size", "numbers", None),
        ("always", "constant", "tells nothing"),
        ("ok", "true/false", None),
        ("day", "dates", "--dates days"),
        ("who", "categories", "'p', 'q': encode them"),
        ("id", "text", "left out"),
        ("mixed", "mixed", "1 cell not a number, as 'bad' in line 3"),
        ("turn", "complex", "as two columns"),
        ("lists", "text", "left out"),
        ("gap", "numbers", "1 empty cell, first in line 2"),
        ("coded", "numbers", "-9999 in 1 row, first in line 25"),
        ("far", "numbers", "1 value far from the others, as 40 in line 25"),
    ],
)
def test__facts_of__column__kind_and_what_to_do(
    columns: dict[str, ColumnFacts], name: str, kind: str, advice: str | None
) -> None:
    """Each kind of trouble is named once, with its line."""
    assert columns[name].kind == kind
    said = " / ".join(columns[name].advice)
    assert advice in said if advice else not said


def test__facts_of__numbers__range_decimals_unit(columns: dict[str, ColumnFacts]) -> None:
    """What the column's cells say."""
    size = columns["size"]
    assert (size.low, size.high, size.decimals, size.unit) == (1.0, 8.0, 2, "m")
    assert columns["gap"].missing == 1
    assert columns["gap"].decimals is None
    assert columns["far"].outliers == 1
    assert columns["who"].low is None


def test__facts_of__rows_and_pairs__duplicates_and_units() -> None:
    """Equal rows, and two columns that are one in two units."""
    frame = FRAME[["size", "cm", "far"]]
    facts = facts_of(Table(pd.concat([frame, frame.iloc[:2]], ignore_index=True)))
    assert facts.duplicates == 2
    assert facts.correlations[0][:2] == ("size", "cm")
    assert facts.correlations[0][2] == pytest.approx(1.0)
    said = " / ".join(facts.advice)
    assert "2 rows repeat an earlier one" in said
    assert "'size' and 'cm' say the same in two units" in said


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 20))
def test__picture__any_numbers__one_bar_a_bin(values: list[float], bins: int) -> None:
    """Of full height somewhere, whatever the size of the numbers."""
    bars = picture(np.array(values), bins)
    assert len(bars) == bins
    assert BARS[-1] in bars

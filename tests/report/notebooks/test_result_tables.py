"""Tables of results in notebooks."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from equate_srbench.report.comparison import narrative
from equate_srbench.report.notebooks import result_tables
from equate_srbench.report.tables import distillation, sweep
from equate_srbench.report.tables.compare import Block
from equate_srbench.report.tables.record import FitRecord
from equate_srbench.srbench.findings import Finding
from tests.report.made_up import sweep_rows

HOSTILE = "<img src=x>"


@pytest.mark.parametrize("made", ["sweep", "fits"])
def test__sweep_tables__a_word_among_the_values__is_shown(made: str) -> None:
    """Tables of a page have the word as it is."""
    rows = sweep_rows([1.0, "auto", 0.0])
    table = (
        result_tables.sweep(sweep.by_setting(rows, "lam"), "lambda")
        if made == "sweep"
        else result_tables.fits(rows, setting="lam")
    )
    assert ">auto<" in str(table.data["text/html"])


def test__teachers__foreign_name__escaped(students: pd.DataFrame) -> None:
    """Names are text."""
    table = distillation.by_dataset(students.assign(dataset=HOSTILE))
    assert "<img" not in result_tables.teachers(table).data["text/html"]


def test__teachers__no_pair__said(students: pd.DataFrame) -> None:
    """A run without plain teachers is said to have nothing to compare."""
    some = distillation.by_dataset(students[students["variant"] == "chosen"])
    assert "No data set" in result_tables.teachers(some).data["text/html"]


def test__benchmark_tables__block__methods_failures_losses(block: Block) -> None:
    """Each table has its rows, errors as text."""
    assert "EQUATE" in result_tables.methods(block).data["text/html"]
    assert "over &lt;b&gt;10" in result_tables.failures(block).data["text/html"]
    assert (
        "None: no other"
        in result_tables.losses(narrative.losses(block), "equate").data["text/plain"]
    )


def test__fit_tables__record__selected_row_and_provenance(
    make_record: Callable[..., FitRecord],
) -> None:
    """The selected formula is marked once, and the settings are listed."""
    record = make_record()
    assert result_tables.front(record).data["text/html"].count('class="chosen"') == 1
    assert "backbone" in result_tables.sources(record).data["text/plain"]
    assert "preset: default" in result_tables.fit_provenance(record).data["text/plain"]
    assert "no constants" in result_tables.constants(pd.DataFrame()).data["text/plain"]


def test__findings__foreign_detail__escaped() -> None:
    """Results are words, details are text."""
    table = result_tables.findings([Finding("files", False, HOSTILE), Finding("x", None, "")])
    assert "FAIL" in table.data["text/html"]
    assert "to decide" in table.data["text/html"]
    assert HOSTILE not in table.data["text/html"]

"""The study of recovery: which fits it asks for, and the page it makes of their rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from equate_srbench.bench.rows import RowStore, failure_row, make_row
from equate_srbench.bench.task import Task

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


def study(name: str):
    """A script of ``studies`` as a module."""
    if not (ROOT / "studies").is_dir():
        pytest.skip("an installed package has no studies beside it")
    spec = importlib.util.spec_from_file_location(f"study_{name}", ROOT / "studies" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test__parts__tables_and_noise__laws_only():
    """Every suite and budget once without noise; noise where there is a law; rivals sparser."""
    calls = study("recovery").parts(
        ["classic", "firstprinciples"], ["2", "10"], ["0", ".1"], "e2e", 3
    )
    asked = [tuple(call[i] for i in (0, 2, 4, 6, 8)) for call in calls]
    assert len(asked) == len(set(asked)) == 12
    assert {suite for suite, noise, *_ in asked if noise == ".1"} == {"classic"}
    assert {(method, every) for *_, method, every in asked} == {("equate", "3"), ("e2e", "12")}


def test__publish__rows_of_two_budgets__page_with_intervals_and_published_rows(tmp_path):
    """Shares with intervals per suite and budget, rivals on common sets, published rows."""
    store = RowStore(tmp_path / "run")
    for i in range(8):
        for budget in (2.0, 10.0):
            task = Task("fastsrb", f"set_{i}", "equate", max_time=budget)
            good = i < (6 if budget == 10.0 else 4)
            store.write(
                make_row(
                    task, status="ok", total_seconds=3.0, fit_seconds=budget, complexity=9,
                    r2_test=1.0 if good else 0.99, model="x", recovered=good, short=i == 0,
                )
            )  # fmt: skip
    rival = Task("fastsrb", "set_0", "itea", max_time=10.0)
    store.write(failure_row(rival, "timeout", "slow", 9.0))
    study("recovery").publish([tmp_path / "run"], tmp_path / "results")
    page = (tmp_path / "results" / "recovery.md").read_text(encoding="utf-8")
    assert (tmp_path / "results" / "recovery_rows.parquet").exists()
    lines = {tuple(line.split(" | ")[:2]): line for line in page.splitlines()}
    assert "| 75.0 (" in lines[("| fastsrb", "10")]
    assert "| 50.0 (" in lines[("| fastsrb", "2")]
    assert "### fastsrb, without noise, 10 s: 1 set\n" in page
    assert "| ITEA | 1 (1) | 0.0 | 0.0 |" in page
    assert "flash-ansr 120M" in page
    assert str(tmp_path) not in page


def test__suite_definitions__shared_tables__what_the_package_has():
    """The definitions in the package are those that the script makes of the tables."""
    if not (SHARED / "suites").is_dir():
        pytest.skip("no ../shared/data/suites beside the checkout")
    module = study("suite_definitions")
    for suite in module.DRAWN:
        table = module.pd.read_csv(
            SHARED / "suites" / f"{suite}.csv", dtype={"name": str}, keep_default_na=False
        )
        made = module.text(module.of_formulas(table))
        assert made == (module.DEFINITIONS / f"{suite}.json").read_text(encoding="utf-8")
    npz = SHARED / "suites" / "first-principles.npz"
    made = module.text(module.of_tables(npz, SHARED / "firstprinciples"))
    assert made == (module.DEFINITIONS / "firstprinciples.json").read_text(encoding="utf-8")


def test__suite_definitions__unknown_distribution__refused():
    """A distribution that the package cannot draw does not get into it unnoticed."""
    module = study("suite_definitions")
    with pytest.raises(ValueError, match="the package knows no normal"):
        module._range({"name": "x0", "low": 0, "high": 1, "normal": [0, 1]})


def test__into_readme__made_again__only_what_is_between_the_marks_changes():
    """Text around the marks stays, also that of other tables that end alike."""
    made = study("recovery")
    text = f"a\n{made.MARKS[0]}old\n{made.MARKS[1]}\nb\n<!-- other -->\nc\n{made.MARKS[1]}\n"
    new = made.into_readme(text, "new\n")
    assert new == text.replace("old\n", "new\n")
    assert made.into_readme(new, "new\n") == new
    assert made.MARKS[0] in (ROOT / "README.md").read_text(encoding="utf-8")

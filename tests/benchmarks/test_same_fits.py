"""``benchmarks/same_fits.py``: which fits it makes, and what it calls the same."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "same_fits.py"
FOUND: dict[str, Any] = {
    "table": "0ff1ce",
    "equation": "2.5*x0 + 1",
    "candidates": [
        ["edit", 5, 0.25, 0.75, 0.8, "2.5*x0 + 1"],
        ["backbone", 1, 1.0, 0.0, 0.1, "3"],
    ],
    "trajectory": [
        ["ascent", 0, 1, 0.5, 0.7, 0.8, 0.75, 5, "2.5*x0 + 1"],
        ["ascent", 0, 1, 1.0, 0.6, float("nan"), float("nan"), 0, ""],
    ],
}


@pytest.fixture
def same_fits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    if not SCRIPT.is_file():
        pytest.skip("an installed package has no benchmarks beside it")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import same_fits

    return same_fits


@pytest.fixture
def no_data(tmp_path: Path) -> Path:
    """A folder that has the reader of the shared data, and nothing to read."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "load.py").write_text("", encoding="utf-8")
    return folder


def test__fits__all__24_tables_with_two_seeds(same_fits: ModuleType) -> None:
    """6, 4 and 6 sets of three suites, and 8 laws; one wide, one weighted, one as published."""
    fits = same_fits.fits()
    names = [name.partition("_")[0] for name in dict.fromkeys(fit.name for fit in fits)]
    counts = {name: names.count(name) for name in names}
    assert counts == {"feynman": 6, "strogatz": 4, "blackbox": 6, "drawn": 8}
    assert len({fit.key for fit in fits}) == len(fits) == 48
    assert sum(fit.weighted for fit in fits) == sum(fit.n_columns == 12 for fit in fits) == 2
    assert sum(fit.options.get("preset") == "paper" for fit in fits) == 2


def test__drawn__seeds__other_rows_of_the_same_law(same_fits: ModuleType, no_data: Path) -> None:
    """A fit's rows are the same each time; all of them are finite."""
    for fit in [fit for fit in same_fits.fits() if fit.n_columns]:
        X, y, weights = fit.table(no_data)
        again, y_again, _ = fit.table(no_data)
        assert X.equals(again)
        np.testing.assert_array_equal(y, y_again)
        assert X.shape == (200, fit.n_columns)
        assert np.isfinite(y).all()
        assert np.ptp(y) > 0
        assert (weights is not None) == fit.weighted


def test__count__formulas__seconds_pass_with_them(same_fits: ModuleType) -> None:
    """Looking at the clock takes no time; looking for ever is an error."""
    count = same_fits.Count()
    assert count() == count() == 0.0
    count.advance(1000)
    assert count() == pytest.approx(0.3)
    with pytest.raises(RuntimeError, match="would never end"):
        sum(count() for _ in range(same_fits.MOST_READS + 1))


@pytest.mark.parametrize("name", ["Deadline", "Refiner", "simplify"])
def test__places__this_package__has_all_of_them(
    same_fits: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What the script replaces is where it looks; elsewhere it says what to do."""
    assert same_fits.found(name).__name__ == name
    monkeypatch.setitem(same_fits.PLACES, name, ("equate_srbench.nowhere",))
    with pytest.raises(SystemExit, match="add its new place to PLACES"):
        same_fits.found(name)


def test__difference__same_rows_in_another_order__none(same_fits: ModuleType) -> None:
    """Candidates of a batch have no order among themselves, and NaN is NaN."""
    other = copy.deepcopy(FOUND)
    other["candidates"].reverse()
    assert same_fits.difference(FOUND, other) is None


@pytest.mark.parametrize(
    ("part", "row", "column", "value", "said"),
    [
        ("candidates", 0, 2, 0.25000000000000006, "candidates: loss 0.25 -> 0.25000000000000006"),
        ("candidates", 0, 1, 6, "candidates: complexity 5 -> 6"),
        ("candidates", 0, 5, "2.6*x0 + 1", "candidates: equation 2.5*x0 + 1 -> 2.6*x0 + 1"),
        ("trajectory", 0, 4, 0.71, "trajectory: predicted_score 0.7 -> 0.71"),
        ("trajectory", 1, 5, 0.1, "trajectory: score nan -> 0.1"),
    ],
)
def test__difference__one_value__is_said(
    same_fits: ModuleType, part: str, row: int, column: int, value: object, said: str
) -> None:
    """Any value of any row counts, to the last bit."""
    other = copy.deepcopy(FOUND)
    other[part][row][column] = value
    assert (same_fits.difference(FOUND, other) or "").startswith(said)


def test__difference__rows_or_answer_or_table__is_said(same_fits: ModuleType) -> None:
    """A candidate more, another answer, and another table."""
    longer = copy.deepcopy(FOUND)
    longer["candidates"].append(["edit", 9, 2.0, -1.0, 0.0, "x1**x1**x1"])
    assert same_fits.difference(FOUND, longer) == "candidates: 2 -> 3"
    assert same_fits.difference(FOUND, {**FOUND, "equation": "3"}) == "equation_: 2.5*x0 + 1 -> 3"
    assert same_fits.difference(FOUND, {**FOUND, "table": "f00d"}) == "the tables differ"


def test__difference__constants__only_numbers_may_differ(same_fits: ModuleType) -> None:
    """With a tolerance numbers may move, skeletons, names and counts may not."""
    other = copy.deepcopy(FOUND)
    other["candidates"][0][2:] = [0.25 + 1e-12, 0.75, 0.8, "2.5000000000001*x0 + 1"]
    assert same_fits.difference(FOUND, other) is not None
    assert same_fits.difference(FOUND, other, 1e-9) is None
    assert same_fits.moved(FOUND, other, 1e-9) == 0
    assert same_fits.difference(FOUND, other, 1e-14) is not None
    for equation in ("2.5*x1 + 1", "2.5*x0 - 1", "2.5*x0 + 1 + 0"):
        assert not same_fits.same("2.5*x0 + 1", equation, 1e-9)
    assert not same_fits.same(5, 6, 1.0)


def test__moved__constants_at_equal_loss__are_counted(
    same_fits: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Constants that the rows do not determine are told apart from equal ones."""
    other = copy.deepcopy(FOUND)
    other["candidates"][0][5] = "2.7*x0 + 1"
    assert same_fits.moved(FOUND, other, 1e-9) == 1
    assert same_fits.report({"a": FOUND}, {"a": other}, ["a"], 1e-9) == 0
    assert "undetermined constants of 1 candidates" in capsys.readouterr().out
    assert same_fits.report({"a": FOUND}, {"a": other}, ["a"], 0.0) == 1


def test__difference__loss_of_an_exact_formula__counts_in_units_of_the_worst(
    same_fits: ModuleType,
) -> None:
    """Rounding is not compared with rounding: 1e-31 and 1e-30 are both nothing."""
    one, other = copy.deepcopy(FOUND), copy.deepcopy(FOUND)
    one["candidates"][0][2], other["candidates"][0][2] = 1e-31, 1e-30
    assert same_fits.difference(one, other, 1e-9) is None
    assert same_fits.difference(one, other) is not None


def test__skeleton__names__keep_their_digits(same_fits: ModuleType) -> None:
    """Numbers only, also in scientific notation."""
    assert same_fits.skeleton("1.5e-07*x_12**2 + v3") == "#*x_12**# + v3"


def test__report__differences_and_failures__exit_code_1(
    same_fits: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each fit and a summary; a fit that failed is never equal."""
    other = {**FOUND, "equation": "3"}
    assert same_fits.report({"a": FOUND}, {"a": FOUND}, ["a"], 0.0) == 0
    assert same_fits.report({"a": FOUND, "b": FOUND}, {"a": other}, ["a", "b"], 0.0) == 1
    said = capsys.readouterr().out
    assert "1 of 1 fits equal (2 candidates, bit for bit)" in said
    assert "failed after" in said
    assert "0 of 2 fits equal" in said


def test__main__no_shared_data__says_so(tmp_path: Path) -> None:
    """Nothing is compared, which is not success."""
    if not SCRIPT.is_file():
        pytest.skip("an installed package has no benchmarks beside it")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "nothing compared: no shared data in" in run.stderr


@pytest.mark.slow
def test__main__a_folder_with_itself__equal(no_data: Path) -> None:
    """A fit in two child processes finds the same, whatever the machine does meanwhile."""
    if not SCRIPT.is_file():
        pytest.skip("an installed package has no benchmarks beside it")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--before", str(ROOT), "--after", str(ROOT),
         "--only", "drawn_4-1", "--data", str(no_data)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "1 of 1 fits equal" in run.stdout

"""``equate fit`` as a user meets it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from equate_srbench.cli.main import app
from equate_srbench.equation import Equation

Equate = Callable[..., Result]
FILES = {"equation.json", "front.csv", "candidates.csv", "trajectory.csv", "report.html"}
EQUATE = (sys.executable, "-c", "from equate_srbench.cli.main import main; main()")


def test__fit__shipped_table__formula_and_report(equate: Equate, here: Path) -> None:
    """The first thing a newcomer does: Kepler's third law in seconds."""
    run = equate("fit", "kepler", "--target", "period", "--max-time", "10")
    assert run.exit_code == 0, run.output
    assert "left out, not numbers: 'planet'" in run.stderr
    assert "too few to hold out a test set" in run.stderr
    folder = here / "equate-kepler"
    assert {p.name for p in folder.iterdir()} == FILES
    equation = Equation.from_json((folder / "equation.json").read_text(encoding="utf-8"))
    assert f"period = {equation}" in run.stdout
    np.testing.assert_allclose(equation.predict([[4.0], [9.0]]), [8.0, 27.0], rtol=5e-3)


def test__fit__file_with_options__test_rows_and_folder(equate: Equate, here: Path) -> None:
    """A packed TSV with awkward names, chosen features, and a folder of one's own."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.uniform(1, 3, (40, 3)), columns=["lambda", "x 1", "noise"])
    frame["E"] = 2.0 * frame["lambda"] * frame["x 1"]
    frame.to_csv(here / "t.tsv.gz", sep="\t", index=False)
    run = equate(
        "fit", "t.tsv.gz", "--target", "E", "--features", "lambda,x 1", "--max-time", "20",
        "--test-size", ".2", "--seed", "5", "--out", "runs/one",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "(32 rows)" in run.stdout
    assert "(8 rows)" in run.stdout
    front = pd.read_csv(here / "runs" / "one" / "front.csv")
    assert front.loc[front["chosen"], "test_r2"].item() > 0.9999


def test__fit__standard_input_as_in_german__read_and_said(here: Path) -> None:
    """A pipe, decimal commas, units, and rows without a target."""
    rows = [f"{x},5;{2 * x + 1},0" for x in range(1, 25)]
    text = "\n".join(["weg;kraft", "m;N", *rows, "7,5;", ""])
    words = ["fit", "-", "--target", "kraft", "--preset", "fast", "--max-time", "2"]
    run = CliRunner().invoke(app, words, input=text)
    assert run.exit_code == 0, run.output
    assert (
        "semicolon-separated, a row of units, decimal comma, weg in m, kraft in N, 2 columns, "
        "25 rows, 1 row left out: no kraft"
    ) in run.stderr
    assert (here / "equate-stdin" / "report.html").exists()


def test__fit__many_columns__says_which_were_kept(equate: Equate, here: Path) -> None:
    """The estimator's warning arrives as a plain line."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(30, 13)), columns=[f"c{i}" for i in range(13)])
    frame.to_csv(here / "t.csv", index=False)
    run = equate("fit", "t.csv", "--target", "c0", "--preset", "fast", "--max-time", ".3")
    assert run.exit_code == 0, run.output
    assert "12 columns" in run.stderr
    assert "UserWarning" not in run.stderr


def test__fit__teacher__verdict_on_the_screen(equate: Equate, here: Path) -> None:
    """Whether the teacher was used is said, and why."""
    words = ["--target", "period", "--preset", "fast", "--max-time", "1", "--test-size", "0"]
    run = equate("fit", "kepler", *words, "--teacher", "auto")
    assert run.exit_code == 0, run.output
    assert "teacher not used: 6 rows: a teacher needs 40 to 1000" in " ".join(run.stderr.split())


def test__fit__lam_auto__report_names_the_value(equate: Equate, here: Path) -> None:
    """The record of a fit says what was asked for and what came of it."""
    words = ["--target", "period", "--preset", "fast", "--max-time", "1", "--test-size", "0"]
    run = equate("fit", "kepler", *words, "--lam", "auto")
    assert run.exit_code == 0, run.output
    page = (here / "equate-kepler" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"auto: [\d.e-]+", page)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no table is given"),
        (["nothing.csv", "--target", "y"], "no file 'nothing.csv'"),
        (["keplar", "--target", "y"], "did you mean 'kepler'?"),
        (["planets.csv"], "Give target, one of 'distance', 'period'"),
        (["kepler", "--target", "perid"], "did you mean 'period'?"),
        (["kepler", "--target", "planet"], "'planet' holds 'Mercury' in line 2"),
        (["kepler", "--target", "period", "--features", "planet"], "'planet' holds 'Mercury'"),
        (["kepler", "--target", "period", "--preset", "quick"], "unknown preset 'quick'"),
        (["kepler", "--target", "period", "--device", "tpu"], "unknown device 'tpu'"),
        (["kepler", "--target", "period", "--teacher", "aut"], "did you mean 'auto'?"),
        (["kepler", "--target", "period", "--lam", "aut"], "--lam 'aut': give a number"),
        (["kepler", "--target", "period", "--lam", "-1"], "--lam '-1': give a number of at least"),
        (["kepler", "--target", "period", "--max-time", "0"], "--max-time 0"),
        (["kepler", "--target", "period", "--max-time", "nan"], "--max-time nan"),
        (["kepler", "--target", "period", "--test-size", "1"], "--test-size 1"),
        (["kepler", "--target", "period", "--seed", "-1"], "--seed -1"),
        (["kepler", "--target", "period", "--out", "taken"], "'taken' is a file"),
        (["kepler", "--target", "period", "--out", "taken/x"], "'taken/x' would be below it"),
    ],
)
def test__fit__user_error__one_line_and_code_2(
    equate: Equate, here: Path, words: list[str], message: str
) -> None:
    """What a user can mend is said in one line, before anything is searched or written."""
    (here / "taken").touch()
    (here / "planets.csv").write_text("distance,period\n1,1\n")
    run = equate("fit", *words)
    assert run.exit_code == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert not run.stdout
    assert sorted(p.name for p in here.iterdir()) == ["planets.csv", "taken"]


def test__fit__empty_table__one_line_and_code_2(equate: Equate, here: Path) -> None:
    """A table without rows is named."""
    (here / "t.csv").write_text("a,y\n")
    run = equate("fit", "t.csv", "--target", "y")
    assert (run.exit_code, run.stderr) == (2, "equate: cannot read 't.csv': it has no rows\n")


def test__fit__folder_cannot_be_written__result_shown_first(equate: Equate, here: Path) -> None:
    """A long search is not lost: the formula is on the screen before the error."""
    (here / "run" / "equation.json").mkdir(parents=True)
    run = equate("fit", "kepler", "--preset", "fast", "--out", "run")
    assert run.exit_code == 2
    assert "period = " in run.stdout
    assert "equation.json" in run.stderr.splitlines()[-1]


def test__fit__list_tables__names_all(equate: Equate) -> None:
    """Shipped tables can be found from the command line."""
    run = equate("fit", "--list-tables")
    assert run.exit_code == 0
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["kepler", "hubble", "steam"]


def test__fit__same_seed__same_files(equate: Equate, here: Path) -> None:
    """A seed fixes the split and the search."""
    for out in ("one", "two"):
        run = equate("fit", "hubble", "--target", "velocity", "--seed", "1", "--out", out)
        assert run.exit_code == 0, run.output
    one, two = ((here / out / "equation.json").read_bytes() for out in ("one", "two"))
    assert one == two


def test__fit__ctrl_c__keeps_the_best_so_far(tmp_path: Path) -> None:
    """An interrupt ends the search, and the report is written all the same."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 4)), columns=list("abcd")).assign(
        y=rng.normal(size=400)
    )
    frame.to_csv(tmp_path / "noise.csv", index=False)
    with subprocess.Popen(
        [*EQUATE, "fit", "noise.csv", "--target", "y", "--max-time", "240"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stderr is not None
        assert run.stderr.readline() == "comma-separated, 5 columns, 400 rows\n"
        assert "formulas" in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        stdout, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "y = " in stdout
    assert "formulas tried, stopped by the user" in stdout
    report = (tmp_path / "equate-noise" / "report.html").read_text(encoding="utf-8")
    assert "stopped by the user" in report

"""``equate peek`` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from equate_srbench.data import SHIPPED

Equate = Callable[..., Result]


@pytest.mark.parametrize("name", SHIPPED)
def test__peek__bundled_table__every_column(equate: Equate, name: str) -> None:
    """A line for each column, with its histogram."""
    run = equate("peek", name)
    assert run.exit_code == 0, run.output
    assert "comma-separated" in run.stdout
    assert SHIPPED[name].target in run.stdout
    assert "█" in run.stdout


def test__peek__table_with_troubles__each_said(equate: Equate, here: Path) -> None:
    """What was understood, what was left out, and what to do."""
    rows = [f"{i};2024-05-0{i};{i},5;{'a' if i % 2 else 'b'};" for i in range(1, 9)]
    (here / "t.csv").write_text("\n".join([";when;x [m];kind;void", *rows]), encoding="utf-8")
    run = equate("peek", "t.csv")
    assert run.exit_code == 0, run.output
    for words in (
        "semicolon-separated, decimal comma", "left out: row numbers", "left out, empty: 'void'",
        "--dates days", "categories 'a', 'b'",
    ):  # fmt: skip
        assert words in run.stdout


def test__peek__json__plain_data(equate: Equate, here: Path) -> None:
    """For programs; what is not a number is null."""
    (here / "t.csv").write_text("a,y\nx,1\nz,2\n")
    run = equate("peek", "t.csv", "--json")
    facts = json.loads(run.stdout)
    assert [(c["name"], c["low"]) for c in facts["columns"]] == [("a", None), ("y", 1.0)]
    assert facts["rows"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.csv"], "no file 'nothing.csv'"),
        (["kepler", "--separator", "x"], "--separator 'x': use one of comma"),
    ],
)
def test__peek__user_error__one_line_and_code_2(
    equate: Equate, here: Path, words: list[str], message: str
) -> None:
    """As of the other commands."""
    run = equate("peek", *words)
    assert run.exit_code == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1

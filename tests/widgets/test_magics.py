"""``%equate``: what it reads, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("anywidget", reason="the extra `widgets` is not installed")

from IPython.core.error import UsageError

from equate_widgets.magics import MagicArguments, parse_line, resolve_table

TABLE = pd.DataFrame({"a": [1.0, 2.0], "b c": [3.0, 4.0], "y": [5.0, 6.0]})


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("y ~ df", MagicArguments("y", "df")),
        ("y~df", MagicArguments("y", "df")),
        ("  y ~ df --time 30 ", MagicArguments("y", "df", 30.0)),
        ("`b c` ~ df --preset fast --seed 3", MagicArguments("b c", "df", None, "fast", 3)),
        ("y ~ df --columns 'a, b c'", MagicArguments("y", "df", columns=("a", "b c"))),
        ("größe ~ daten", MagicArguments("größe", "daten")),
    ],
)
def test__parse_line__good_lines__mean_what_they_say(line, arguments):
    """Target, table, options."""
    assert parse_line(line) == arguments


@pytest.mark.parametrize(
    "line",
    [
        "", "y", "y ~", "~ df", "y ~ df.head()", "y ~ df; import os", "y = df", "2y ~ df",
        "y ~ df --time", "y ~ df --time soon", "y ~ df --time 0", "y ~ df --time inf",
        "y ~ df --time nan", "y ~ df --tim 3", "y ~ df --preset slow", "y ~ df --seed 1.5",
        "y ~ df extra", "y ~ df --columns 'a", "__import__('os') ~ df", "y ~ df[0]",
    ],
)  # fmt: skip
def test__parse_line__bad_lines__usage_error(line):
    """Refused with the way it is written; nothing is evaluated."""
    with pytest.raises(UsageError, match="%equate"):
        parse_line(line)


def test__resolve_table__column__taken_out_of_the_features():
    """The target is not a feature."""
    X, y = resolve_table(parse_line("y ~ df"), {"df": TABLE})
    assert list(X.columns) == ["a", "b c"]
    assert list(y) == [5.0, 6.0]


def test__resolve_table__variable__all_columns_are_features():
    """A target that stands beside the table."""
    X, y = resolve_table(parse_line("z ~ df --columns a"), {"df": TABLE, "z": [1, 2]})
    assert list(X.columns) == ["a"]
    assert list(y) == [1, 2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("y ~ nothing", "not defined"),
        ("y ~ z", "is a list"),
        ("q ~ df", "neither a column"),
        ("z ~ df", "2 rows"),
        ("y ~ df --columns a,k", "no column k"),
        ("y ~ df --columns y", "no columns other than the target"),
    ],
)
def test__resolve_table__names_that_do_not_fit__said_which(line, words):
    """The error names what is wrong."""
    with pytest.raises(UsageError, match=words):
        resolve_table(parse_line(line), {"df": TABLE, "z": [1, 2, 3]})


def test__magic__line_and_cell__run_a_live_fit():
    """Loaded as an extension, in a shell; the value is the ``LiveFit``."""
    from IPython.core.interactiveshell import InteractiveShell

    import equate_widgets

    shell = InteractiveShell.instance()
    try:
        equate_widgets.load_ipython_extension(shell)
        X = np.random.default_rng(0).uniform(1, 5, (60, 2))
        table = pd.DataFrame(X, columns=["u", "v"]).assign(y=X[:, 0] / X[:, 1])
        shell.user_ns["df"] = table
        live = shell.run_line_magic("equate", "y ~ df --seed 0")
        assert str(live.result().equation_) == "u/v"
        live = shell.run_cell_magic("equate", "--seed 0 --preset fast", "y ~ df\n")
        assert str(live.result().equation_) == "u/v"
    finally:
        InteractiveShell.clear_instance()

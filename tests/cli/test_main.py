"""The command line as a whole."""

from __future__ import annotations

from collections.abc import Callable

from typer.testing import Result

import equate_srbench

Equate = Callable[..., Result]


def test__version__option__prints_it(equate: Equate) -> None:
    """The version that is installed."""
    assert equate("--version").stdout == f"equate-srbench {equate_srbench.__version__}\n"


def test__help__each_command__explains_itself(equate: Equate) -> None:
    """Help needs no table and no network."""
    for command in ([], ["fit"], ["doctor"], ["convert"], ["bench"], ["report"], ["pretrain"]):
        run = equate(*command, "--help")
        assert run.exit_code == 0
        assert "usage" in run.stdout.lower()

"""``equate pretrain``: training has its own parser."""

from __future__ import annotations

from collections.abc import Callable

from typer.testing import Result

Equate = Callable[..., Result]


def test__pretrain__no_time__one_line_and_code_2(equate: Equate) -> None:
    """Training for no time at all is a slip."""
    run = equate("pretrain", "--minutes", "0")
    assert run.exit_code == 2
    assert run.stderr.endswith("equate pretrain: error: --minutes 0: give more than 0\n")

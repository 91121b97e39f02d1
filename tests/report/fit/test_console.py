"""What a fit prints."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace

from rich.console import Console

from equate_srbench.report.fit.console import LiveLine, show_result
from equate_srbench.report.tables.record import FitRecord

MakeRecord = Callable[..., FitRecord]


def state(seconds: float, equation: str = "2.00000001*[red]x") -> SimpleNamespace:
    """Progress of a fit."""
    return SimpleNamespace(
        seconds=seconds, candidates=1234, equation=equation, r2=0.9999, complexity=3, phase="edit"
    )


def test__live_line__no_terminal__plain_lines_now_and_then() -> None:
    """Logs get a line at once and then one per interval, never control codes."""
    out = io.StringIO()
    with LiveLine(Console(file=out), "y", interval=60.0) as show:
        assert [show(state(t)) for t in (0.1, 0.2, 0.3)] == [False] * 3
    (line,) = out.getvalue().splitlines()
    assert "1,234 formulas" in line
    assert "y = 2*[red]x" in line
    assert "\x1b" not in line


def test__live_line__terminal__one_line_that_goes_away() -> None:
    """In a terminal the line is rewritten in place and removed at the end."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60)
    with LiveLine(console, "y") as show:
        show(state(0.1))
        show(state(0.2, equation="x" * 500))
    assert "…" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")


def test__show_result__marks_the_chosen_and_says_how_good(make_record: MakeRecord) -> None:
    """The front with one mark, the formula twice, and scores of both kinds of rows."""
    out = io.StringIO()
    record = make_record()
    show_result(Console(file=out, width=100), record)
    text = out.getvalue()
    assert text.count("\n>") == 1
    assert f"y = {record.equation}" in text
    assert "LaTeX" in text
    assert "fit rows" in text
    assert "test rows" in text

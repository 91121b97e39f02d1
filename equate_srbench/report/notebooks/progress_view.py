"""A running notebook on the screen: the cell at work, and what it says about itself."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.text import Text

from equate_srbench.runtime.live import LiveView, duration


class ReportProgress(LiveView):
    """Shows how a notebook runs: live in a terminal, a line per cell elsewhere.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._titles: list[str] = []
        self._note: Path | None = None
        self._at = -1
        self._start = time.monotonic()

    def begin(self, titles: list[str], note: Path) -> None:
        """Learn the titles of the cells; see ``notebooks.Watcher``."""
        self._titles, self._note = titles, note
        self._start = time.monotonic()

    def cell(self, number: int) -> None:
        """Show the cell that begins."""
        self._at = number
        self._print_line()

    def _view(self) -> Group:
        bar = ProgressBar(total=max(1, len(self._titles)), completed=max(0, self._at), width=40)
        said = Text(self._said(), "dim", no_wrap=True, overflow="ellipsis")
        return Group(bar, self._line(), said)

    def _line(self) -> Text:
        if self._at < 0:
            return Text("starting Python")
        line = Text(f"{self._at + 1}/{len(self._titles)} ", "bold")
        line.append(f"{self._titles[self._at]} ", "")
        return line.append(duration(time.monotonic() - self._start), "dim")

    def _said(self) -> str:
        """What the cell at work wrote about its progress."""
        try:
            return self._note.read_text(encoding="utf-8") if self._note else ""
        except OSError:  # it has not said anything yet
            return ""

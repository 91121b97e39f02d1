"""Terminal progress of a notebook's execution: the running cell and its status line."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.text import Text

from equate_srbench.runtime.live import LiveView, duration


class NotebookProgress(LiveView):
    """Displays the execution of a notebook: live in a terminal, one line per cell elsewhere.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._titles: list[str] = []
        self._status_file: Path | None = None
        self._at = -1
        self._start = time.monotonic()

    def begin(self, titles: list[str], status_file: Path) -> None:
        """Receive the titles of the cells; see ``catalogue.ExecutionListener``."""
        self._titles, self._status_file = titles, status_file
        self._start = time.monotonic()

    def cell(self, number: int) -> None:
        """Display the cell that starts."""
        self._at = number
        self._print_line()

    def _view(self) -> Group:
        bar = ProgressBar(total=max(1, len(self._titles)), completed=max(0, self._at), width=40)
        status = Text(self._status(), "dim", no_wrap=True, overflow="ellipsis")
        return Group(bar, self._line(), status)

    def _line(self) -> Text:
        if self._at < 0:
            return Text("starting Python")
        line = Text(f"{self._at + 1}/{len(self._titles)} ", "bold")
        line.append(f"{self._titles[self._at]} ", "")
        return line.append(duration(time.monotonic() - self._start), "dim")

    def _status(self) -> str:
        """Status line of the running cell."""
        try:
            return self._status_file.read_text(encoding="utf-8") if self._status_file else ""
        except OSError:  # no status yet
            return ""

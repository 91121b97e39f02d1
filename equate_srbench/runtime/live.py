"""Progress display: a live view in a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text


class LiveView:
    """Base of the progress displays; a subclass defines ``_line`` and optionally ``_view``.

    Parameters
    ----------
    console : Console
    interval : float, default=0
        Minimum seconds between plain lines, where the console is not a terminal.
    """

    def __init__(self, console: Console, interval: float = 0.0) -> None:
        self._console, self._interval = console, interval
        self._printed = float("-inf")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start the live view."""
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._view,
                transient=True,
                refresh_per_second=4,
            )
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the live view."""
        if self._live:
            self._live.stop()

    def _view(self) -> RenderableType:
        """The current content of the live view."""
        return self._line()

    def _line(self) -> Text:
        """The current state in one line."""
        raise NotImplementedError

    def _print_line(self) -> None:
        """Print the state unless a live view shows it or it was printed within the interval."""
        if not self._live and time.monotonic() - self._printed >= self._interval:
            self._printed = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}"

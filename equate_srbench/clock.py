"""Time as an argument: a deadline that the phases of a fit share."""

from __future__ import annotations

import time


class Deadline:
    """A moment on the monotonic clock after which work should end.

    Parameters
    ----------
    seconds : float
        Seconds from now; ``inf`` never ends.
    parent : Deadline, optional
        A deadline that ends this one too, also by ``stop``.
    """

    __slots__ = ("_end", "_parent", "_start", "_stopped")

    def __init__(self, seconds: float = float("inf"), parent: Deadline | None = None) -> None:
        self._start = time.monotonic()
        self._parent = parent
        self._end = self._start + seconds
        self._stopped = False

    def left(self) -> float:
        """Seconds left, 0 when over."""
        return 0.0 if self.over else max(0.0, self._end - time.monotonic())

    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self._start

    @property
    def over(self) -> bool:
        """Whether the time is up or ``stop`` was called."""
        return (
            self._stopped
            or time.monotonic() >= self._end
            or (self._parent is not None and self._parent.over)
        )

    def stop(self) -> None:
        """End now: a callback asked for it, or the answer is exact."""
        self._stopped = True

    def within(self, seconds: float) -> Deadline:
        """A deadline at most ``seconds`` from now that also ends when this one does."""
        return Deadline(min(seconds, self.left()), self)

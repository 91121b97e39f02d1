"""Deadlines, passed as arguments to the phases of a fit."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """A point in time after which work should end.

    Parameters
    ----------
    seconds : float
        Seconds from now; ``inf`` never ends.
    parent : Deadline, optional
        Deadline that also ends this one when it is over or stopped.
    clock : callable, default=time.monotonic
        Returns seconds. With ``time.thread_time`` the amount of work does not depend on the load
        of the machine; give such a deadline a parent on the wall clock.
    """

    __slots__ = ("_clock", "_end", "_parent", "_start", "_stopped")

    def __init__(
        self,
        seconds: float = float("inf"),
        parent: Deadline | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._start = clock()
        self._parent = parent
        self._end = self._start + seconds
        self._stopped = False

    def left(self) -> float:
        """Seconds left; 0 when the deadline is over."""
        if self.over:
            return 0.0
        own = max(0.0, self._end - self._clock())
        return own if self._parent is None else min(own, self._parent.left())

    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return self._clock() - self._start

    @property
    def over(self) -> bool:
        """Whether the time is up or ``stop`` was called."""
        return (
            self._stopped
            or self._clock() >= self._end
            or (self._parent is not None and self._parent.over)
        )

    def stop(self) -> None:
        """End now, for example because a callback requested it or the answer is exact."""
        self._stopped = True

    def within(self, seconds: float, clock: Callable[[], float] | None = None) -> Deadline:
        """A deadline at most ``seconds`` from now on its own clock that also ends with this one."""
        return Deadline(min(seconds, self.left()), self, clock or self._clock)

"""Time as an argument: a deadline that the phases of a fit share."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """A moment on the monotonic clock after which work should end.

    Parameters
    ----------
    seconds : float
        Seconds from now; ``inf`` never ends.
    parent : Deadline, optional
        A deadline that ends this one too, also by ``stop``.
    clock : callable, default=time.monotonic
        Seconds of any clock. With ``time.thread_time`` a share of work ends at the same place
        however busy the machine is; give it a parent on the wall clock.
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
        """Seconds left, 0 when over."""
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
        """End now: a callback asked for it, or the answer is exact."""
        self._stopped = True

    def within(self, seconds: float, clock: Callable[[], float] | None = None) -> Deadline:
        """A deadline at most ``seconds`` from now, by its own clock, that ends with this one."""
        return Deadline(min(seconds, self.left()), self, clock or self._clock)

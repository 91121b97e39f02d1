"""Progress of a fit as plain data, and the throttled calls that hand it to listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from equate_srbench.runtime.clock import Deadline

#: Complexity, R2 on the fit rows, formula, and source.
FrontPoint = tuple[int, float, str, str]
#: Called with the phase, the seconds since the start, and whether the phase has just begun; a
#: listener that returns True ends the fit.
Listener = Callable[[str, float, bool], bool]


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a running fit, as an ``on_progress`` callback receives it.

    Attributes
    ----------
    seconds : float
        Since the start of ``fit``.
    phase : str
        ``columns`` (wide tables), ``teach``, ``families``, ``propose``, ``align``, ``ascend``,
        ``edit`` or ``shorten``.
    candidates : int
        Formulas tried so far.
    equation : str
        Most accurate formula so far.
    r2 : float
        On the fit rows.
    complexity : int
    front : tuple of (int, float, str, str)
        The front so far: complexity, R2 on the fit rows, formula, and source, by complexity.
    """

    seconds: float
    phase: str
    candidates: int
    equation: str
    r2: float
    complexity: int
    front: tuple[FrontPoint, ...] = ()


class Reporter:
    """Calls listeners at most every ``interval`` seconds within a phase, and at every new phase.

    Parameters
    ----------
    deadline : Deadline
        Of the fit; stopped when a listener returns True.
    listeners : sequence of Listener
    interval : float, default=0.2
        Seconds.
    """

    def __init__(
        self, deadline: Deadline, listeners: Sequence[Listener], interval: float = 0.2
    ) -> None:
        self._deadline, self._listeners, self._interval = deadline, listeners, interval
        self._last = -np.inf
        self._phase = ""

    def __call__(self, phase: str) -> None:
        """Report after a piece of work in ``phase``."""
        now, is_new = self._deadline.elapsed(), phase != self._phase
        if not is_new and now - self._last < self._interval:
            return
        self._last, self._phase = now, phase
        if any([listener(phase, now, is_new) for listener in self._listeners]):
            self._deadline.stop()

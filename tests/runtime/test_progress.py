"""When listeners are called, and how they end a fit."""

from __future__ import annotations

from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.progress import Reporter


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now


def test__reporter__calls_within_the_interval__are_dropped_unless_the_phase_is_new():
    """At most one call an interval, and one at every new phase."""
    clock, calls = Clock(), []
    deadline = Deadline(60.0, clock=clock)
    report = Reporter(deadline, [lambda *call: calls.append(call) or False], interval=0.2)
    for seconds, phase in ((0.0, "propose"), (0.1, "propose"), (0.15, "edit"), (0.3, "edit"),
                           (0.4, "edit")):  # fmt: skip
        clock.now = seconds
        report(phase)
    assert calls == [("propose", 0.0, True), ("edit", 0.15, True), ("edit", 0.4, False)]


def test__reporter__one_listener_says_stop__all_are_called_and_the_deadline_is_over():
    """No listener is left out because another one ends the fit."""
    deadline, called = Deadline(60.0), []
    listeners = [lambda *_: True, lambda *_: called.append(True) or False]
    Reporter(deadline, listeners)("edit")
    assert called == [True]
    assert deadline.over

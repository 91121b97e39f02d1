"""What a fit tells while it runs: our own callback, and scikit-learn's where it has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from equate_srbench.expr.algebra.complexity import complexity

if TYPE_CHECKING:
    from equate_srbench.problem.archive import Candidate
    from equate_srbench.regressor import EquateRegressor
    from equate_srbench.search.pipeline import Search

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # pragma: no cover - older scikit-learn has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:  # type: ignore[no-redef]
        """Leave ``method`` as it is."""
        return method


FrontPoint = tuple[int, float, str, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress callback is told.

    Attributes
    ----------
    seconds : float
        Since the start of ``fit``.
    phase : str
        ``columns`` (wide tables), ``propose``, ``align``, ``ascend``, ``edit`` or ``shorten``.
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
    """Tells progress to whoever asked, and ends the fit when one of them says so.

    A fit is a task of scikit-learn's callbacks, its phases are subtasks, and what happens between
    two reports is a leaf. Reports are at least ``interval`` seconds apart within a phase.

    Parameters
    ----------
    est : EquateRegressor
        Whose ``on_progress`` and scikit-learn callbacks are told.
    run : Search
    X, y, sample_weight :
        As given to ``fit``: callbacks score on them.
    """

    interval = 0.2

    def __init__(
        self, est: EquateRegressor, run: Search, X: Any, y: Any, sample_weight: Any = None
    ) -> None:
        self.est, self.run = est, run
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": est, "X": X, "y": y, "metadata": metadata}
        self._last = -np.inf
        self._phase = ""
        self._tasks: list[Any] = []  # the fit, and the phase it is in
        self._read = 0  # candidates of the archive that were looked at
        self._of_size: dict[int, Candidate] = {}  # the best of each size among those
        self._texts: dict[int, FrontPoint] = {}

    def begin(self) -> None:
        """Set up scikit-learn's callbacks, if there are any."""
        if getattr(self.est, "_skl_callbacks", None):
            self._open(self.est._init_callback_context(max_subtasks=None))

    def __call__(self, phase: str) -> None:
        """Report after a piece of work in ``phase``."""
        deadline = self.run.archive.deadline
        now, new = deadline.elapsed(), phase != self._phase
        if not new and now - self._last < self.interval:
            return
        self._last, self._phase = now, phase
        stop = self._tell(now) if self.est.on_progress is not None else False
        if self._tasks:
            stop |= self._step(new)
        if stop:
            deadline.stop()

    def finish(self) -> None:
        """End the open tasks; whoever sets callbacks up tears them down, in any case."""
        while self._tasks:
            self._close()

    def _tell(self, seconds: float) -> bool:
        archive = self.run.archive
        equation = self.est._equation(archive.best.tree)
        return bool(
            self.est.on_progress(
                Progress(
                    seconds,
                    self._phase,
                    sum(archive.tried.values()),
                    str(equation),
                    archive.best.r2,
                    complexity(equation.tree),
                    self._front(),
                )
            )
        )

    def _front(self) -> tuple[FrontPoint, ...]:
        """The archive's front; only what is new since the last time is looked at."""
        candidates = self.run.archive.candidates
        for candidate in candidates[self._read :]:
            best = self._of_size.get(candidate.size)
            if best is None or candidate.loss < best.loss:
                self._of_size[candidate.size] = candidate
        self._read = len(candidates)
        front: list[FrontPoint] = []
        # sizes in the user's units differ from those in the search
        for point in sorted(map(self._point, self._of_size.values())):
            if not front or point[1] > front[-1][1]:
                if front and front[-1][0] == point[0]:
                    front.pop()
                front.append(point)
        return tuple(front)

    def _point(self, candidate: Candidate) -> FrontPoint:
        found = self._texts.get(id(candidate))
        if found is None:
            equation = self.est._equation(candidate.tree)
            found = (complexity(equation.tree), candidate.r2, str(equation), candidate.source)
            self._texts[id(candidate)] = found
        return found

    def _step(self, new_phase: bool) -> bool:
        """One leaf of the task tree; whether a callback wants the fit to end."""
        stop = False
        if new_phase:
            if len(self._tasks) > 1:
                stop |= self._close()
            self._open(self._tasks[0].subcontext(task_name=self._phase, max_subtasks=None))
        self._open(self._tasks[-1].subcontext(task_name="step"))
        return self._close() or stop

    def _open(self, task: Any) -> None:
        self._tasks.append(task)
        task.call_on_fit_task_begin(**self._data)

    def _close(self) -> bool:
        """End the innermost task; callbacks can score what the fit would answer now."""
        return self._tasks.pop().call_on_fit_task_end(
            **self._data, reconstruction_attributes=lambda: self.est._fitted(self.run)
        )

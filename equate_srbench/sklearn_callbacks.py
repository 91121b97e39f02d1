"""scikit-learn's callbacks (from version 1.9 on) around a fit that runs in phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import BaseEstimator

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # pragma: no cover - older scikit-learn has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Leave ``method`` as it is."""
        return method


__all__ = ["CallbackSupportMixin", "CallbackTasks", "with_callbacks"]


class CallbackTasks:
    """The task tree that scikit-learn's callbacks see: fit, its phases, and steps as leaves.

    Parameters
    ----------
    est : BaseEstimator
        Whose callbacks are called, if it has any.
    X, y, sample_weight :
        As given to ``fit``: callbacks score on them.
    fitted : callable
        The fitted attributes as they would be if the fit ended now.
    """

    def __init__(
        self,
        est: BaseEstimator,
        X: Any,
        y: Any,
        sample_weight: Any,
        fitted: Callable[[], Mapping[str, Any]],
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": est, "X": X, "y": y, "metadata": metadata}
        self._est, self._fitted = est, fitted
        self._open: list[Any] = []  # contexts of the fit, and of the phase it is in

    def begin(self) -> None:
        """Begin the task of the whole fit."""
        if getattr(self._est, "_skl_callbacks", None):
            self._begin_task(self._est._init_callback_context(max_subtasks=None))

    def __call__(self, phase: str, seconds: float, is_new: bool) -> bool:
        """Report one step; whether a callback asks for the end of the fit."""
        if not self._open:
            return False
        stop = False
        if is_new:
            if len(self._open) > 1:
                stop |= self._end_task()
            self._begin_task(self._open[0].subcontext(task_name=phase, max_subtasks=None))
        self._begin_task(self._open[-1].subcontext(task_name="step"))
        return self._end_task() or stop

    def finish(self) -> None:
        """End the open tasks; ``with_callbacks`` tears the callbacks down, in any case."""
        while self._open:
            self._end_task()

    def _begin_task(self, task: Any) -> None:
        self._open.append(task)
        task.call_on_fit_task_begin(**self._data)

    def _end_task(self) -> bool:
        """End the innermost task; callbacks can score what the fit would answer now."""
        return bool(
            self._open.pop().call_on_fit_task_end(
                **self._data, reconstruction_attributes=self._fitted
            )
        )

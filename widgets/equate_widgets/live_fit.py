"""A panel that shows a fit while it runs and can stop it, keeping the best formula."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets
import traitlets
from numpy.typing import ArrayLike

from equate_srbench.equation import Equation
from equate_srbench.report.figures import fit_figures
from equate_srbench.runtime.progress import Progress
from equate_widgets.explore import explore
from equate_widgets.front_panel import front_data
from equate_widgets.panel_view import PanelView, number

_IDLE: dict[str, Any] = {
    "running": False, "ending": "not started", "phase": "", "seconds": 0.0, "limit": 1.0,
    "candidates": 0, "equation": "", "latex": "", "r2": None, "complexity": 0, "error": "",
    "front": {},
}  # fmt: skip


class LiveFit(PanelView):
    """Fits in a background thread and displays the best formula and the front meanwhile.

    ``fit`` returns immediately, so the kernel stays responsive. The Stop button or ``stop()`` ends
    the fit with the best formula so far.

    Parameters
    ----------
    est : EquateRegressor
        Fitted in place. Its own ``on_progress`` is called as well.

    Attributes
    ----------
    state : dict
        The displayed state: ``running``, ``phase``, ``seconds``, ``candidates``, ``equation``,
        ``r2``, ``complexity``, ``front``, ``error``.

    Examples
    --------
    >>> live = LiveFit(EquateRegressor(max_time=30)).fit(X, y)  # doctest: +SKIP
    >>> live.result().equation_  # doctest: +SKIP
    """

    _module = "live_fit.js"
    state = traitlets.Dict(_IDLE).tag(sync=True)

    def __init__(self, est: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.est = est
        self._stop_requested: threading.Event = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.on_msg(self._on_message)

    def fit(self, X: Any, y: ArrayLike, **fit_params: Any) -> LiveFit:
        """Start the fit in the background.

        Raises
        ------
        RuntimeError
            If the previous fit is still running.
        """
        if self.running:
            raise RuntimeError("this fit is still running: stop() it first, or wait for result()")
        self._stop_requested.clear()
        self._error = None
        self._X, self._y = X, y
        self.state = {**_IDLE, "running": True, "limit": self.est.time_limit}
        self._thread = threading.Thread(
            target=self._run, args=(X, y), kwargs=fit_params, name="equate-fit", daemon=True
        )
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether a fit is running."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Ask the fit to end soon with the best formula so far."""
        self._stop_requested.set()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the fit to end and return the fitted estimator.

        Interrupting the kernel while waiting stops the fit and keeps the best formula so far.

        Parameters
        ----------
        timeout : float, optional
            Maximum seconds to wait; unlimited by default.

        Raises
        ------
        RuntimeError
            If no fit was started.
        TimeoutError
            If the fit is still running after ``timeout``.
        Exception
            The exception that the fit raised.
        """
        if self._thread is None:
            raise RuntimeError("no fit was started: call fit(X, y)")
        try:
            self._thread.join(timeout)
        except KeyboardInterrupt:
            self.stop()
            self._thread.join()
        if self._thread.is_alive():
            raise TimeoutError(f"the fit is still running after {timeout} s: wait, or stop() it")
        if self._error is not None:
            raise self._error
        return self.est

    def explore(self, *, target: str = "") -> ipywidgets.VBox:
        """Wait for the fit and return its linked panels.

        Parameters
        ----------
        target : str, optional
            Name of the predicted column; by default the name of ``y`` if it has one.
        """
        est = self.result()
        name = target or str(getattr(self._y, "name", None) or "y")
        return explore(est, self._X, self._y, target=name)

    def static_html(self) -> str:
        """The best formula so far."""
        state = self.state
        formula = fit_figures.formula(state["latex"]) or escape(state["equation"])
        return f"{formula or 'no formula yet'}<p>{escape(state['ending'])}</p>"

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        if content.get("do") == "stop":
            self.stop()

    # -- background thread ------------------------------------------------------------------------

    def _run(self, X: Any, y: ArrayLike, **fit_params: Any) -> None:
        user_callback = self.est.on_progress
        self.est.on_progress = self._callback(user_callback)
        try:
            self.est.fit(X, y, **fit_params)
        except BaseException as error:  # displayed, and raised again by result()
            self._error = error
            self.state = {
                **self.state, "running": False, "ending": "failed",
                "error": f"{type(error).__name__}: {error}",
            }  # fmt: skip
        else:
            self._finish()
        finally:
            self.est.on_progress = user_callback

    def _callback(self, also: Callable[[Any], bool | None] | None) -> Callable[[Any], bool]:
        def on_progress(progress: Any) -> bool:
            self._show(progress)
            return bool(also is not None and also(progress)) or self._stop_requested.is_set()

        return on_progress

    def _show(self, progress: Progress) -> None:
        names = self.est._names()
        equation = Equation.from_string(progress.equation, names)
        points = [
            (size, r2, Equation.from_string(text, names), source)
            for size, r2, text, source in progress.front
        ]
        self.state = {
            **self.state,
            "phase": progress.phase,
            "seconds": progress.seconds,
            "candidates": progress.candidates,
            "equation": progress.equation,
            "latex": equation.to_latex(),
            "r2": number(progress.r2),
            "complexity": progress.complexity,
            "front": live_front(points),
        }

    def _finish(self) -> None:
        est = self.est
        chosen = est.equation_
        rows = est.candidates_
        r2 = rows.loc[rows["equation"] == str(chosen), "r2"].max()
        self.state = {
            **self.state,
            "running": False,
            "ending": "stopped, best so far kept" if self._stop_requested.is_set() else "finished",
            "seconds": est.fit_time_,
            "equation": str(chosen),
            "latex": chosen.to_latex(),
            "r2": number(r2),
            "complexity": chosen.complexity,
            "front": front_data(est),
        }


def live_front(points: list[tuple[int, float, Equation, str]]) -> dict[str, Any]:
    """Data of the current front for ``draw_front.js``."""
    n = len(points)
    return {
        "title": "Front so far",
        "target": "",
        "total": n,
        "equation": [str(equation) for _, _, equation, _ in points],
        "latex": [equation.to_latex() for _, _, equation, _ in points],
        "source": [source for *_, source in points],
        "complexity": [size for size, *_ in points],
        "r2": [number(r2) for _, r2, *_ in points],
        "loss": [None] * n,
        "front": list(range(n)),
        "chosen": -1,
    }

"""Worker side of an external method: requests and answers are lines of JSON.

Runs with the interpreter of the method's environment and must not import our package. A
request names a folder with ``X.npy`` and ``y.npy`` and has ``settings``, ``seconds`` and ``seed``.
Answers are ``{"formula": text}`` for the best so far, whenever there is a better one, then
``{"done": seconds}`` or ``{"error": text}``. A formula is plain text over ``x0``, ``x1``, ...
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

#: ``fit(X, y, settings, seconds, seed, tell)`` calls ``tell(formula)`` for each better formula.
Fit = Callable[..., None]

_SECONDS_BETWEEN_TELLS = 0.5


class Clock:
    """Elapsed and remaining time of a fit."""

    def __init__(self, seconds: float) -> None:
        self._start, self._seconds = time.monotonic(), seconds

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.elapsed() >= self._seconds


class BestSoFar:
    """Keeps the model with the smallest error and reports it at intervals.

    Parameters
    ----------
    tell : callable
        Called with the formula of a model.
    formula : callable
        Model -> its formula.
    """

    def __init__(self, tell: Callable[[str], None], formula: Callable[[Any], str]) -> None:
        self._tell, self._formula = tell, formula
        self._model: Any = None
        self._error = float("inf")
        self._last = -float("inf")
        self._told = True

    def offer(self, model: Any, error: float) -> None:
        """Keep ``model`` if its error is the smallest so far."""
        if error < self._error:
            self._model, self._error, self._told = model, error, False
        if not self._told and time.monotonic() - self._last >= _SECONDS_BETWEEN_TELLS:
            self.tell()

    def tell(self) -> None:
        """Report the best model unless it was reported before."""
        if not self._told:
            self._last, self._told = time.monotonic(), True
            self._tell(self._formula(self._model))


def main(fit: Fit) -> None:
    """Serve requests until the input ends; with ``--check`` test the package once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the package prints must not mix with the answers
    if "--check" in sys.argv:
        _check(fit)
        return
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    _say(answers, {"ready": os.getpid()})
    for line in sys.stdin:
        _serve(fit, json.loads(line), answers)


def _serve(fit: Fit, request: dict[str, Any], answers: TextIO) -> None:
    started = time.monotonic()
    try:
        folder = Path(request["folder"])
        X = np.load(folder / "X.npy", allow_pickle=False)
        y = np.load(folder / "y.npy", allow_pickle=False)
        fit(X, y, request["settings"], request["seconds"], request["seed"],
            lambda formula: _say(answers, {"formula": formula}))  # fmt: skip
    except Exception as error:
        # any error of the package is the answer to this request
        _say(answers, {"error": f"{type(error).__name__}: {error}"})
    else:
        _say(answers, {"done": time.monotonic() - started})


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, allow_nan=False) + "\n")
    answers.flush()


def _end_with(parent: int) -> None:
    """Exit when the parent process has ended, even during a fit."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _check(fit: Fit) -> None:
    """Run a short fit to a product; raises if there is no formula."""
    X = np.random.default_rng(0).uniform(1.0, 3.0, (40, 2))
    formulas: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        fit(X, X[:, 0] * X[:, 1], {}, 2.0, 0, formulas.append)
        os.chdir("/")
    if not formulas:
        raise RuntimeError("a short fit gave no formula")

"""The worker's side: one rival in an environment of its own, spoken to in JSON lines.

Runs with that environment's interpreter and knows nothing of the package that it comes with. A
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
    """What is left of the seconds of a fit."""

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
    """Keeps the best model by error, and tells of it now and then.

    Parameters
    ----------
    tell : callable
        Takes the formula of a model.
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
        """Keep ``model`` if its error is the least so far."""
        if error < self._error:
            self._model, self._error, self._told = model, error, False
        if not self._told and time.monotonic() - self._last >= _SECONDS_BETWEEN_TELLS:
            self.tell()

    def tell(self) -> None:
        """Tell of the best model, if there is one that was not told of."""
        if not self._told:
            self._last, self._told = time.monotonic(), True
            self._tell(self._formula(self._model))


def main(fit: Fit) -> None:
    """Serve requests until the input ends, or try the package once with ``--check``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the package prints must not come between the answers
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
        # whatever goes wrong in a foreign package is the answer to this request
        _say(answers, {"error": f"{type(error).__name__}: {error}"})
    else:
        _say(answers, {"done": time.monotonic() - started})


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, allow_nan=False) + "\n")
    answers.flush()


def _end_with(parent: int) -> None:
    """End when the parent is gone, even in the middle of a fit."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _check(fit: Fit) -> None:
    """One short fit of a product; raises if no formula comes of it."""
    X = np.random.default_rng(0).uniform(1.0, 3.0, (40, 2))
    formulas: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        fit(X, X[:, 0] * X[:, 1], {}, 2.0, 0, formulas.append)
        os.chdir("/")
    if not formulas:
        raise RuntimeError("a short fit gave no formula")

# ruff: noqa: D102 - scikit-learn says what fit and predict are
"""Estimators that do what a benchmark must survive, and a plain fast one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Fast(RegressorMixin, BaseEstimator):
    """Predicts the mean after ``seconds``; notes its process in ``$FITS`` if that is set."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def fit(self, X, y):
        note(os.getpid())
        time.sleep(self.seconds)
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Brief(Fast):
    """Long enough to be killed."""

    def __init__(self, seconds=0.4):
        super().__init__(seconds)


def note(pid):
    """Leave a file named after a process."""
    if "FITS" in os.environ:
        (Path(os.environ["FITS"]) / str(pid)).touch()


def start_detached():
    """A process in a session of its own that outlives its parent."""
    note(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)


class LeavesChild(Fast):
    """Finishes, but something it started does not."""

    def fit(self, X, y):
        start_detached()
        return super().fit(X, y)


class Hangs(Fast):
    """Ends neither by itself nor on request, and is not alone."""

    def fit(self, X, y):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        start_detached()
        note(os.getpid())
        while True:
            time.sleep(1)


class Swarms(Fast):
    """Starts processes without end."""

    def fit(self, X, y):
        while True:
            start_detached()


class Raises(Fast):
    """Raises on two lines."""

    def fit(self, X, y):
        raise RuntimeError("no fit\ntoday")


class Exits(Fast):
    """Ends the process in Python's way."""

    def fit(self, X, y):
        sys.exit(3)


class Vanishes(Fast):
    """Ends the process at once and successfully, after a last word."""

    def fit(self, X, y):
        os.write(2, b"last words")
        os._exit(0)


class Segfaults(Fast):
    """Reads where nothing is."""

    def fit(self, X, y):
        ctypes.string_at(0)


class KillsItself(Fast):
    """Ends as if the system had run out of memory."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


class Wants50GB(Fast):
    """Asks for 50 GB at once and writes to all of it."""

    def fit(self, X, y):
        self.numbers_ = np.ones(50 * 2**30 // 8)


class Grows(Fast):
    """Takes a little more memory all the time."""

    def fit(self, X, y):
        self.numbers_ = [np.ones(2**24 // 8) for _ in range(3200)]


class TellsDevice(Fast):
    """Says by an error which GPUs it may use."""

    def fit(self, X, y):
        time.sleep(self.seconds)
        raise RuntimeError(f"sees {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')!r}")

"""Threads and precision of torch during a fit, restored afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class _Setting(Generic[T]):
    """A process-wide setting with a fixed value while at least one fit, in any thread, holds it.

    Parameters
    ----------
    read, write : callable
    value : object
        Value during fits; the last fit to end restores the value that the first one found.
    """

    def __init__(self, read: Callable[[], T], write: Callable[[T], None], value: T) -> None:
        self._read, self._write, self._value = read, write, value
        self._before = value
        self._inside = 0
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._before = self._read()
            self._inside += 1
            self._write(self._value)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._write(self._before)


def _read_precision() -> str:
    """What cuDNN's recurrent layers compute float32 in."""
    rnn = getattr(torch.backends.cudnn, "rnn", None)  # torch 2.9 and later
    if rnn is not None:
        return str(rnn.fp32_precision)
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


def _write_precision(name: str) -> None:
    rnn = getattr(torch.backends.cudnn, "rnn", None)
    if rnn is not None:
        rnn.fp32_precision = name
    else:
        torch.backends.cudnn.allow_tf32 = name == "tf32"


_threads = _Setting(torch.get_num_threads, torch.set_num_threads, 1)
_precision = _Setting(_read_precision, _write_precision, "ieee")


def one_thread() -> AbstractContextManager[None]:
    """Context in which torch uses one thread; the previous setting is restored afterwards.

    The networks of a fit are small: a second thread gains little, is slow on a busy machine, and
    would make results depend on the number of processors.
    """
    return _threads.held()


def full_precision() -> AbstractContextManager[None]:
    """Context in which cuDNN's LSTM computes in float32, as everything else in a fit does.

    It is the only layer that torch computes in TF32 (10-bit mantissa) by default, which would make
    scores on a GPU differ from those on a CPU in the third digit.
    """
    return _precision.held()

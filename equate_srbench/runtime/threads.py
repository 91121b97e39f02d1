"""How torch computes during a fit, whatever the process uses otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class _Setting(Generic[T]):
    """A setting of the process that fits, also ones in several threads, hold at one value.

    Parameters
    ----------
    read, write : callable
    value : object
        What it is while somebody holds it; the last one restores what the first one found.
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
    cudnn = torch.backends.cudnn
    if hasattr(cudnn, "rnn"):  # torch 2.9 and later
        return str(cudnn.rnn.fp32_precision)
    return "tf32" if cudnn.allow_tf32 else "ieee"


def _write_precision(name: str) -> None:
    cudnn = torch.backends.cudnn
    if hasattr(cudnn, "rnn"):
        cudnn.rnn.fp32_precision = name
    else:
        cudnn.allow_tf32 = name == "tf32"


_threads = _Setting(torch.get_num_threads, torch.set_num_threads, 1)
_precision = _Setting(_read_precision, _write_precision, "ieee")


def one_thread() -> AbstractContextManager[None]:
    """Let torch use one thread inside; afterwards the setting is what it was before.

    The networks of a fit are small: a second thread gains little, costs much on a busy machine,
    and would make a result depend on the number of processors. Fits in several Python threads
    restore what the first of them found.
    """
    return _threads.held()


def full_precision() -> AbstractContextManager[None]:
    """Let cuDNN's LSTM compute in float32 inside, as everything else of a fit does.

    It is the one layer that torch computes with ten bits (TF32) unless told otherwise, which would
    make a GPU's scores differ from a CPU's in the third digit.
    """
    return _precision.held()

"""One torch thread for a fit, whatever the process uses otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside; afterwards the setting is what it was before.

    The networks of a fit are small: a second thread gains little, costs much on a busy machine,
    and would make a result depend on the number of processors. Fits in several Python threads
    restore what the first of them found.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_before)

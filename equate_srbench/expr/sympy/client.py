"""Client of the SymPy worker process, which is started on demand and killed on timeout."""

from __future__ import annotations

import atexit
import json
import sys
import threading
import time
from typing import Any

from equate_srbench.expr.tree import Tree
from equate_srbench.runtime.child import Child, own_environment


class SympyWorker:
    """A child process that finds equal forms of trees with SymPy.

    Safe to use from several threads (one request at a time) and after a fork (the child process
    of the fork starts a worker of its own). Ends with this process, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._ready = False
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Process ID of the worker; None if there is none."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the worker without waiting for it (SymPy takes about a second to import)."""
        with self._lock:
            self._start()

    def forms(self, tree: Tree, seconds: float) -> list[Tree]:
        """Forms that SymPy considers equal to ``tree``, as many as it finds in time.

        Parameters
        ----------
        tree : Tree
        seconds : float
            Limit; the worker is killed when it has not finished by then.

        Returns
        -------
        list of Tree
            Unchecked: domains may differ. Empty while the worker is still starting.
        """
        end = time.monotonic() + seconds
        if not self._lock.acquire(timeout=max(0.0, seconds)):
            return []
        try:
            return self._ask(tree, end)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop the worker; a later request starts a new one."""
        with self._lock:
            self._kill()

    def _ask(self, tree: Tree, end: float) -> list[Tree]:
        try:
            self._start()
        except OSError:  # no processes or no memory left: live without SymPy
            return []
        if not self._ready and not self._await_start(end):
            return []
        self._number += 1
        request = [self._number, max(0.0, end - time.monotonic()), tree.symbols, tree.constants]
        found: list[Tree] = []
        finished = False
        try:
            assert self._child is not None
            self._child.send(json.dumps(request))
            while (answer := self._next(end)) is not None:
                if len(answer) == 1:
                    finished = True
                    break
                found.append(Tree(answer[1], answer[2]))
        except (BrokenPipeError, ValueError):
            pass  # it died; the next request starts another
        finally:
            if not finished:  # too slow, dead, or this thread was interrupted
                self._kill()
        if not finished:
            self._start()  # its replacement imports SymPy while the caller goes on
        return found

    def _await_start(self, end: float) -> bool:
        self._ready = self._next(end) is not None
        if self._child is not None and not self._child.is_running:
            self._kill()
        return self._ready

    def _next(self, end: float) -> list[Any] | None:
        """The next answer; None on timeout or when the worker has ended."""
        assert self._child is not None
        try:
            line = self._child.receive(end - time.monotonic())
            return None if line is None else list(json.loads(line))
        except (TimeoutError, ValueError):  # too slow, or no JSON
            return None

    def _start(self) -> None:
        if self._child is not None and self._child.is_running:
            return
        self._kill()
        command = [sys.executable, "-m", "equate_srbench.expr.sympy.forms"]
        self._child = Child(command, env=own_environment())

    def _kill(self) -> None:
        child, self._child, self._ready = self._child, None, False
        if child is not None:  # after a fork it is the parent's, and is left alone
            child.close()


_shared: SympyWorker | None = None
_shared_lock = threading.Lock()


def shared_worker() -> SympyWorker:
    """The worker shared by this process, created on first use and closed at exit."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = SympyWorker()
            atexit.register(_shared.close)
        return _shared

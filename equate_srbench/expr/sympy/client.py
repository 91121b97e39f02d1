"""Client of the SymPy worker process, which is started on demand and killed on timeout."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import equate_srbench
from equate_srbench.expr.tree import Tree

_PACKAGE_ROOT = str(Path(equate_srbench.__file__).parent.parent)


class SympyWorker:
    """A child process that finds equal forms of trees with SymPy.

    Safe to use from several threads (one request at a time) and after a fork (the child process
    of the fork starts a worker of its own). Ends with this process, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._owner = os.getpid()
        self._ready = False
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Process ID of the worker; None if there is none."""
        return self._process.pid if self._process is not None else None

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
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
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
        answer = self._next(end)
        self._ready = answer is not None
        if self._process is not None and self._process.poll() is not None:
            self._kill()
        return self._ready

    def _next(self, end: float) -> list[Any] | None:
        """The next answer; None on timeout or when the worker has ended."""
        try:
            return self._answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return None

    def _start(self) -> None:
        if self._owner != os.getpid():  # after a fork the parent's worker is not ours to use
            self._process, self._owner = None, os.getpid()
        if self._process is not None and self._process.poll() is None:
            return
        self._kill()
        path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "equate_srbench.expr.sympy.forms"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C in a terminal goes to the whole foreground group
        )  # fmt: skip
        self._answers = queue.SimpleQueue()
        threading.Thread(
            target=_collect, args=(self._process.stdout, self._answers), daemon=True
        ).start()

    def _kill(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _collect(lines: Any, answers: queue.SimpleQueue[list[Any] | None]) -> None:
    try:
        for line in lines:
            answers.put(json.loads(line))
    except ValueError:  # closed while reading, or a line cut by the kill
        pass
    answers.put(None)


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

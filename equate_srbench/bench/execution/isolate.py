"""One fit in a process of its own, with limits on time and memory, whatever it does.

Importing torch, numba and the methods takes 3 to 10 seconds, longer than many fits. So a process,
the *keeper*, does that once and every fit is a fork of it (about .1 s); see ``keeper``.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import equate_srbench

if TYPE_CHECKING:
    from equate_srbench.bench.protocol import Task

GIB = 2**30
#: Bytes of memory for one fit, as in SRBench's competition of 2025.
MEMORY_LIMIT = 10 * GIB

_PROTOCOL = "equate_srbench.bench.protocol"
_OURS = ("equate", "equate-paper", "equate-fast", "e2e", "tpsr", "distilled")
_OUR_MODULES = ("equate_srbench.regressor", "equate_srbench.baselines.e2e")
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "JULIA_NUM_THREADS",
)  # fmt: skip
_TRIES = 3  # a keeper that dies before it took the fit on is replaced
_START_SECONDS = 600.0  # most seconds of a keeper until it takes fits on
_SLACK_SECONDS = 60.0  # most seconds of a watcher beyond the time limit
_GONE_WITHIN = 5.0  # seconds a watcher has to end what its fit has started
_PACKAGE_ROOT = str(Path(equate_srbench.__file__).parent.parent)


def default_time_limit(max_time: float) -> float:
    """Seconds after which a fit is killed that was told to take ``max_time``.

    The rest is for loading the data, starting a rival's own environment, and the metrics.
    """
    return 2 * max_time + 120


def run_isolated(
    task: Task,
    *,
    time_limit: float | None = None,
    memory_limit: int = MEMORY_LIMIT,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a task in a process of its own.

    Safe to use from several threads; every fit has its own process. Everything that a fit has
    started is gone when this returns, and within 5 seconds if this process dies first. (If the
    watcher is killed from outside, the fit ends, but a process that it has put into a session of
    its own stays.)

    Parameters
    ----------
    task : Task
    time_limit : float, optional
        Seconds of wall clock for the process; default: ``default_time_limit(task.max_time)``.
    memory_limit : int, default=10 GiB
        Bytes of resident memory of the fit and all it starts.
    env : mapping of str to str, optional
        Environment variables of the fit, such as ``CUDA_VISIBLE_DEVICES``.

    Returns
    -------
    dict
        The row of ``run_task``, or a row with the status ``error`` (the method raised),
        ``timeout``, ``killed`` (memory, too many processes, or a signal from outside) or
        ``crash`` (died by itself), and the reason.
    """
    from equate_srbench.bench.rows import failure_row

    limit = default_time_limit(task.max_time) if time_limit is None else time_limit
    request = {
        "task": task.to_dict(),
        "time_limit": limit,
        "memory_limit": memory_limit,
        "env": dict(env or {}),
    }
    answer = _shared.ask(request, _OUR_MODULES if task.method in _OURS else ())
    if "row" in answer:
        return dict(answer["row"])
    return failure_row(task, answer["status"], answer["message"], answer["seconds"])


def stop() -> None:
    """End all fits and keepers of this process; later fits start a new keeper."""
    _shared.stop()


class _Keepers:
    """The keepers of this process, one per set of imported modules, started on demand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keepers: dict[tuple[str, ...], _Keeper] = {}
        self._connections: set[socket.socket] = set()
        self._owner = os.getpid()
        # the kernel ends a keeper with the thread that has started it, so that one stays
        self._starter = ThreadPoolExecutor(1, "keepers")

    def ask(self, request: dict[str, Any], modules: tuple[str, ...]) -> dict[str, Any]:
        """The answer of a watcher: with ``row``, or with ``status, message, seconds``."""
        for _ in range(_TRIES):
            connection = self._connect(modules)
            try:
                answer = _converse(connection, request)
            finally:
                with self._lock:
                    self._connections.discard(connection)
                connection.close()
            if answer is not None:
                return answer
            self._replace(modules)
        message = f"the process that starts fits died {_TRIES} times before it started this one"
        return {"status": "killed", "message": message, "seconds": 0.0}

    def stop(self) -> None:
        """End everything that runs."""
        with self._lock:
            self._forget_after_fork()
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for keeper in self._keepers.values():
                keeper.close()
            self._keepers.clear()

    def _connect(self, modules: tuple[str, ...]) -> socket.socket:
        with self._lock:
            self._forget_after_fork()
            if modules not in self._keepers:
                self._keepers[modules] = self._starter.submit(_Keeper, modules).result()
            connection = self._keepers[modules].connect()
            self._connections.add(connection)
            return connection

    def _replace(self, modules: tuple[str, ...]) -> None:
        with self._lock:
            keeper = self._keepers.get(modules)
            if keeper is not None and keeper.is_gone():
                self._keepers.pop(modules).close()

    def _forget_after_fork(self) -> None:
        if self._owner != os.getpid():  # the parent's keepers are not ours to use
            self._keepers, self._connections, self._owner = {}, set(), os.getpid()
            self._starter = ThreadPoolExecutor(1, "keepers")


class _Keeper:
    """A running keeper process.

    Parameters
    ----------
    modules : tuple of str
        Imported there before the first fit, besides the protocol.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._control, far = socket.socketpair()
        threads = os.environ.get("OMP_NUM_THREADS", "1")
        path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        with far:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "equate_srbench.bench.execution.fork_server",
                 str(far.fileno()), str(os.getpid()), _PROTOCOL, *modules],
                stdin=subprocess.DEVNULL, pass_fds=[far.fileno()],
                env={**os.environ, **dict.fromkeys(_THREADS, threads), "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C in a terminal goes to the whole foreground group
            )  # fmt: skip

    def is_gone(self) -> bool:
        """Whether it is dead; one that was just killed takes a moment to be."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GONE_WITHIN)
        return self._process.returncode is not None

    def connect(self) -> socket.socket:
        """A socket to a new watcher; if the keeper is dead, its other end is closed."""
        near, far = socket.socketpair()
        with far, suppress(OSError):
            socket.send_fds(self._control, [b"f"], [far.fileno()])
        return near

    def close(self) -> None:
        """End the keeper; its watchers end by themselves."""
        self._control.close()
        self._process.kill()
        self._process.wait()


def _converse(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any] | None:
    """Give a watcher its work and wait for the answer; None if there was no watcher."""
    limit = request["time_limit"] + _SLACK_SECONDS
    with connection.makefile("rb") as lines:
        try:
            connection.settimeout(_START_SECONDS)
            watcher = int(lines.readline())
        except (OSError, ValueError):
            return None
        try:
            connection.settimeout(limit)
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = lines.readline()
        except TimeoutError:
            _end_session(watcher)
            message = f"no answer for {limit:g} s from the process that watches this fit"
            return {"status": "timeout", "message": message, "seconds": limit}
        except ConnectionError:
            line = b""
    if not line.endswith(b"\n"):
        _end_session(watcher)
        message = "the process that watches this fit was killed, or the run was stopped"
        return {"status": "killed", "message": message, "seconds": 0.0}
    answer: dict[str, Any] = json.loads(line)
    return answer


def _end_session(leader: int) -> None:
    """Let a watcher clean up; if it was itself killed, kill what is left of its session."""
    with suppress(psutil.Error):
        psutil.Process(leader).wait(_GONE_WITHIN)
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)


_shared = _Keepers()
atexit.register(_shared.stop)

"""Run one fit in a process of its own, with limits on time and memory, and always get a row.

Importing torch, numba and the methods takes 3 to 10 seconds, longer than many fits. So a fork
server imports them once, and every fit is a fork of it (about 0.1 s); see ``fork_server``.
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
from typing import Any

import psutil

from equate_srbench.bench.rows import failure_row
from equate_srbench.bench.task import Task
from equate_srbench.runtime.child import own_environment, thread_limits

GIB = 2**30
#: Bytes of memory for one fit, as in SRBench's competition of 2025.
MEMORY_LIMIT = 10 * GIB

_PROTOCOL = "equate_srbench.bench.protocol"
_OURS = ("equate", "equate-paper", "equate-fast", "e2e", "tpsr", "distilled")
_OUR_MODULES = ("equate_srbench.regressor", "equate_srbench.baselines.e2e")
_MAX_ATTEMPTS = 3  # a fork server that dies before it has started the fit is replaced
_START_SECONDS = 600.0  # time limit for a fork server to import its modules
_GRACE_SECONDS = 60.0  # a watcher may exceed the time limit of its fit by so much
_CLEANUP_SECONDS = 5.0  # time limit for a watcher to kill what its fit has started


def default_time_limit(max_time: float) -> float:
    """Seconds after which a fit with the parameter ``max_time`` is killed.

    Beyond ``max_time`` it covers loading the data, starting another package's environment, and the
    metrics.
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

    Can be called from several threads; every fit has its own process. All processes that a fit has
    started are killed before this returns, and within 5 seconds if this process dies first. (If the
    watcher is killed from outside, the fit ends as well, but a process that the fit has moved to a
    session of its own survives.)

    Parameters
    ----------
    task : Task
    time_limit : float, optional
        Seconds of wall clock for the process; default: ``default_time_limit(task.max_time)``.
    memory_limit : int, default=10 GiB
        Bytes of resident memory of the fit and of all processes that it starts.
    env : mapping of str to str, optional
        Environment variables of the fit, such as ``CUDA_VISIBLE_DEVICES``.

    Returns
    -------
    dict
        The row of ``run_task``, or a row with the reason and the status ``error`` (the method
        raised), ``timeout``, ``killed`` (memory, too many processes, or a signal from outside) or
        ``crash`` (the process died by itself).
    """
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
    """End all fits and fork servers of this process; later fits start a new server."""
    _shared.stop()


class ForkServers:
    """The fork servers of this process, one per set of imported modules, started on demand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, ...], ForkServer] = {}
        self._connections: set[socket.socket] = set()
        self._owner = os.getpid()
        # the kernel kills a server when the thread that started it ends, so one thread is kept
        self._starter = ThreadPoolExecutor(1, "fork-server")

    def ask(self, request: dict[str, Any], modules: tuple[str, ...]) -> dict[str, Any]:
        """The answer of a watcher: with ``row``, or with ``status, message, seconds``."""
        for _ in range(_MAX_ATTEMPTS):
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
        message = f"the fork server died {_MAX_ATTEMPTS} times before it started this fit"
        return {"status": "killed", "message": message, "seconds": 0.0}

    def stop(self) -> None:
        """End all fits and servers."""
        with self._lock:
            self._forget_after_fork()
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for server in self._servers.values():
                server.close()
            self._servers.clear()

    def _connect(self, modules: tuple[str, ...]) -> socket.socket:
        with self._lock:
            self._forget_after_fork()
            if modules not in self._servers:
                self._servers[modules] = self._starter.submit(ForkServer, modules).result()
            connection = self._servers[modules].connect()
            self._connections.add(connection)
            return connection

    def _replace(self, modules: tuple[str, ...]) -> None:
        with self._lock:
            server = self._servers.get(modules)
            if server is not None and server.has_ended():
                self._servers.pop(modules).close()

    def _forget_after_fork(self) -> None:
        if self._owner != os.getpid():  # the parent's servers belong to the parent
            self._servers, self._connections, self._owner = {}, set(), os.getpid()
            self._starter = ThreadPoolExecutor(1, "fork-server")


class ForkServer:
    """The client's side of a running fork server.

    Parameters
    ----------
    modules : tuple of str
        Imported by the server before the first fit, besides the protocol.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._control, far = socket.socketpair()
        limits = thread_limits(os.environ.get("OMP_NUM_THREADS", "1"))
        with far:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "equate_srbench.bench.execution.fork_server",
                 str(far.fileno()), str(os.getpid()), _PROTOCOL, *modules],
                stdin=subprocess.DEVNULL, pass_fds=[far.fileno()],
                env=own_environment(**limits),
                start_new_session=True,  # Ctrl-C in a terminal goes to the whole foreground group
            )  # fmt: skip

    def has_ended(self) -> bool:
        """Whether the process is dead; one that was just killed takes a moment to be."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLEANUP_SECONDS)
        return self._process.returncode is not None

    def connect(self) -> socket.socket:
        """A socket to a new watcher; if the server is dead, its other end is closed."""
        near, far = socket.socketpair()
        with far, suppress(OSError):
            socket.send_fds(self._control, [b"f"], [far.fileno()])
        return near

    def close(self) -> None:
        """End the server; its watchers end by themselves."""
        self._control.close()
        self._process.kill()
        self._process.wait()


def _converse(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any] | None:
    """Send a watcher its request and wait for the answer; None if there was no watcher."""
    limit = request["time_limit"] + _GRACE_SECONDS
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
            message = f"no answer within {limit:g} s from the process that watches this fit"
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
    """Let a watcher clean up; if it was killed itself, kill the rest of its session."""
    with suppress(psutil.Error):
        psutil.Process(leader).wait(_CLEANUP_SECONDS)
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)


_shared = ForkServers()
atexit.register(_shared.stop)

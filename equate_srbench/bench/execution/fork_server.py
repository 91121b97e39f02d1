"""Fork server for isolated fits; exits when its client disconnects. See ``isolate`` for the client.

::

    runner --- fork server       has imported the methods once; waits for connections
       |         | fork
       +----- watcher            one per fit: enforces the limits, adopts orphans of the fit
                 | fork
                fit              loads the data, fits, writes its row to a pipe

Every process ends with the one that requested its work: server and watchers see the end of their
sockets, and the kernel kills server and fit (parent-death signal). None of them has threads, so
forking is safe.

``loky`` 3.7 and ``pebble`` 5.2 were tried instead. pebble on multiprocessing's fork server starts a
fit as fast (0.12 s; here about 0.1 s), but has no memory limit, leaves what a fit started running
after a timeout or a result, leaves the fit itself running when the client is killed, and notices an
``os._exit(0)`` only at the time limit. loky imports the methods anew for every isolated fit (about
9 s), fails all fits of a pool when one crashes, and has neither time nor memory limits per task.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import psutil

#: Seconds between checks of the memory of the fit itself, and of all its descendants.
_TICK, _SCAN = 0.05, 0.5
#: Maximum number of processes of a fit, to stop fork bombs.
MAX_PROCESSES = 64
#: Seconds within which all descendants of a fit are killed.
GONE_WITHIN = 5.0
_PIPE = 1 << 16  # capacity of a pipe in bytes
_MAX_OUTPUT = 1500  # characters of a dead fit's last output in the error message
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_EXTERNAL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str]) -> None:
    """Entry point: descriptor of the control socket, process number of the parent, modules."""
    control, parent = socket.socket(fileno=int(arguments[0])), int(arguments[1])
    _die_with(parent)  # the socket is not read during the imports
    for module in arguments[2:]:
        # an import that fails here fails in the fit as well, which reports it in its row
        with suppress(ImportError):
            import_module(module)
    _warm_provenance()
    serve(control)


def _warm_provenance() -> None:
    """Fill the cache of facts that every row repeats: finding the commit starts a process."""
    from equate_srbench.bench.provenance import provenance

    provenance()


def serve(control: socket.socket) -> None:
    """Fork a watcher for every socket received through ``control``, until that is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the watchers
    while True:
        message, (*descriptors,), _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        connection = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            try:
                control.close()
                _watch(connection)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        connection.close()


# -- the watcher -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a fit gave no row."""

    status: str
    message: str


def _watch(connection: socket.socket) -> None:
    """Read one request, run the fit, answer with its row or the reason why there is none."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    if sys.platform == "linux":  # orphans of the fit become children of this process
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    connection.sendall(f"{os.getpid()}\n".encode())  # the client knows now that there is a watcher
    with connection.makefile("rb") as lines:
        request = json.loads(lines.readline())
    start = time.monotonic()
    fit = WatchedFit(connection, request)
    try:
        found = fit.wait()
    finally:
        kill_descendants(fit.pid)
    if isinstance(found, _Failure):
        seconds = time.monotonic() - start
        answer = {"status": found.status, "message": found.message, "seconds": seconds}
        found = json.dumps(answer).encode() + b"\n"
    with suppress(ConnectionError):
        connection.sendall(found)


class WatchedFit:
    """A fit and its limits, seen from its parent process.

    Parameters
    ----------
    connection : socket
        To the client; when it is closed, the fit is killed.
    request : dict
        ``task`` (fields of a ``Task``), ``time_limit`` (seconds), ``memory_limit`` (bytes),
        ``env`` (variables to set).
    """

    def __init__(self, connection: socket.socket, request: dict[str, Any]) -> None:
        self._request = request
        self._end = time.monotonic() + request["time_limit"]
        self._next_check = self._next_scan = 0.0
        self._row, self._output = b"", b""
        self._client = connection
        self._result, result = os.pipe()
        self._printed, printed = os.pipe()
        sys.stdout.flush()
        watcher = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _fit(watcher, request, result, printed)
        os.close(result)
        os.close(printed)
        self._open = selectors.DefaultSelector()
        for source in (self._result, self._printed, connection.fileno()):
            self._open.register(source, selectors.EVENT_READ)
        self._process = psutil.Process(self.pid)
        self._others = len(psutil.pids())

    def wait(self) -> bytes | _Failure:
        """Wait for the row (a line of JSON), the end of the fit, or a limit."""
        while True:
            for key, _ in self._open.select(_TICK):
                if not self._read(key.fd):
                    if key.fd == self._client.fileno():
                        return _Failure("killed", "the client that requested this fit disconnected")
                    self._open.unregister(key.fd)
                    self._next_check = 0.0  # it has probably ended
            if time.monotonic() >= self._next_check:
                found = self._exit() or self._timeout() or self._excess()
                self._next_check = time.monotonic() + _TICK
                if found is not None:
                    return found
            if self._row.endswith(b"\n"):
                return self._row

    def _read(self, source: int) -> bool:
        """Read what is available; False at the end of the source."""
        try:
            chunk = os.read(source, _PIPE)
        except BlockingIOError:  # a child of a dead fit holds its pipe open
            return True
        except ConnectionError:
            return False
        if source == self._result:
            self._row += chunk
        elif source == self._printed:
            self._output = (self._output + chunk)[-_PIPE:]
        return bool(chunk)

    def _exit(self) -> _Failure | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        for source in (self._result, self._printed):  # its last output, at most a full pipe
            os.set_blocking(source, False)
            self._read(source)
        if self._row.endswith(b"\n"):
            return None
        code = os.waitstatus_to_exitcode(status)
        # faulthandler ends with the names of all loaded extension modules
        said = self._output.decode(errors="replace").partition("\nExtension modules:")[0]
        said = f"; it printed: {said.strip()[-_MAX_OUTPUT:]}" if said.strip() else ""
        if code >= 0:
            return _Failure("crash", f"ended without a result, exit code {code}{said}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if -code in _EXTERNAL_SIGNALS:
            return _Failure("killed", f"ended by {name}, from outside or for lack of memory{said}")
        return _Failure("crash", f"ended by {name}{said}")

    def _timeout(self) -> _Failure | None:
        if time.monotonic() < self._end:
            return None
        limit = self._request["time_limit"]
        return _Failure("timeout", f"not finished after {limit:g} s, the time limit of the process")

    def _excess(self) -> _Failure | None:
        """Check the number of processes and the resident memory.

        Address space is no measure: torch, CUDA, Julia and Haskell reserve far more than they use.
        """
        limit = self._request["memory_limit"]
        processes = [self._process]
        swarm = len(psutil.pids()) > self._others + MAX_PROCESSES
        if swarm:  # counting takes long while hundreds of processes run
            self._signal_group(signal.SIGSTOP)
        if swarm or time.monotonic() >= self._next_scan:
            processes = psutil.Process().children(recursive=True)
            self._next_scan = time.monotonic() + _SCAN
        if len(processes) > MAX_PROCESSES:
            return _Failure("killed", f"had {len(processes)} processes, limit {MAX_PROCESSES}")
        if swarm:  # processes of other users
            self._others = len(psutil.pids())
            self._signal_group(signal.SIGCONT)
        used = sum(_memory_of(process, "rss") for process in processes)
        if used > limit and len(processes) > 1:  # count pages shared by forks once
            used = sum(_memory_of(process, "pss") for process in processes)
        if used <= limit:
            return None
        return _Failure(
            "killed", f"held {used / 2**30:.1f} GB of memory, limit {limit / 2**30:.1f} GB"
        )

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _memory_of(process: psutil.Process, kind: str) -> int:
    """Resident memory in bytes; shared pages count fully (``rss``) or in shares (``pss``)."""
    with suppress(psutil.Error):
        if kind == "pss" and sys.platform == "linux":
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    return 0


def kill_descendants(group: int) -> None:
    """Kill all descendants of this process.

    Parameters
    ----------
    group : int
        Process group to kill as well, for systems without subreapers.
    """
    end = time.monotonic() + GONE_WITHIN
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while time.monotonic() < end:
        left = psutil.Process().children(recursive=True)
        for action in (psutil.Process.suspend, psutil.Process.kill):
            for process in left:  # stop all before killing the first: none can fork another
                with suppress(psutil.Error):
                    action(process)
        with suppress(ChildProcessError):  # raised when no child is left, not even a zombie
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.01)
            continue
        return


# -- the fit -----------------------------------------------------------------------------------


def _fit(watcher: int, request: dict[str, Any], result: int, printed: int) -> NoReturn:
    """Run the fit in this process and write its row; never returns."""
    try:
        _prepare_process(watcher, request["env"], printed)
        answer = json.dumps(_row_or_reason(request["task"])) + "\n"
        with open(result, "wb", closefd=False) as pipe:
            pipe.write(answer.encode())
        os._exit(0)  # skip destructors and exit handlers: the row is written
    except BaseException:  # including interrupts: a fit that ends its process has no result
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _prepare_process(watcher: int, env: dict[str, str], printed: int) -> None:
    os.setpgid(0, 0)
    _die_with(watcher)
    if sys.platform == "linux":
        with suppress(OSError):  # if the machine runs out of memory, the kernel kills the fit
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    faulthandler.enable(file=2, all_threads=False)
    os.environ.update(env)


def _row_or_reason(task: dict[str, Any]) -> dict[str, Any]:
    """Outermost boundary of a fit: any exception of a method becomes a row."""
    start = time.monotonic()
    try:
        from equate_srbench.bench.protocol import run_task
        from equate_srbench.bench.task import Task

        return {"row": run_task(Task.from_dict(task))}
    except SystemExit as error:
        status, message = "crash", f"ended its process by exit({error.code})"
    except MemoryError as error:
        status, message = "killed", f"memory allocation failed: {error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        status, message = "error", f"{type(error).__name__}: {error} ({where})"
    return {"status": status, "message": message, "seconds": time.monotonic() - start}


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

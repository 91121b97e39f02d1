"""The processes on the other side of ``isolate``: one that fits are forked from, one per fit.

::

    runner --- keeper            has imported the methods, so that a fit need not; waits
       |         | fork
       +----- watcher            one per fit, holds the limits, adopts what the fit leaves behind
                 | fork
                fit              loads the data, fits, writes its row into a pipe

Whoever loses the one who asked for its work ends: the keeper and the watchers read the end of their
sockets, and the kernel kills the keeper and the fit. Nothing here has threads, so forking is safe.
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

#: Seconds between two looks at the memory of the fit itself, and at all it has started.
_TICK, _SCAN = 0.05, 0.5
#: More processes than any method needs: a fork bomb.
MOST_PROCESSES = 64
#: Seconds in which everything that a fit has started is gone.
GONE_WITHIN = 5.0
_PIPE = 1 << 16  # bytes that a pipe holds
_MOST_SAID = 1500  # characters of what a dead fit printed last
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_DEATH_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(words: Sequence[str]) -> None:
    """Entry point: numbers of the control socket and of the parent, then modules to import."""
    control, parent = socket.socket(fileno=int(words[0])), int(words[1])
    _end_with(parent)  # while it imports, it does not read from its socket
    for module in words[2:]:
        # what cannot be imported here cannot be imported in the fit, which has a row to say so
        with suppress(ImportError):
            import_module(module)
    _warm_provenance()
    serve(control)


def _warm_provenance() -> None:
    """Ask once for what every row repeats: the commit costs a process."""
    from equate_srbench.bench.provenance import provenance

    provenance()


def serve(control: socket.socket) -> None:
    """Fork a watcher for every socket that comes through ``control``, until that ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the watchers
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
class _Verdict:
    """Why a fit gave no row."""

    status: str
    message: str


def _watch(connection: socket.socket) -> None:
    """Read one request, make the fit, answer with its row or with why there is none."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    if sys.platform == "linux":  # orphans of the fit come to this process, which can end them
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    connection.sendall(f"{os.getpid()}\n".encode())  # from here on there is a fit
    with connection.makefile("rb") as lines:
        request = json.loads(lines.readline())
    start = time.monotonic()
    watch = Watch(connection, request)
    try:
        found = watch.until_the_end()
    finally:
        end_descendants(watch.pid)
    if isinstance(found, _Verdict):
        seconds = time.monotonic() - start
        answer = {"status": found.status, "message": found.message, "seconds": seconds}
        found = json.dumps(answer).encode() + b"\n"
    with suppress(ConnectionError):
        connection.sendall(found)


class Watch:
    """A fit and its limits, seen from its parent.

    Parameters
    ----------
    connection : socket
        Of the one who waits for the row; its end is the end of the fit.
    request : dict
        ``task`` (fields of a ``Task``), ``time_limit`` (seconds), ``memory_limit`` (bytes),
        ``env`` (variables to set).
    """

    def __init__(self, connection: socket.socket, request: dict[str, Any]) -> None:
        self._request = request
        self._end = time.monotonic() + request["time_limit"]
        self._next_look = self._next_scan = 0.0
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

    def until_the_end(self) -> bytes | _Verdict:
        """Wait for the row (a line of JSON), the death of the fit, or a limit."""
        while True:
            for key, _ in self._open.select(_TICK):
                if not self._read(key.fd):
                    if key.fd == self._client.fileno():
                        return _Verdict("killed", "nobody waits for this fit any more")
                    self._open.unregister(key.fd)
                    self._next_look = 0.0  # probably dead
            if time.monotonic() >= self._next_look:
                found = self._death() or self._time() or self._size()
                self._next_look = time.monotonic() + _TICK
                if found is not None:
                    return found
            if self._row.endswith(b"\n"):
                return self._row

    def _read(self, source: int) -> bool:
        """Take what is there; False at the end of the source."""
        try:
            chunk = os.read(source, _PIPE)
        except BlockingIOError:  # a pipe of a dead fit that a child of it holds open
            return True
        except ConnectionError:
            return False
        if source == self._result:
            self._row += chunk
        elif source == self._printed:
            self._output = (self._output + chunk)[-_PIPE:]
        return bool(chunk)

    def _death(self) -> _Verdict | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        for source in (self._result, self._printed):  # what it said last, at most a full pipe
            os.set_blocking(source, False)
            self._read(source)
        if self._row.endswith(b"\n"):
            return None
        code = os.waitstatus_to_exitcode(status)
        # faulthandler ends with the names of all loaded extension modules
        said = self._output.decode(errors="replace").partition("\nExtension modules:")[0]
        said = f"; it printed: {said.strip()[-_MOST_SAID:]}" if said.strip() else ""
        if code >= 0:
            return _Verdict("crash", f"ended without a result, exit code {code}{said}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if -code in _DEATH_FROM_OUTSIDE:
            return _Verdict("killed", f"ended by {name}, from outside or for lack of memory{said}")
        return _Verdict("crash", f"ended by {name}{said}")

    def _time(self) -> _Verdict | None:
        if time.monotonic() < self._end:
            return None
        limit = self._request["time_limit"]
        return _Verdict("timeout", f"not finished after {limit:g} s, the time limit of the process")

    def _size(self) -> _Verdict | None:
        """Processes, and resident memory.

        Address space says nothing: torch, CUDA, Julia and Haskell reserve far more than they use.
        """
        limit = self._request["memory_limit"]
        processes = [self._process]
        swarm = len(psutil.pids()) > self._others + MOST_PROCESSES
        if swarm:  # looking closer takes long while hundreds of processes want to run
            self._signal_group(signal.SIGSTOP)
        if swarm or time.monotonic() >= self._next_scan:
            processes = psutil.Process().children(recursive=True)
            self._next_scan = time.monotonic() + _SCAN
        if len(processes) > MOST_PROCESSES:
            return _Verdict("killed", f"had {len(processes)} processes, limit {MOST_PROCESSES}")
        if swarm:  # somebody else's
            self._others = len(psutil.pids())
            self._signal_group(signal.SIGCONT)
        used = sum(_memory_of(process, "rss") for process in processes)
        if used > limit and len(processes) > 1:  # pages that forks share count once
            used = sum(_memory_of(process, "pss") for process in processes)
        if used <= limit:
            return None
        return _Verdict(
            "killed", f"held {used / 2**30:.1f} GB of memory, limit {limit / 2**30:.1f} GB"
        )

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _memory_of(process: psutil.Process, kind: str) -> int:
    """Bytes of resident memory (``rss``), or with shared pages in shares (``pss``)."""
    with suppress(psutil.Error):
        if kind == "pss" and sys.platform == "linux":
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    return 0


def end_descendants(group: int) -> None:
    """Kill everything that descends from this process, until nothing is left.

    Parameters
    ----------
    group : int
        A process group to kill besides, for systems where orphans go elsewhere.
    """
    end = time.monotonic() + GONE_WITHIN
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while time.monotonic() < end:
        left = psutil.Process().children(recursive=True)
        for action in (psutil.Process.suspend, psutil.Process.kill):
            for process in left:  # all stopped before the first dies: none can fork another
                with suppress(psutil.Error):
                    action(process)
        with suppress(ChildProcessError):  # raised when no child is left, not even a dead one
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.01)
            continue
        return


# -- the fit -----------------------------------------------------------------------------------


def _fit(watcher: int, request: dict[str, Any], result: int, printed: int) -> NoReturn:
    """Make the fit in this process and write its row; never returns."""
    try:
        _become_fit(watcher, request["env"], printed)
        answer = json.dumps(_row_or_reason(request["task"])) + "\n"
        with open(result, "wb", closefd=False) as pipe:
            pipe.write(answer.encode())
        os._exit(0)  # no destructors, no exit handlers: the row is out
    except BaseException:  # such as an interrupt: a fit that ends its process has no result
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _become_fit(watcher: int, env: dict[str, str], printed: int) -> None:
    os.setpgid(0, 0)
    _end_with(watcher)
    if sys.platform == "linux":
        with suppress(OSError):  # if memory runs out all the same, the kernel takes the fit
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    faulthandler.enable(file=2, all_threads=False)
    os.environ.update(env)


def _row_or_reason(task: dict[str, Any]) -> dict[str, Any]:
    """The outermost boundary of a fit: whatever a method raises becomes a row."""
    start = time.monotonic()
    try:
        from equate_srbench.bench.protocol import Task, run_task

        return {"row": run_task(Task.from_dict(task))}
    except SystemExit as error:
        status, message = "crash", f"ended its process by exit({error.code})"
    except MemoryError as error:
        status, message = "killed", f"memory refused by the system: {error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        status, message = "error", f"{type(error).__name__}: {error} ({where})"
    return {"status": status, "message": message, "seconds": time.monotonic() - start}


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however busy it is."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Child processes: their environment, lines of text in and out, and an end on time."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

#: Folder from which ``equate_srbench`` is imported.
PACKAGE_ROOT = Path(__file__).parents[2]
#: Variables by which numerical libraries limit their threads.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "JULIA_NUM_THREADS",
)  # fmt: skip
#: What would lead another interpreter to our packages. A Jupyter kernel sets ``MPLBACKEND`` to a
#: module of its own; without byte code, every start would compile the foreign package again.
_OF_THIS_INTERPRETER = (
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "MPLBACKEND",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_SECONDS_TO_COLLECT = 1.0  # a process that the child left behind may hold its output open


def own_environment(*folders: Path, **variables: str) -> dict[str, str]:
    """Environment in which this interpreter can import ``equate_srbench``.

    Parameters
    ----------
    *folders : Path
        Further folders to import from.
    **variables : str
        Set besides.

    Returns
    -------
    dict of str to str
        Otherwise this process's environment.
    """
    path = [str(PACKAGE_ROOT), *map(str, folders), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), **variables}


def foreign_environment(**variables: str) -> dict[str, str]:
    """Environment in which another interpreter sees none of this one's packages."""
    inherited = {k: v for k, v in os.environ.items() if k not in _OF_THIS_INTERPRETER}
    return {**inherited, **variables}


def thread_limits(threads: str = "1") -> dict[str, str]:
    """Environment variables that limit the threads of numerical libraries."""
    return dict.fromkeys(THREAD_VARIABLES, threads)


def last_lines(text: str, count: int = 3) -> str:
    """The last lines of a text, joined by ``|``."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])


class Child:
    """A child process that exchanges lines of text with this one.

    Its standard output is read by a thread, so that the child never waits for this process. Its
    standard error is kept for ``last_words``.

    Parameters
    ----------
    command : sequence of str
        The interpreter and its arguments.
    env : dict of str to str
        From ``own_environment`` or ``foreign_environment``.
    cwd : Path, optional
        Working folder; default: that of this process.
    new_session : bool, default=True
        Start a session: Ctrl-C in a terminal, which goes to the whole foreground group, does not
        reach the child, and ``close`` kills what the child has started in its group as well.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: dict[str, str],
        cwd: Path | None = None,
        new_session: bool = True,
    ) -> None:
        self._owner = os.getpid()
        self._new_session = new_session and os.name == "posix"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                text=True, env=env, cwd=cwd, start_new_session=self._new_session,
            )  # fmt: skip
        except OSError:
            self._errors.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._collector = threading.Thread(
            target=_collect, args=(self._process.stdout, self._lines), daemon=True
        )
        self._collector.start()

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    @property
    def is_ours(self) -> bool:
        """Whether this process started the child: a fork only has a copy of its parent's."""
        return self._owner == os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether the child is ours and has not ended."""
        return self.is_ours and self._process.poll() is None

    def send(self, line: str) -> None:
        """Write a line to the child's standard input.

        Raises
        ------
        BrokenPipeError
            If the child has ended.
        """
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def receive(self, seconds: float | None = None) -> str | None:
        """The next line of the child's standard output.

        Parameters
        ----------
        seconds : float, optional
            Time limit; default none.

        Returns
        -------
        str or None
            None once the child has closed its output, which it does at the latest when it ends.

        Raises
        ------
        TimeoutError
        """
        try:
            line = self._lines.get(timeout=None if seconds is None else max(0.0, seconds))
        except queue.Empty:
            raise TimeoutError(f"no line within {seconds:g} s") from None
        if line is None:
            self._lines.put(None)  # the end stays the end
        return line

    def wait(self, seconds: float | None = None) -> int | None:
        """Exit code of the child, minus the signal's number if one killed it.

        Parameters
        ----------
        seconds : float, optional
            Time limit; default none.

        Returns
        -------
        int or None
            None if the child still runs at the time limit.
        """
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def last_words(self, lines: int = 3) -> str:
        """The last lines that an ended child wrote to its standard error, joined by ``|``."""
        self._errors.seek(0)
        return last_lines(self._errors.read().decode(errors="replace"), lines)

    def close(self) -> None:
        """Kill the child, whatever it does; does nothing in a fork of this process."""
        if not self.is_ours:
            return
        if self._new_session:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._collector.join(_SECONDS_TO_COLLECT)
        with suppress(BrokenPipeError):  # what was not sent yet
            self._stdin.close()
        self._errors.close()


def _collect(output: TextIO, lines: queue.SimpleQueue[str | None]) -> None:
    """Pass on whole lines until the end, then None; a line cut off by a kill is dropped."""
    try:
        with output:
            for line in output:
                if line.endswith("\n"):
                    lines.put(line)
    except ValueError:  # not text
        pass
    lines.put(None)

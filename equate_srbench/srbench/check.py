"""``equate srbench check``: SRBench's contract and its reviewers' list, one finding per line."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import equate_srbench
from equate_srbench.srbench.findings import Finding
from equate_srbench.srbench.layout import check_files
from equate_srbench.srbench.probe import IMPORT
from equate_srbench.srbench.submission import Submission, SubmissionError
from equate_srbench.srbench.trials import TRIALS

#: Names of the checks of files, and of those that run the plugin, in order.
FILE_CHECKS = ("files", "name", "metadata", "installation", "no source")
RUN_CHECKS = (IMPORT, *TRIALS)

#: Most seconds until a new process starts its first check, and for ``pre_train``.
START_SECONDS = 300.0
#: Most seconds for the import of a plugin.
IMPORT_SECONDS = 60.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ROOT = str(Path(equate_srbench.__file__).parent.parent)


def refuse_unknown(names: Collection[str]) -> None:
    """Raise ``SubmissionError`` for the first name that no check has."""
    known = (*FILE_CHECKS, *RUN_CHECKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SubmissionError(f"no check {unknown[0]!r}: use some of {', '.join(known)}")


def check(submission: Submission, only: Collection[str] = ()) -> Iterator[Finding]:
    """Check a submission; the plugin runs in processes of its own that are killed if need be.

    Parameters
    ----------
    submission : Submission
    only : collection of str, optional
        Names from ``FILE_CHECKS`` and ``RUN_CHECKS``; default all.

    Yields
    ------
    Finding
        One for each check, in order, as soon as it is known.
    """
    for finding in check_files(submission):
        if not only or finding.name in only:
            yield finding
    waiting = [name for name in RUN_CHECKS if not only or name in only]
    if waiting and not (submission.method / "regressor.py").is_file():
        for name in waiting:
            yield Finding(name, False, "not run: there is no regressor.py")
        return
    while waiting:
        for finding in _one_process(submission, tuple(waiting)):
            waiting.remove(finding.name)
            yield finding
            if finding.name == IMPORT and not finding.ok and not _importable(finding):
                for name in waiting:
                    yield Finding(name, False, "not run: regressor.py cannot be imported")
                return


def _importable(finding: Finding) -> bool:
    """Whether a failed import is one that was slow, or asked the network, but came to an end."""
    return finding.detail.startswith("importing ")


def _one_process(submission: Submission, names: Sequence[str]) -> Iterator[Finding]:
    """Findings of one process, at least one: what it died of is a finding too."""
    with tempfile.TemporaryDirectory(prefix="equate-srbench-") as folder:
        log, work = Path(folder) / "log", Path(folder) / "work"
        work.mkdir()
        read, write = os.pipe()
        with os.fdopen(read, "rb", 0) as pipe, log.open("wb") as output:
            try:
                process = _start(submission, names, write, output, work)
            finally:
                os.close(write)  # the end of the file is the end of the process
            try:
                yield from _watch(process, _Lines(pipe), names, log)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _watch(
    process: subprocess.Popen[bytes], lines: _Lines, names: Sequence[str], log: Path
) -> Iterator[Finding]:
    """Findings until the last one, a check that takes too long, or the end of the process."""
    queue = list(names)
    limit, late = START_SECONDS, "it never started"
    while queue:
        try:
            message = lines.next(limit)
        except TimeoutError:
            yield Finding(queue[0], False, f"still running after {limit:g} s: {late}")
            return
        if message is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            yield Finding(queue[0], False, _last_words(process.returncode, log))
            return
        if message["event"] == "end":
            yield Finding(queue.pop(0), message["ok"], message["detail"])
            limit, late = START_SECONDS, "the process does not go on"
        elif message["event"] == "load":
            limit, late = START_SECONDS, "pre_train does not end"
        elif queue[0] == IMPORT:
            limit, late = IMPORT_SECONDS, "do nothing at import"
        else:
            limit, late = TRIALS[queue[0]].limit, TRIALS[queue[0]].late


def _start(
    submission: Submission, names: Sequence[str], write: int, output: Any, work: Path
) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    experiment = str(submission.experiment.resolve())
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "equate_srbench.srbench.probe", experiment, submission.name,
         str(write), *names],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[write], cwd=work,
        env={**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": path},
        start_new_session=True,  # so that what it starts is killed with it
    )  # fmt: skip


class _Lines:
    """Messages from a pipe, each within a time limit."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._rest = pipe, b""

    def next(self, seconds: float) -> dict[str, Any] | None:
        """The next message, None at the end; raises TimeoutError."""
        end = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                raise TimeoutError
            more = self._pipe.read(65536)
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


def _last_words(returncode: int | None, log: Path) -> str:
    """What a dead process said last, or how it died."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if returncode == 1 and lines:
        return lines[-1].strip()
    if returncode is not None and returncode < 0:
        return f"the process died of {signal.Signals(-returncode).name}"
    return f"the process ended with exit code {returncode} in the middle of the check"

"""Check a submission against SRBench's contract and its reviewers' list."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from equate_srbench.runtime.child import Child, own_environment, thread_limits
from equate_srbench.srbench.findings import Finding
from equate_srbench.srbench.layout import check_files
from equate_srbench.srbench.probe import IMPORT
from equate_srbench.srbench.submission import Submission, SubmissionError
from equate_srbench.srbench.trials import TRIALS

#: Names of the checks of files, and of those that run the plugin, in order.
FILE_CHECKS = ("files", "name", "metadata", "installation", "no source")
RUN_CHECKS = (IMPORT, *TRIALS)

#: Time limit for a new process to start its first check, and for ``pre_train``.
START_SECONDS = 300.0
#: Time limit for the import of a plugin.
IMPORT_SECONDS = 60.0


def refuse_unknown(names: Collection[str]) -> None:
    """Raise ``SubmissionError`` if a name is not that of a check."""
    known = (*FILE_CHECKS, *RUN_CHECKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SubmissionError(f"no check {unknown[0]!r}: use some of {', '.join(known)}")


def check(submission: Submission, only: Collection[str] = ()) -> Iterator[Finding]:
    """Check a submission; the plugin runs in child processes with time limits.

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
    """Whether a failed import check completed: the import was slow or used the network."""
    return finding.detail.startswith("importing ")


def _one_process(submission: Submission, names: Sequence[str]) -> Iterator[Finding]:
    """Findings of one process, at least one: the cause of its death is a finding as well."""
    experiment = str(submission.experiment.resolve())
    probe = [sys.executable, "-m", "equate_srbench.srbench.probe"]
    with tempfile.TemporaryDirectory(prefix="equate-srbench-") as work:
        child = Child(
            [*probe, experiment, submission.name, *names],
            env=own_environment(**thread_limits()),
            cwd=Path(work),
        )
        try:
            yield from _findings(child, names)
        finally:
            child.close()


def _findings(child: Child, names: Sequence[str]) -> Iterator[Finding]:
    """Findings up to the last one, a timeout, or the end of the process."""
    queue = list(names)
    limit, late = START_SECONDS, "it never started"
    while queue:
        try:
            line = child.receive(limit)
        except TimeoutError:
            yield Finding(queue[0], False, f"still running after {limit:g} s: {late}")
            return
        if line is None:
            yield Finding(queue[0], False, _cause_of_death(child))
            return
        message: dict[str, Any] = json.loads(line)
        if message["event"] == "end":
            yield Finding(queue.pop(0), message["ok"], message["detail"])
            limit, late = START_SECONDS, "the process did not continue"
        elif message["event"] == "load":
            limit, late = START_SECONDS, "pre_train did not end"
        elif queue[0] == IMPORT:
            limit, late = IMPORT_SECONDS, "do no work at import"
        else:
            limit, late = TRIALS[queue[0]].limit, TRIALS[queue[0]].late


def _cause_of_death(child: Child) -> str:
    """The last line that a dead process wrote, or how it died."""
    code = child.wait(5.0)
    said = child.last_words(1)
    if code == 1 and said:
        return said
    if code is not None and code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with exit code {code} in the middle of the check"

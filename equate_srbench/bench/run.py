"""Many fits: submit what is missing or failed, keep every row as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from equate_srbench.bench.execution import isolate
from equate_srbench.bench.execution.engines import EngineError, worker_env
from equate_srbench.bench.protocol import Task
from equate_srbench.bench.rows import RowStore, failure_row

_LOOK_SECONDS = 0.5  # how often a run asks whether it should pause
_ENDING_SECONDS = 10.0  # most seconds that an interrupted run waits for its fits to end


@dataclass(frozen=True, slots=True)
class Limits:
    """What a fit may use.

    Attributes
    ----------
    seconds : float or None, default=None
        Wall clock of the fit's process; None: ``isolate.default_time_limit`` of the task.
    memory : int, default=10 GiB
        Bytes.
    """

    seconds: float | None = None
    memory: int = isolate.MEMORY_LIMIT


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    Attributes
    ----------
    total : int
        Fits asked for.
    kept : int
        Finished before, not run again.
    done, failed : int
        Run now, with a result and without.
    seconds : float
        Wall clock.
    interrupted : bool
        Whether Ctrl-C or a pause ended the run; what had finished is kept.
    """

    total: int
    kept: int
    done: int
    failed: int
    seconds: float
    interrupted: bool

    @property
    def missing(self) -> int:
        """Fits not made, because the run was interrupted."""
        return self.total - self.kept - self.done - self.failed


class Progress(Protocol):
    """What is told about a run while it runs."""

    def begin(self, total: int, kept: list[dict[str, Any]], running: Callable[[], int]) -> None:
        """Fits asked for, rows that are there already, and how many fits run at the moment."""

    def row(self, row: dict[str, Any]) -> None:
        """Take a row that has just been kept."""


def run(
    tasks: Iterable[Task],
    store: RowStore,
    engine: Executor,
    *,
    progress: Progress | None = None,
    limits: Limits = Limits(),
    pause: Callable[[], bool] = lambda: False,
) -> Summary:
    """Make the fits that have no row yet, or the row of a failure.

    Parameters
    ----------
    tasks : iterable of Task
        Equal tasks count once.
    store : RowStore
        Each row is written the moment it arrives.
    engine : Executor
        From ``make_engine``; ended when the run is interrupted, else left open.
    progress : Progress, optional
    limits : Limits
    pause : callable, optional
        Asked twice a second; once it says True, no fit begins any more, those that run on this
        machine come to their end, and the run is over.

    Returns
    -------
    Summary
        Also after Ctrl-C: running fits are ended then, finished ones are kept.

    Raises
    ------
    EngineError
        If the engine takes no fits as it was asked to.
    OSError
        If a row cannot be written (disk full); running fits are ended, rows so far are whole.
    """
    start = time.monotonic()
    asked = {task.key: task for task in tasks}
    kept = [row for row in store if row["status"] == "ok" and row["key"] in asked]
    missing = dict(asked)
    for row in kept:
        del missing[row["key"]]
    ok = failed = 0
    interrupted, finished = False, False
    waiting: dict[Future[dict[str, Any]], Task] = {}
    try:
        if progress is not None:
            progress.begin(len(asked), kept, lambda: _running(engine, waiting))
        folder = store.folder.resolve() if getattr(engine, "keeps_rows", False) else None
        for task in missing.values():
            waiting[engine.submit(fit_and_keep, task, limits, folder)] = task
        for future in _ended(waiting, pause):
            row = _row(future, waiting.pop(future), store)
            store.write(row)
            ok, failed = ok + (row["status"] == "ok"), failed + (row["status"] != "ok")
            if progress is not None:
                progress.row(row)
        interrupted = len(asked) > len(kept) + ok + failed
        finished = not interrupted
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if not finished:
            _abandon(engine, waiting)
    return Summary(len(asked), len(kept), ok, failed, time.monotonic() - start, interrupted)


def fit_and_keep(task: Task, limits: Limits, folder: Path | None) -> dict[str, Any]:
    """One fit, on whichever machine this is called.

    Parameters
    ----------
    task : Task
    limits : Limits
    folder : Path or None
        Of a ``RowStore`` to write the row to, for engines whose workers outlive the run.

    Returns
    -------
    dict
        The row.
    """
    row = isolate.run_isolated(
        task, time_limit=limits.seconds, memory_limit=limits.memory, env=worker_env()
    )
    if folder is not None:
        RowStore(folder).write(row)
    return row


def _ended(
    waiting: dict[Future[dict[str, Any]], Task], pause: Callable[[], bool]
) -> Iterator[Future[dict[str, Any]]]:
    """Futures as they end; a pause takes those out of ``waiting`` that have not begun."""
    left = set(waiting)
    while left:
        done, left = wait(left, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
        yield from done
        if left and pause():
            for future in [future for future in left if future.cancel()]:
                left.discard(future)
                del waiting[future]


def _row(future: Future[dict[str, Any]], task: Task, store: RowStore) -> dict[str, Any]:
    """The row of a finished call; if the engine lost it, what the worker kept, or a failure."""
    try:
        return future.result()
    except EngineError:
        raise  # what was asked for is wrong, and so it is for every other fit
    except CancelledError:
        message = "the engine gave this fit up"
    except Exception as error:  # whatever an engine raises for a lost worker
        message = f"the engine lost this fit: {type(error).__name__}: {error}"
    try:
        return store.read(task.key)
    except KeyError:
        return failure_row(task, "killed", message, 0.0)


def _running(engine: Executor, waiting: dict[Future[dict[str, Any]], Task]) -> int:
    """Fits that run now, as far as the engine knows."""
    told = getattr(engine, "running", None)
    if told is None:
        return sum(future.running() for future in list(waiting))
    return min(int(told()), len(waiting))


def _abandon(engine: Executor, waiting: dict[Future[dict[str, Any]], Task]) -> None:
    """Cancel what waits and end what runs."""
    end = time.monotonic() + _ENDING_SECONDS
    while True:  # a thread may just have begun its next fit
        engine.shutdown(wait=False, cancel_futures=True)
        if not wait(list(waiting), timeout=0.2).not_done or time.monotonic() > end:
            return

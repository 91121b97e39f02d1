"""Run many fits: submit those that are missing or failed, store every row as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from equate_srbench.bench.execution import isolate
from equate_srbench.bench.execution.engines import EngineError, worker_env
from equate_srbench.bench.rows import RowStore, failure_row
from equate_srbench.bench.task import Task

_POLL_SECONDS = 0.5  # interval at which a run checks whether it should pause
_SHUTDOWN_SECONDS = 10.0  # time limit for the fits of an interrupted run to end


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a fit.

    Attributes
    ----------
    seconds : float or None, default=None
        Wall clock of the fit's process; None: ``isolate.default_time_limit`` of the task.
    memory : int, default=10 GiB
        Bytes of resident memory.
    """

    seconds: float | None = None
    memory: int = isolate.MEMORY_LIMIT


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Outcome of a run.

    Attributes
    ----------
    total : int
        Number of requested fits.
    kept : int
        Fits that had a result before, not run again.
    done, failed : int
        Fits run now, with and without a result.
    seconds : float
        Wall clock.
    interrupted : bool
        Whether Ctrl-C or a pause ended the run.
    """

    total: int
    kept: int
    done: int
    failed: int
    seconds: float
    interrupted: bool

    @property
    def missing(self) -> int:
        """Fits that were not run because of an interruption."""
        return self.total - self.kept - self.done - self.failed


class RunObserver(Protocol):
    """Receives the events of a run."""

    def begin(self, total: int, kept: list[dict[str, Any]], running: Callable[[], int]) -> None:
        """Called first: requested fits, existing rows, and a function that counts running fits."""

    def row(self, row: dict[str, Any]) -> None:
        """Called with every row that has just been stored."""


def run(
    tasks: Iterable[Task],
    store: RowStore,
    engine: Executor,
    *,
    progress: RunObserver | None = None,
    limits: Limits = Limits(),
    pause: Callable[[], bool] = lambda: False,
) -> RunSummary:
    """Run the fits that have no row yet, or the row of a failure.

    Parameters
    ----------
    tasks : iterable of Task
        Duplicates are run once.
    store : RowStore
        Receives each row as soon as it arrives.
    engine : Executor
        From ``make_engine``; shut down if the run is interrupted, else left open.
    progress : RunObserver, optional
    limits : Limits
    pause : callable, optional
        Polled twice a second; once True, no fit starts, and the run ends with the running fits.

    Returns
    -------
    RunSummary
        Also after Ctrl-C, which ends the running fits and keeps the finished ones.

    Raises
    ------
    EngineError
        If the engine rejects the fits, for example for wrong scheduler options.
    OSError
        If a row cannot be written (disk full); running fits are ended, earlier rows stay intact.
    """
    start = time.monotonic()
    asked = {task.key: task for task in tasks}
    kept = [row for row in store if row["status"] == "ok" and row["key"] in asked]
    finished = {row["key"] for row in kept}
    missing = [task for key, task in asked.items() if key not in finished]
    ok, failed, interrupted = 0, 0, True
    waiting: dict[Future[dict[str, Any]], Task] = {}
    try:
        if progress is not None:
            progress.begin(len(asked), kept, lambda: _running(engine, waiting))
        folder = store.folder.resolve() if getattr(engine, "keeps_rows", False) else None
        for task in missing:
            waiting[engine.submit(fit_and_keep, task, limits, folder)] = task
        for row in _stored_rows(waiting, store, pause):
            ok, failed = ok + (row["status"] == "ok"), failed + (row["status"] != "ok")
            if progress is not None:
                progress.row(row)
        interrupted = len(asked) > len(kept) + ok + failed
    except KeyboardInterrupt:
        pass
    finally:
        if interrupted:
            _abandon(engine, waiting)
    return RunSummary(len(asked), len(kept), ok, failed, time.monotonic() - start, interrupted)


def fit_and_keep(task: Task, limits: Limits, folder: Path | None) -> dict[str, Any]:
    """Run one fit on the machine that this is called on.

    Parameters
    ----------
    task : Task
    limits : Limits
    folder : Path or None
        Of a ``RowStore`` to write the row to as well: workers of some engines outlive the run.

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


def _stored_rows(
    waiting: dict[Future[dict[str, Any]], Task], store: RowStore, pause: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Store and yield the row of each future as it ends."""
    for future in _ended(waiting, pause):
        row = _row(future, waiting.pop(future), store)
        store.write(row)
        yield row


def _ended(
    waiting: dict[Future[dict[str, Any]], Task], pause: Callable[[], bool]
) -> Iterator[Future[dict[str, Any]]]:
    """Futures as they end; a pause removes those from ``waiting`` that have not started."""
    left = set(waiting)
    while left:
        done, left = wait(left, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        yield from done
        if left and pause():
            for future in [future for future in left if future.cancel()]:
                left.discard(future)
                del waiting[future]


def _row(future: Future[dict[str, Any]], task: Task, store: RowStore) -> dict[str, Any]:
    """The row of a finished call; if the engine lost it, the stored row, or that of a failure."""
    try:
        return future.result()
    except EngineError:
        raise  # the request is invalid, also for every other fit
    except CancelledError:
        message = "the engine cancelled this fit"
    except Exception as error:  # whatever an engine raises for a lost worker
        message = f"the engine lost this fit: {type(error).__name__}: {error}"
    try:
        return store.read(task.key)
    except KeyError:
        return failure_row(task, "killed", message, 0.0)


def _running(engine: Executor, waiting: dict[Future[dict[str, Any]], Task]) -> int:
    """Number of running fits, as far as the engine knows."""
    told = getattr(engine, "running", None)
    if told is None:
        return sum(future.running() for future in list(waiting))
    return min(int(told()), len(waiting))


def _abandon(engine: Executor, waiting: dict[Future[dict[str, Any]], Task]) -> None:
    """Cancel waiting fits and end running ones."""
    end = time.monotonic() + _SHUTDOWN_SECONDS
    while True:  # a thread may just have started its next fit
        engine.shutdown(wait=False, cancel_futures=True)
        if not wait(list(waiting), timeout=0.2).not_done or time.monotonic() > end:
            return

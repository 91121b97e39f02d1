"""Benchmark rows for a notebook: existing rows are read, missing fits are run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from equate_srbench.baselines import environments
from equate_srbench.baselines import methods as registry
from equate_srbench.bench.execution.isolate import default_time_limit
from equate_srbench.bench.execution.plan import BenchPlan, Workplace
from equate_srbench.bench.execution.run import Limits
from equate_srbench.bench.execution.run import run as run_tasks
from equate_srbench.bench.rows import RowStore
from equate_srbench.bench.task import Task
from equate_srbench.report.notebooks.show import StatusLine
from equate_srbench.runtime.live import duration

_INTERVAL = 0.5  # seconds between updates of the status line


def plan(
    suite: str,
    methods: Iterable[str],
    *,
    seeds: int = 1,
    noise: Iterable[float] = (0.0,),
    max_time: float = 5.0,
    every: int = 1,
) -> BenchPlan:
    """Plan fits by SRBench's protocol as ``equate bench`` follows it, without scaling.

    Parameters
    ----------
    suite : str
    methods : iterable of str
    seeds : int, default=1
        The first so many of SRBench's seeds.
    noise : iterable of float, default=(0.0,)
    max_time : float, default=5.0
        Seconds per fit.
    every : int, default=1
        Use every k-th dataset.
    """
    return BenchPlan(suite, tuple(methods), seeds, tuple(noise), max_time, every, False, 1000)


def rows(
    wanted: BenchPlan,
    run: str | Path,
    *,
    settings: Iterable[Mapping[str, Any]] = ({},),
    engine: str = "local",
    jobs: int = 0,
) -> pd.DataFrame:
    """Rows of a plan; fits that are missing or failed are run first.

    Parameters
    ----------
    wanted : BenchPlan
    run : str or Path
        Folder of the rows; rows of other plans are neither changed nor returned.
    settings : iterable of mapping, default=({},)
        Parameters of the methods: each task is run once with each of them.
    engine : {"local", "dask", "slurm"}, default="local"
    jobs : int, default=0
        Number of parallel fits; 0: one per processor.

    Returns
    -------
    DataFrame
        As returned by ``RowStore.frame``.

    Raises
    ------
    ValueError
        If the suite, a method or the engine is unknown.
    InstallError
        If a method needs a separate environment that cannot be created.
    KeyboardInterrupt
        If the run was stopped; finished rows are kept.
    """
    variants = [dict(setting) for setting in settings]
    tasks = [replace(t, settings=s) for t in wanted.tasks() for s in variants]
    store = RowStore(run)
    keys = {task.key for task in tasks}
    done = {row["key"] for row in store if row["status"] == "ok"}
    line = StatusLine()
    if keys - done:
        _install([t.method for t in tasks if t.key not in done], line)
        _run(tasks, store, wanted.max_time, Workplace(engine, jobs, "cpu", "", ()), line)
    frame = store.frame()
    frame = frame[frame["key"].isin(keys)].reset_index(drop=True)
    line(f"{len(keys - done)} fits made, {len(keys & done)} read from {run}.")
    return frame


def _run(
    tasks: list[Task], store: RowStore, max_time: float, where: Workplace, line: StatusLine
) -> None:
    limits = Limits(default_time_limit(max_time))
    engine = where.engine(store.folder, limits)
    summary = run_tasks(tasks, store, engine, progress=_RunStatus(line), limits=limits)
    if summary.interrupted:
        raise KeyboardInterrupt(f"{summary.missing} fits are missing; run again to make them")
    engine.shutdown()


def _install(methods: Iterable[str], line: StatusLine) -> None:
    """Create the environments of methods that need a separate one."""
    for name in dict.fromkeys(map(registry.resolve, methods)):
        if environments.is_missing(name):
            environments.install(name, report=line)


class _RunStatus:
    """Reports the progress of a run to a status line; see ``bench.execution.run.RunObserver``."""

    def __init__(self, line: StatusLine) -> None:
        self._line, self._updated = line, 0.0
        self._total = self._done = self._failed = self._kept = 0
        self._start = time.monotonic()

    def begin(self, total: int, kept: list[dict[str, Any]], running: Callable[[], int]) -> None:
        """Receive the number of fits, and the rows that exist."""
        self._total, self._kept = total - len(kept), len(kept)
        self._line(f"0 of {self._total} fits, {self._kept} exist already")

    def row(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self._done += 1
        self._failed += row["status"] != "ok"
        now = time.monotonic()
        if now - self._updated < _INTERVAL:
            return
        self._updated = now
        left = (self._total - self._done) * (now - self._start) / self._done
        failed = f", {self._failed} failed" if self._failed else ""
        self._line(
            f"{self._done} of {self._total} fits{failed}, {duration(left)} left; "
            f"last: {row['dataset']}, {row['method']}"
        )

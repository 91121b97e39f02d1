"""Rows for a notebook: what is missing is run, what is there is read."""

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
from equate_srbench.report.notebooks.show import Line
from equate_srbench.runtime.live import duration

_EVERY_SECONDS = 0.5  # between two states of the line


def plan(
    suite: str,
    methods: Iterable[str],
    *,
    seeds: int = 1,
    noise: Iterable[float] = (0.0,),
    max_time: float = 5.0,
    every: int = 1,
) -> BenchPlan:
    """Which fits: SRBench's protocol as ``equate bench`` follows it, unscaled."""
    return BenchPlan(suite, tuple(methods), seeds, tuple(noise), max_time, every, False, 1000)


def rows(
    wanted: BenchPlan,
    run: str | Path,
    *,
    settings: Iterable[Mapping[str, Any]] = ({},),
    engine: str = "local",
    jobs: int = 0,
) -> pd.DataFrame:
    """Rows of a plan; fits that have no row yet, or failed, are made first.

    Parameters
    ----------
    wanted : BenchPlan
    run : str or Path
        Folder of the rows; others in it are left alone, and left out.
    settings : iterable of mapping, default=({},)
        Parameters of the methods: each task is made once with each.
    engine : {"local", "dask", "slurm"}, default="local"
    jobs : int, default=0
        Fits at the same time; 0: one per processor.

    Returns
    -------
    DataFrame
        As ``RowStore.frame`` gives it.

    Raises
    ------
    ValueError
        Unknown suites, methods and engines.
    InstallError
        If a method lives in an environment of its own that cannot be made.
    KeyboardInterrupt
        If the run was stopped; finished rows are kept.
    """
    variants = [dict(setting) for setting in settings]
    tasks = [replace(t, settings=s) for t in wanted.tasks() for s in variants]
    store = RowStore(run)
    keys = {task.key for task in tasks}
    done = {row["key"] for row in store if row["status"] == "ok"}
    line = Line()
    if keys - done:
        _install([t.method for t in tasks if t.key not in done], line)
        _run(tasks, store, wanted.max_time, Workplace(engine, jobs, "cpu", "", ()), line)
    frame = store.frame()
    frame = frame[frame["key"].isin(keys)].reset_index(drop=True)
    line(f"{len(keys - done)} fits made now, {len(keys & done)} were in {run}.")
    return frame


def _run(tasks: list[Task], store: RowStore, max_time: float, where: Workplace, line: Line) -> None:
    limits = Limits(default_time_limit(max_time))
    engine = where.engine(store.folder, limits)
    summary = run_tasks(tasks, store, engine, progress=_Progress(line), limits=limits)
    if summary.interrupted:
        raise KeyboardInterrupt(f"{summary.missing} fits to go; run again to make them")
    engine.shutdown()


def _install(methods: Iterable[str], line: Line) -> None:
    """Make the environments of the rivals that have one of their own."""
    for name in dict.fromkeys(map(registry.resolve, methods)):
        if name in environments.PACKAGES and not environments.PACKAGES[name].is_installed:
            environments.install(name, report=line)


class _Progress:
    """Tells a line how a run goes; see ``bench.execution.run.RunObserver``."""

    def __init__(self, line: Line) -> None:
        self._line, self._told = line, 0.0
        self._total = self._done = self._failed = self._kept = 0
        self._start = time.monotonic()

    def begin(self, total: int, kept: list[dict[str, Any]], running: Callable[[], int]) -> None:
        """Learn what is to be done."""
        self._total, self._kept = total - len(kept), len(kept)
        self._line(f"0 of {self._total} fits, {self._kept} were there")

    def row(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self._done += 1
        self._failed += row["status"] != "ok"
        now = time.monotonic()
        if now - self._told < _EVERY_SECONDS:
            return
        self._told = now
        left = (self._total - self._done) * (now - self._start) / self._done
        failed = f", {self._failed} failed" if self._failed else ""
        self._line(
            f"{self._done} of {self._total} fits{failed}, {duration(left)} left; "
            f"last: {row['dataset']}, {row['method']}"
        )

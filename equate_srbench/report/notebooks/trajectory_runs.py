"""Fits of a suite with all their search steps, kept on disk: only missing fits are made."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.baselines import methods
from equate_srbench.bench.metrics import accuracy
from equate_srbench.bench.protocol import split
from equate_srbench.bench.provenance import provenance
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.report.tables.trajectories import FIT_KEYS, SuiteTrajectories
from equate_srbench.runtime.files import publish

_FIT, _STEPS, _EMBEDDINGS = "fit.json", "steps.parquet", "places.npy"


def tasks(
    suite: str, preset: str, *, seeds: int, noise: float, max_time: float, every: int
) -> list[Task]:
    """One fit per data set and seed, under the protocol of ``equate bench``.

    Parameters
    ----------
    suite : str
    preset : {"default", "paper", "fast"}
    seeds : int
        The first so many of SRBench's seeds.
    noise : float
    max_time : float
        Seconds per fit.
    every : int
        Use every k-th dataset.
    """
    method = {"default": "equate", "paper": "equate-paper", "fast": "equate-fast"}[preset]
    return [
        Task(suite=suite, dataset=name, method=method, seed=seed, noise=noise, max_time=max_time)
        for name in load_suite(suite).datasets[::every]
        for seed in SEEDS[:seeds]
    ]


def collect(
    wanted: Iterable[Task], run: str | Path, report: Callable[[str], object] = lambda text: None
) -> SuiteTrajectories:
    """Make the missing fits, and read all of them.

    Parameters
    ----------
    wanted : iterable of Task
        Their methods must record a ``trajectory_``.
    run : str or Path
        Each fit is stored in ``run/trajectories/KEY``, in one atomic step.
    report : callable, optional
        Called with a status line.

    Returns
    -------
    SuiteTrajectories
    """
    listed = list(wanted)
    folder = Path(run) / "trajectories"
    missing = [task for task in listed if not (folder / task.key / _FIT).is_file()]
    for number, task in enumerate(missing):
        report(f"fit {number + 1} of {len(missing)}: {task.dataset}")
        publish(folder / task.key, _fit(task))
    report(f"{len(missing)} fits made, {len(listed) - len(missing)} read from {folder}.")
    return _read([folder / task.key for task in listed])


def _fit(task: Task) -> dict[str, str | bytes]:
    """Fit one data set; returns the files to store, by name."""
    data = load_suite(task.suite).load(task.dataset, max_rows=task.max_rows, seed=task.seed)
    rows = split(task, data)
    estimator = methods.make(
        task.method, max_time=task.max_time, random_state=task.seed, **task.settings
    )
    estimator.fit(rows.X_train, rows.y_train)
    table = estimator.trajectory_
    predicted = [estimator.predict(X) for X in (rows.X_train, rows.X_test)]
    fit = {
        "dataset": task.dataset, "seed": task.seed, "method": task.method,
        "max_time": task.max_time, "noise": task.noise,
        **accuracy(rows.y_train, predicted[0], rows.y_test, predicted[1]),
        "complexity": estimator.equation_.complexity, "equation": str(estimator.equation_),
        "features": [str(name) for name in rows.X_train.columns],
        "source": _source(estimator), "n_proposals": int((table["source"] == "ascent").sum()),
        "fit_seconds": estimator.fit_time_,
        **{k: _plain(v) for k, v in estimator.diagnostics_.items() if isinstance(v, int | float)},
        **provenance().model_dump(mode="json"),
    }  # fmt: skip
    steps, embeddings = io.BytesIO(), io.BytesIO()
    table.to_parquet(steps, index=False)
    found = getattr(estimator, "embeddings_", np.empty((len(table), 0)))
    np.save(embeddings, np.asarray(found, dtype=np.float16), allow_pickle=False)
    text = json.dumps(fit, indent=1)
    return {_STEPS: steps.getvalue(), _EMBEDDINGS: embeddings.getvalue(), _FIT: text}


def _source(estimator: Any) -> str:
    """Source that first reached the final accuracy; shortening comes last and adds none."""
    tried = estimator.candidates_
    answer = tried.loc[tried["equation"] == str(estimator.equation_), "r2"]
    error = 1.0 - float(answer.max()) if len(answer) else 0.0
    reached = tried[(1.0 - tried["r2"] <= 1.05 * error + 1e-9) & (tried["source"] != "shorten")]
    return str(reached.loc[reached["seconds"].idxmin(), "source"]) if len(reached) else "shorten"


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _read(folders: list[Path]) -> SuiteTrajectories:
    fits, steps, embeddings = [], [], []
    for folder in folders:
        fit = json.loads((folder / _FIT).read_text(encoding="utf-8"))
        fits.append(fit)
        steps.append(pd.read_parquet(folder / _STEPS).assign(**{k: fit[k] for k in FIT_KEYS}))
        embeddings.append(np.load(folder / _EMBEDDINGS, allow_pickle=False).astype(np.float32))
    width = max(part.shape[1] for part in embeddings)
    wide = [e if e.shape[1] == width else np.full((len(e), width), np.nan) for e in embeddings]
    return SuiteTrajectories(
        pd.DataFrame(fits), pd.concat(steps, ignore_index=True), np.concatenate(wide)
    )

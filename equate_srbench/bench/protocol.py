"""SRBench's protocol for one fit: rows, split, scaling, noise, fit, metrics.

Deviations from SRBench are noted where they occur and listed in ``docs/benchmark.md``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import warnings
import zlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from equate_srbench.baselines import methods
from equate_srbench.bench import metrics
from equate_srbench.bench.recovery import Law
from equate_srbench.bench.rows import make_row
from equate_srbench.bench.suites.drawing import Range
from equate_srbench.bench.suites.loading import Dataset, load_suite
from equate_srbench.bench.task import Task
from equate_srbench.expr.text.names import plain_names
from equate_srbench.problem.domain import UndefinedWarning

Array = NDArray[np.float64]

_MAX_TRACE_POINTS = 100


@dataclasses.dataclass(frozen=True)
class TrainTestSplit:
    """Training and test rows of one fit.

    Attributes
    ----------
    X_train, X_test : DataFrame
        Column names are valid in a formula.
    y_train, y_test : ndarray
        Targets in the units of the fit; ``y_train`` with noise, ``y_test`` without.
    truth : str or None
        The true formula in the same units and names.
    law : Law or None
        The same with the ranges in which it is to hold.
    """

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: Array
    y_test: Array
    truth: str | None
    law: Law | None


def split(task: Task, data: Dataset) -> TrainTestSplit:
    """Split a dataset as SRBench does, with its scaling and noise.

    Parameters
    ----------
    task : Task
    data : Dataset

    Returns
    -------
    TrainTestSplit
        75 % of the rows, at most ``task.max_train``, for training; 25 % for testing, unless the
        dataset's suite has a protocol of its own.
    """
    X = data.X.set_axis(list(plain_names([str(c) for c in data.X.columns])), axis=1)
    share = data.protocol.train_share
    X_train, X_test, y_train, y_test = train_test_split(
        X, data.y, train_size=share, test_size=1 - share, random_state=task.seed
    )
    if task.max_train is not None and len(y_train) > task.max_train:
        # RandomState: a stream that NumPy keeps as it is from version to version
        kept = np.random.RandomState(task.seed).choice(len(y_train), task.max_train, replace=False)
        X_train, y_train = X_train.iloc[kept], y_train[kept]
    if task.scale:
        of_x = StandardScaler().set_output(transform="pandas").fit(X_train)
        of_y = StandardScaler().fit(y_train[:, None])
        X_train, X_test = of_x.transform(X_train), of_x.transform(X_test)
        y_train, y_test = (of_y.transform(y[:, None])[:, 0] for y in (y_train, y_test))
    return TrainTestSplit(
        X_train=X_train.reset_index(drop=True),
        X_test=X_test.reset_index(drop=True),
        y_train=y_train + _noise(task, y_train, data.protocol.noise_unit),
        y_test=y_test,
        truth=None if task.scale else data.truth,
        law=None if task.scale else _law(data, X),
    )


def _law(data: Dataset, X: pd.DataFrame) -> Law | None:
    """The law behind a dataset over the columns of ``X``; None if it is unknown."""
    if data.truth is None:
        return None
    if data.ranges:
        return Law(data.truth, dict(zip(X.columns, data.ranges, strict=True)))
    # Strogatz: the ranges of the rows. Looser, since published targets carry errors of 1e-7 and
    # a formula fitted to them is to be judged like one fitted to ours
    seen = {str(name): Range(float(X[name].min()), float(X[name].max())) for name in X.columns}
    return Law(data.truth, seen, median=1e-4, quantile=1e-2)


def _noise(task: Task, y: Array, unit: str) -> Array:
    if task.noise == 0.0:
        return np.zeros(len(y))
    name = zlib.crc32(task.dataset.encode())
    rng = np.random.default_rng([task.seed, name, round(task.noise * 1e6)])
    size = task.noise * (np.std(y) if unit == "std" else np.sqrt(np.mean(y**2)))
    return np.asarray(rng.normal(0.0, size, len(y)))


def run_task(task: Task) -> dict[str, Any]:
    """Run one fit in this process.

    Returns
    -------
    dict
        A row (see ``rows.Row``) with the status ``ok``, or ``error`` if a prediction of the fitted
        model is not finite, which SRBench counts as a failed run.

    Raises
    ------
    Exception
        Any exception raised by loading the data or by the method's ``fit`` and ``predict``.
    """
    start = time.perf_counter()
    data = load_suite(task.suite).load(task.dataset, max_rows=task.max_rows, seed=task.seed)
    rows = split(task, data)
    estimator = methods.make(
        task.method, max_time=task.max_time, random_state=task.seed, **task.settings
    )
    before = time.perf_counter()
    estimator.fit(rows.X_train, rows.y_train)
    fit_seconds = time.perf_counter() - before
    model = methods.model_string(estimator, rows.X_train)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedWarning)
        predicted = [np.asarray(estimator.predict(X)) for X in (rows.X_train, rows.X_test)]
    undefined = [int(np.sum(~np.isfinite(p))) for p in predicted]
    values: dict[str, Any] = {
        "n_train": len(rows.y_train),
        "n_test": len(rows.y_test),
        "n_features": rows.X_train.shape[1],
        "fit_seconds": fit_seconds,
        "model": model,
        "rows_sha256": _digest(data),
        "notes": [*data.notes, *(str(warning.message) for warning in caught)],
        "trace": _trace(estimator),
        "teacher": _teacher(estimator, rows),
        "diagnostics": _diagnostics(estimator),
        "device": _device(estimator),
        "status": "ok",
    }
    if any(undefined):
        values["status"] = "error"
        values["error"] = (
            f"no finite prediction on {undefined[0]} of {len(rows.y_train)} training rows and "
            f"{undefined[1]} of {len(rows.y_test)} test rows"
        )
    else:
        values |= metrics.accuracy(rows.y_train, predicted[0], rows.y_test, predicted[1])
    if model is not None:
        clean = rows.y_test if task.noise else None
        values |= metrics.formula(model, rows.X_test, rows.truth, rows.law, clean)
    return make_row(task, total_seconds=time.perf_counter() - start, **values)


def _digest(data: Dataset) -> str:
    table = np.column_stack([data.X.to_numpy(dtype="<f8"), data.y.astype("<f8")])
    return hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest()


def _trace(estimator: Any) -> list[tuple[float, float]] | None:
    """Seconds and training R2 at each improvement of the best R2, thinned to 100 points."""
    tried = getattr(estimator, "candidates_", None)
    if not isinstance(tried, pd.DataFrame) or not {"seconds", "r2"} <= set(tried.columns):
        return None
    tried = tried[np.isfinite(tried["r2"])].sort_values("seconds", kind="stable")
    best = tried[tried["r2"] > tried["r2"].cummax().shift(fill_value=-np.inf)]
    kept = np.unique(np.linspace(0, len(best) - 1, min(len(best), _MAX_TRACE_POINTS)).astype(int))
    return [(float(s), float(r)) for s, r in best[["seconds", "r2"]].to_numpy()[kept]]


def _teacher(estimator: Any, rows: TrainTestSplit) -> dict[str, Any] | None:
    """Diagnostics of a method's smooth teacher, with its test R2 where it can be computed."""
    found: dict[str, Any] | None
    if hasattr(estimator, "teacher_"):
        found = {
            **estimator.strengths_,
            "fidelity": estimator.fidelity_,
            "r2_test": float(r2_score(rows.y_test, estimator.teacher_.predict(rows.X_test))),
        }
    else:
        diagnostics = getattr(estimator, "diagnostics_", None)
        found = diagnostics.get("teacher") if isinstance(diagnostics, dict) else None
    if found is None:
        return None
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in found.items()}


def _diagnostics(estimator: Any) -> dict[str, float] | None:
    """The scalar entries of ``diagnostics_``, None if the estimator has none."""
    told = getattr(estimator, "diagnostics_", None)
    if not isinstance(told, dict):
        return None
    return {str(k): float(v) for k, v in told.items() if isinstance(v, (int, float))}


def _device(estimator: Any) -> str:
    """``cpu``, or the name of the GPU that the method was allowed to use."""
    asked = str(getattr(estimator, "device", "cpu"))
    if asked == "cpu":
        return asked
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name(None if asked == "auto" else asked))

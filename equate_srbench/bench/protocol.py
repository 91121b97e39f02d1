"""One fit as SRBench makes it: rows, split, noise, scaling, fit, metrics.

What differs from SRBench is said where it happens, and listed in ``docs/benchmark.md``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
import warnings
import zlib
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from equate_srbench.baselines import methods
from equate_srbench.bench import metrics
from equate_srbench.bench.rows import make_row
from equate_srbench.bench.suites.loading import Dataset, load_suite
from equate_srbench.expr.text.names import plain_names
from equate_srbench.problem.domain import UndefinedWarning

Array = NDArray[np.float64]

#: The ten seeds of SRBench's ground-truth track, in its order.
SEEDS = (23654, 15795, 860, 5390, 29802, 21575, 11964, 11284, 22118, 6265)
#: Noise levels of the ground-truth track: noise = level * RMS of the training target.
NOISE_LEVELS = (0.0, 0.001, 0.01, 0.1)
_TRAIN_SHARE = 0.75
_MOST_TRACE = 100


@dataclass(frozen=True)
class Task:
    """One fit to be made; plain data that travels as JSON.

    Parameters
    ----------
    suite, dataset : str
        As ``load_suite`` and ``Suite.load`` take them.
    method : str
        As ``baselines.registry.make`` takes it.
    settings : dict of str to JSON value, default={}
        Parameters of the method.
    seed : int, default=23654
        For the rows drawn, the split, the noise and the method.
    noise : float, default=0.0
        The training target gets Gaussian noise of ``noise * RMS(y_train)``.
    max_time : float, default=10.0
        Seconds of wall clock for ``fit``, for methods that know a limit.
    scale : bool, default=False
        Standardise X and y before the fit. Formulas are then in scaled units and are not compared
        with the truth.
    max_train : int or None, default=1000
        Most rows of the training part, drawn without replacement.
    max_rows : int or None, default=10000
        Most rows of the data set, before the split; this many are drawn where rows are generated
        (None: 10000).
    """

    suite: str
    dataset: str
    method: str
    settings: dict[str, JsonValue] = dataclasses.field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = SEEDS[0]
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_time: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    scale: bool = False
    max_train: Annotated[int, Field(ge=2)] | None = 1000
    max_rows: Annotated[int, Field(ge=4)] | None = 10_000

    def __post_init__(self) -> None:
        fixed = sorted({"max_time", "random_state"} & set(self.settings))
        if fixed:
            raise ValueError(
                f"settings has {fixed[0]!r}, which the task sets itself: give the field "
                f"{'seed' if fixed[0] == 'random_state' else 'max_time'} of the task instead"
            )

    @property
    def key(self) -> str:
        """Stable name of the task, safe as a file name: equal tasks have equal keys."""
        whole = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
        words = (re.sub(r"[^A-Za-z0-9.-]+", "_", w)[-50:] for w in self._words)
        return f"{'--'.join(words)}--{digest}--s{self.seed}--n{self.noise:g}"

    @property
    def _words(self) -> tuple[str, str, str]:
        return self.suite, self.dataset, self.method

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """A task from ``to_dict`` or from JSON.

        Raises
        ------
        pydantic.ValidationError
            A ``ValueError`` that names the field, the limit and the value.
        """
        return TypeAdapter(cls).validate_python(values)


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of one fit.

    Attributes
    ----------
    X_train, X_test : DataFrame
        Columns are named so that a formula can be written with them.
    y_train, y_test : ndarray
        In the units of the fit; ``y_train`` with noise, ``y_test`` without.
    truth : str or None
        The formula behind the data, in the same units and names.
    """

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: Array
    y_test: Array
    truth: str | None


def split(task: Task, data: Dataset) -> Split:
    """SRBench's split of a data set, with its scaling and noise.

    Parameters
    ----------
    task : Task
    data : Dataset

    Returns
    -------
    Split
        75 % of the rows, at most ``task.max_train``, to fit; 25 % to test.
    """
    X = data.X.set_axis(list(plain_names([str(c) for c in data.X.columns])), axis=1)
    X_train, X_test, y_train, y_test = train_test_split(
        X, data.y, train_size=_TRAIN_SHARE, test_size=1 - _TRAIN_SHARE, random_state=task.seed
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
    return Split(
        X_train=X_train.reset_index(drop=True),
        X_test=X_test.reset_index(drop=True),
        y_train=y_train + _noise(task, y_train),
        y_test=y_test,
        truth=None if task.scale else data.truth,
    )


def _noise(task: Task, y: Array) -> Array:
    if task.noise == 0.0:
        return np.zeros(len(y))
    name = zlib.crc32(task.dataset.encode())
    rng = np.random.default_rng([task.seed, name, round(task.noise * 1e6)])
    size = task.noise * np.sqrt(np.mean(y**2))
    return np.asarray(rng.normal(0.0, size, len(y)))


def run_task(task: Task) -> dict[str, Any]:
    """Make one fit in this process.

    Returns
    -------
    dict
        A row (see ``rows.Row``) with the status ``ok``; ``error`` if the fitted model does not
        predict a finite number for each row, which SRBench counts as a lost run.

    Raises
    ------
    Exception
        Whatever loading the data, the method's ``fit`` or its ``predict`` raise.
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
        values |= metrics.formula(model, rows.X_test, rows.truth)
    return make_row(task, total_seconds=time.perf_counter() - start, **values)


def _digest(data: Dataset) -> str:
    table = np.column_stack([data.X.to_numpy(dtype="<f8"), data.y.astype("<f8")])
    return hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest()


def _trace(estimator: Any) -> list[tuple[float, float]] | None:
    """Seconds and R2 on the fit rows each time the best R2 improved, thinned to 100 points."""
    tried = getattr(estimator, "candidates_", None)
    if not isinstance(tried, pd.DataFrame) or not {"seconds", "r2"} <= set(tried.columns):
        return None
    tried = tried[np.isfinite(tried["r2"])].sort_values("seconds", kind="stable")
    best = tried[tried["r2"] > tried["r2"].cummax().shift(fill_value=-np.inf)]
    kept = np.unique(np.linspace(0, len(best) - 1, min(len(best), _MOST_TRACE)).astype(int))
    return [(float(s), float(r)) for s, r in best[["seconds", "r2"]].to_numpy()[kept]]


def _teacher(estimator: Any, rows: Split) -> dict[str, Any] | None:
    """What a method with a smooth teacher says about it; the fit is over, so test rows may too."""
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
    """The single numbers of ``diagnostics_``, where there is such a record."""
    told = getattr(estimator, "diagnostics_", None)
    if not isinstance(told, dict):
        return None
    return {str(k): float(v) for k, v in told.items() if isinstance(v, (int, float))}


def _device(estimator: Any) -> str:
    """``cpu``, or the name of the GPU that the method was told or free to use."""
    asked = str(getattr(estimator, "device", "cpu"))
    if asked == "cpu":
        return asked
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name(None if asked == "auto" else asked))

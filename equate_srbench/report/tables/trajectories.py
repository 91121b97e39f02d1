"""Fits of a suite step by step: made once through the estimator, kept, and summed up."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.baselines import methods
from equate_srbench.bench.metrics import accuracy
from equate_srbench.bench.protocol import split
from equate_srbench.bench.provenance import provenance
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.equation import Equation
from equate_srbench.report.tables.record import SOURCES
from equate_srbench.runtime.files import publish

_FIT, _STEPS, _PLACES = "fit.json", "steps.parquet", "places.npy"
#: A fit of the ascent, and one of its lines: what descends from one start.
FIT = ["dataset", "seed"]
LINE = [*FIT, "start"]


@dataclass(frozen=True)
class Trajectories:
    """What the fits of a suite left behind.

    Attributes
    ----------
    fits : DataFrame
        One row per fit: dataset, seed, r2_test, r2_fit, complexity, equation, source (who
        answer came from), flip_rate, validity_rate, rank_correlation, seconds, and provenance.
    steps : DataFrame
        ``trajectory_`` of all fits, with dataset and seed.
    places : ndarray of shape (n_steps, width), float32
        Joint embedding behind each row of ``steps``; NaN where there is none. Width 0 if no
        estimator tells.
    """

    fits: pd.DataFrame
    steps: pd.DataFrame
    places: NDArray[np.float32]

    def one(self, number: int = 0) -> SimpleNamespace:
        """What one fit left, under the names of a fitted estimator, for panels that play it."""
        fit = self.fits.iloc[number]
        own = (self.steps[FIT] == fit[FIT]).all(axis=1).to_numpy()
        return SimpleNamespace(
            equation_=Equation.from_string(fit["equation"], list(fit["features"])),
            trajectory_=self.steps[own].drop(columns=FIT).reset_index(drop=True),
            embeddings_=self.places[own],
        )


def tasks(
    suite: str, preset: str, *, seeds: int, noise: float, max_time: float, every: int
) -> list[Task]:
    """One fit per data set and seed, under the protocol of ``equate bench``."""
    method = {"default": "equate", "paper": "equate-paper", "fast": "equate-fast"}[preset]
    return [
        Task(suite=suite, dataset=name, method=method, seed=seed, noise=noise, max_time=max_time)
        for name in load_suite(suite).datasets[::every]
        for seed in SEEDS[:seeds]
    ]


def collect(
    wanted: Iterable[Task], run: str | Path, tell: Callable[[str], object] = lambda text: None
) -> Trajectories:
    """Fit what has not been fitted yet, and read it all.

    Parameters
    ----------
    wanted : iterable of Task
        Of methods that have a ``trajectory_``.
    run : str or Path
        Each fit is kept in ``run/trajectories/KEY``, whole or not at all.
    tell : callable, optional
        Told what is being done, a line at a time.

    Returns
    -------
    Trajectories
    """
    listed = list(wanted)
    folder = Path(run) / "trajectories"
    missing = [task for task in listed if not (folder / task.key / _FIT).is_file()]
    for number, task in enumerate(missing):
        tell(f"fit {number + 1} of {len(missing)}: {task.dataset}")
        publish(folder / task.key, _fit(task))
    tell(f"{len(missing)} fits made now, {len(listed) - len(missing)} were in {folder}.")
    return _read([folder / task.key for task in listed])


def _fit(task: Task) -> dict[str, str | bytes]:
    """Fit one data set; what is kept of it, by file name."""
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
        **{k: _plain(v) for k, v in estimator.diagnostics_.items() if not isinstance(v, dict)},
        **provenance().model_dump(mode="json"),
    }  # fmt: skip
    steps, places = io.BytesIO(), io.BytesIO()
    table.to_parquet(steps, index=False)
    found = getattr(estimator, "embeddings_", np.empty((len(table), 0)))
    np.save(places, np.asarray(found, dtype=np.float16), allow_pickle=False)
    text = json.dumps(fit, indent=1)
    return {_STEPS: steps.getvalue(), _PLACES: places.getvalue(), _FIT: text}


def _source(estimator: Any) -> str:
    """Who first was as accurate as the answer; shortening comes last and adds no accuracy."""
    tried = estimator.candidates_
    answer = tried.loc[tried["equation"] == str(estimator.equation_), "r2"]
    error = 1.0 - float(answer.max()) if len(answer) else 0.0
    reached = tried[(1.0 - tried["r2"] <= 1.05 * error + 1e-9) & (tried["source"] != "shorten")]
    return str(reached.loc[reached["seconds"].idxmin(), "source"]) if len(reached) else "shorten"


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _read(folders: list[Path]) -> Trajectories:
    fits, steps, places = [], [], []
    for folder in folders:
        fit = json.loads((folder / _FIT).read_text(encoding="utf-8"))
        fits.append(fit)
        steps.append(pd.read_parquet(folder / _STEPS).assign(**{k: fit[k] for k in FIT}))
        places.append(np.load(folder / _PLACES, allow_pickle=False).astype(np.float32))
    width = max(part.shape[1] for part in places)
    wide = [p if p.shape[1] == width else np.full((len(p), width), np.nan) for p in places]
    return Trajectories(
        pd.DataFrame(fits), pd.concat(steps, ignore_index=True), np.concatenate(wide)
    )


# -- what the steps say ------------------------------------------------------------------------


def per_step(steps: pd.DataFrame) -> pd.DataFrame:
    """The ascent step by step.

    Parameters
    ----------
    steps : DataFrame
        As ``Trajectories.steps``.

    Returns
    -------
    DataFrame
        One row per line (fit and start) and gradient step: dataset, seed, start, step; ``r2``,
        ``score`` and ``predicted`` of the best proposal of the step; ``best_r2`` and
        ``best_score`` so far; ``flipped`` (some skeleton of the step was new).
    """
    ascent = steps[steps["source"] == "ascent"]
    best = ascent.loc[ascent.dropna(subset="score").groupby([*LINE, "step"])["score"].idxmax()]
    new = ascent.groupby([*LINE, "step"])["new_skeleton"].any().rename("flipped")
    table = best[[*LINE, "step", "r2", "score"]].assign(predicted=best["predicted_score"])
    table = table.merge(new, on=[*LINE, "step"]).sort_values([*LINE, "step"], ignore_index=True)
    so_far = table.groupby(LINE)[["r2", "score"]].cummax()
    return table.assign(best_r2=so_far["r2"], best_score=so_far["score"])


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Predicted and true change of the score from each line's step 0 to its later steps.

    Returns
    -------
    DataFrame
        Columns of ``per_step`` with ``predicted_change`` and ``true_change``, for steps above 0.
    """
    first = table[table["step"] == 0].set_index(LINE)[["predicted", "score"]]
    later = table[table["step"] > 0].join(first, on=LINE, rsuffix="_start")
    return later.assign(
        predicted_change=later["predicted"] - later["predicted_start"],
        true_change=later["score"] - later["score_start"],
    ).dropna(subset=["predicted_change", "true_change"])


def monotone_share(table: pd.DataFrame) -> float:
    """Share of gradient steps whose best score is not below that of the step before."""
    gain = table.groupby(LINE)["score"].diff().dropna()
    return float((gain >= -1e-12).mean()) if len(gain) else float("nan")


def gained_share(table: pd.DataFrame) -> float:
    """Share of lines in which a later step beats step 0."""
    ends = table.groupby(LINE)["best_score"].agg(["first", "last"])
    return float((ends["last"] > ends["first"] + 1e-12).mean()) if len(ends) else float("nan")


def shares(fits: pd.DataFrame) -> pd.DataFrame:
    """How many answers each source reached first: columns ``source``, ``fits``, ``share``."""
    counts = fits["source"].value_counts()
    names = [s for s in SOURCES if s in counts] + sorted(set(counts.index) - set(SOURCES))
    return pd.DataFrame(
        {"source": names, "fits": [int(counts[s]) for s in names],
         "share": [counts[s] / len(fits) for s in names]}
    )  # fmt: skip


def correlation(table: pd.DataFrame) -> float:
    """Spearman's correlation of predicted and true change; NaN where it is not defined."""
    from scipy.stats import spearmanr

    pairs = changes(table)[["predicted_change", "true_change"]]
    if len(pairs) < 3 or (pairs.nunique() < 2).any():
        return float("nan")
    return float(spearmanr(*pairs.to_numpy().T).statistic)


def in_words(found: Trajectories, table: pd.DataFrame) -> list[str]:
    """The answer to the notebook's questions, from the rows alone."""
    fits, n = found.fits, len(found.fits)
    climbed = len(table[FIT].drop_duplicates())
    parts = ", ".join(f"{r['source']} {r['fits']}" for _, r in shares(fits).iterrows())
    said = [f"In {n} fits, the accuracy of the answer was first reached by: {parts}."]
    if not climbed:
        return [*said, "No fit came to the gradient ascent: what it starts from was good enough."]
    lines, longest = len(table.groupby(LINE)), int(table["step"].max())
    monotone = monotone_share(table)
    flipped = table.loc[table["step"] > 0, "flipped"].mean()
    return [
        f"{climbed} of {n} fits came to the gradient ascent, with {lines} lines of up to {longest} "
        "steps.",
        f"Improvement is {'' if monotone > 0.999 else 'not '}monotone: {_percent(monotone)} of the "
        "steps are at least as good as the step before, and "
        f"{_percent(gained_share(table))} of the lines end better than they began.",
        f"{_percent(flipped)} of the steps decode a skeleton that had not been seen before.",
        f"Predicted and true change of the score correlate by {correlation(table):.2f} (Spearman, "
        f"{len(changes(table))} steps).",
        *said,
    ]


def _percent(share: float) -> str:
    return "none" if share != share else f"{100 * share:.0f} %"

"""Rows of benchmarks that were never run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from equate_srbench.bench.rows import RowStore, failure_row, make_row
from equate_srbench.bench.task import Task
from equate_srbench.report.tables import distillation
from equate_srbench.report.tables.trajectories import SuiteTrajectories

QUALITY = {"equate": 1.0, "e2e": 0.995, "itea": 0.95}
#: Scores of the steps of each start of ``suite_trajectories``.
SCORES = [[0.1, 0.3, 0.2], [0.5, 0.5, 0.6]]
#: What chosen strengths add to R2 on one data set of ``student_fits``.
GAIN = 0.2


def fill(store: RowStore, n_sets: int = 8, skip: str = "") -> None:
    """Write rows of three methods on some data sets; itea fails on the first."""
    rng = np.random.default_rng(0)
    for i in range(n_sets):
        for method, quality in QUALITY.items():
            task = Task("strogatz", f"set_{i}", method)
            if f"{method}/{i}" == skip:
                continue
            if method == "itea" and i == 0:
                store.write(failure_row(task, "timeout", "over <b>10</b> s", 10.0))
                continue
            r2 = 1.0 if quality == 1.0 else float(quality - 0.01 * rng.random())
            store.write(
                make_row(
                    task, status="ok", total_seconds=5.0, fit_seconds=4.0, r2_train=r2, r2_test=r2,
                    model="x", complexity=5 + i, solved=None if i == 1 else quality == 1.0,
                    solved_reason="undecided" if i == 1 else "difference",
                    trace=[[0.1, 0.5], [1.0, r2]],
                )
            )  # fmt: skip


def student_fits() -> pd.DataFrame:
    """Two data sets, six seeds: chosen strengths add ``GAIN`` on one, nothing on the other."""
    rows = []
    for setting in [{}, *distillation.settings("e2e", [0.1])]:
        method = "distilled" if setting else "e2e"
        chosen = len(setting.get("jacobian", [])) > 1
        for dataset in ("better", "same"):
            for seed in range(6):
                score = 0.5 + 0.01 * seed + GAIN * (chosen and dataset == "better")
                teacher = {"jacobian": setting["jacobian"][-1], "r2_test": 0.9} if setting else None
                rows.append({
                    "suite": "made-up", "dataset": dataset, "noise": 0.0, "seed": seed,
                    "method": method, "settings": json.dumps(setting), "status": "ok",
                    "r2_test": score, "complexity": 9 if chosen else 11,
                    "teacher": json.dumps(teacher),
                })  # fmt: skip
    return distillation.labelled(pd.DataFrame(rows))


def sweep_rows(values: list[float | str]) -> pd.DataFrame:
    """Three data sets per value; formulas are shorter where the value is larger."""
    rows = []
    for value in values:
        weight = 0.3 if value == "auto" else float(value)
        for i, dataset in enumerate(("a", "b", "c")):
            rows.append({
                "suite": "s", "noise": 0.0, "dataset": dataset, "seed": 1, "status": "ok",
                "method": "equate-paper", "r2_test": 0.995 - 0.01 * weight * i, "model": "x",
                "complexity": 20 - 10 * weight, "fit_seconds": 1.0, "solved": None,
                "solved_reason": None, "settings": json.dumps({"lam": value}),
                "diagnostics": json.dumps({"lam": 0.1 * (i + 1) if value == "auto" else value}),
            })  # fmt: skip
    return pd.DataFrame(rows)


def suite_trajectories() -> SuiteTrajectories:
    """One fit with two starts of two steps, and two proposals a step, the second one worse."""
    steps = pd.DataFrame(
        {
            "dataset": "a", "seed": 1, "start": start, "step": step, "source": "ascent",
            "r2": score - loss, "score": score - loss, "predicted_score": 2 * score,
            "new_skeleton": step == 1, "equation": "x",
        }
        for start, scores in enumerate(SCORES)
        for step, score in enumerate(scores)
        for loss in (0.0, 0.05)
    )  # fmt: skip
    fits = pd.DataFrame(
        {"dataset": ["a", "b"], "seed": 1, "source": ["ascent", "backbone"],
         "equation": ["x", "x"], "features": [["x"], ["x"]]}
    )  # fmt: skip
    embeddings = np.random.default_rng(0).normal(size=(len(steps), 4)).astype(np.float32)
    return SuiteTrajectories(fits, steps, embeddings)

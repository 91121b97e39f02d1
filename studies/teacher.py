"""What smooth teachers do for formulas: fits, tables and the note in ``docs/results``.

    python studies/teacher.py run --part distill --blackbox FOLDER --jobs 2
    python studies/teacher.py run --part noise --jobs 2
    python studies/teacher.py settings --blackbox FOLDER
    python studies/teacher.py time
    python studies/teacher.py publish

``run`` can be stopped and started again at any time: rows that are there are not made again.

Part ``distill``: 20 real tables of ``FOLDER`` (PMLB's layout), ten seeds, three students: EQUATE
fast, E2E and a small gplearn. Each learns the data's own labels (``alone``), the labels of a plain
teacher (``standard``) and those of a teacher whose strengths it chooses itself (``chosen``). The
tables are all of the folder that were measured, not generated (``GENERATED`` has the names that say
so), with 200 rows or more and at most 15 columns: a rule that knows no results.

Part ``noise``: EQUATE with and without ``teacher="auto"`` on Strogatz and every fourth Feynman set,
target noise .01 and .1.

``settings`` compares settings of the teacher's optimiser on the measured tables that ``distill``
leaves out.

``time`` prints how much longer a grid of 18 teachers takes than one, on 1000 x 10 rows.

``publish`` writes tables, picture and rows; what stands between the marks in the page (the reading
of its figures) is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from readings import kept

from equate_srbench.baselines.methods import spec
from equate_srbench.bench import stats
from equate_srbench.bench.execution.isolate import default_time_limit
from equate_srbench.bench.execution.plan import Workplace, install_missing
from equate_srbench.bench.execution.run import Limits
from equate_srbench.bench.execution.run import run as run_tasks
from equate_srbench.bench.execution.run_view import BenchProgress
from equate_srbench.bench.rows import RowStore
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.report.comparison.compare_page import conditions, write_rows
from equate_srbench.report.figures import distillation_figures
from equate_srbench.report.figures.rendering import draw_images
from equate_srbench.report.tables import distillation
from equate_srbench.runtime.files import publish as publish_files
from equate_srbench.runtime.files import write_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
#: Names of tables whose rows somebody computed.
GENERATED = re.compile(r"fri_c\d|BNG|pwLinear|2dplanes|pollen")
MIN_ROWS, MAX_COLUMNS, N_SETS = 200, 15, 20
#: gplearn's division, roots and logarithms are guarded, so that its formulas with them mean nothing
#: where a column has zeros; it has the functions that are what their names say.
STUDENTS: dict[str, dict[str, Any]] = {
    "equate-fast": {"max_time": 2.0},
    "e2e": {"max_time": 2.0},
    "gplearn": {
        "max_time": 1.0, "population_size": 200,
        "function_set": ["add", "sub", "mul", "sin", "cos"], "linear_scaling": True,
    },
}  # fmt: skip
STRENGTHS = {"jacobian": [0.0, 1e-3, 1e-2, 1e-1, 1.0], "lipschitz": [0.0, 1e-2]}
PLAIN = {"jacobian": [0.0], "lipschitz": [0.0]}
#: Learning rate, batch size and steps that ``settings`` compares; the defaults are among them.
OPTIMISERS = [
    (rate, size, steps) for steps in (400, 800) for rate, size in
    ((0.003, 32), (0.01, 16), (0.01, 32), (0.01, 64), (0.03, 32))
]  # fmt: skip
#: Seconds of a fit that chooses; the other fits of this part end long before.
DISTILL_SECONDS, NOISE_SECONDS = 15.0, 10.0
NOISE, EVERY = (0.01, 0.1), {"strogatz": 1, "feynman": 4}
#: The time of the grid may be this many times that of one teacher.
MOST_RATIO = 6.0


def measured_sets(folder: str, *, left_out: bool = False) -> list[str]:
    """Names of the tables that the rule in the head of this file takes, or of the others."""
    suite, found = load_suite(folder), []
    for name in suite.datasets:
        if not GENERATED.search(name):
            shape = suite.load(name, max_rows=None).X.shape
            if (shape[0] >= MIN_ROWS and shape[1] <= MAX_COLUMNS) != left_out:
                found.append(name)
    return found


def distill_tasks(folder: str, sets: list[str], n_seeds: int, memory: str) -> list[Task]:
    """Set by set and seed by seed, so that students of the same rows find the grid trained."""
    tasks = []
    for name in sets:
        for seed in SEEDS[:n_seeds]:
            for student, given in STUDENTS.items():
                own = {k: v for k, v in given.items() if k != "max_time"}
                taught = {"student": {"method": student, **given}}
                common = {"suite": folder, "dataset": name, "seed": seed}
                tasks.append(
                    Task(method=student, settings=own, max_time=given["max_time"], **common)
                )
                for strengths in (PLAIN, {**STRENGTHS, "memory": memory}):
                    settings = {**taught, **strengths}
                    tasks.append(Task(method="distilled", settings=settings,
                                      max_time=DISTILL_SECONDS, **common))  # fmt: skip
    return tasks


def noise_tasks(n_seeds: int, most: int | None) -> list[Task]:
    """EQUATE with and without a teacher."""
    return [
        Task(suite=suite, dataset=name, method="equate", settings=settings, seed=seed, noise=noise,
             max_time=NOISE_SECONDS)
        for suite, every in EVERY.items()
        for name in load_suite(suite).datasets[::every][:most]
        for noise in NOISE
        for seed in SEEDS[:n_seeds]
        for settings in ({}, {"teacher": "auto"})
    ]  # fmt: skip


def run(tasks: list[Task], out: Path, jobs: int) -> None:
    """Make the rows that are missing."""
    from rich.console import Console

    install_missing(m for t in tasks for m in (t.method, _method_of_student(t)) if m is not None)
    store = RowStore(out)
    limits = Limits(max(default_time_limit(t.max_time) for t in tasks))
    engine = Workplace("local", jobs, "cpu", "", ()).engine(out, limits)
    with BenchProgress(Console(stderr=True, highlight=False)) as progress:
        summary = run_tasks(tasks, store, engine, progress=progress, limits=limits)
    if not summary.interrupted:
        engine.shutdown()
    print(f"{summary.done} done, {summary.failed} failed, {summary.kept} were there")


def _method_of_student(task: Task) -> str | None:
    student = task.settings.get("student")
    return str(student["method"]) if isinstance(student, dict) else None


def measure(repeats: int = 3) -> dict[str, float]:
    """Seconds of one teacher and of a grid of 18 on 1000 x 10 rows, medians, alternating."""
    from equate_srbench.teacher.smooth import SmoothTeacher, train_grid

    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 10))
    y = np.sin(X[:, 0] * X[:, 1]) + X[:, 2] ** 2 + 0.1 * rng.normal(size=1000)
    # all steps, so that the same work is compared
    teacher = SmoothTeacher(patience=10**6, random_state=0)
    teacher.fit(X, y)  # libraries are loaded and caches warm
    one, grid = [], []
    for _ in range(repeats):
        start = time.process_time()
        teacher.fit(X, y)
        middle = time.process_time()
        members = train_grid(teacher, X, y)
        one.append(middle - start)
        grid.append(time.process_time() - middle)
    figures = {"one": statistics.median(one), "grid": statistics.median(grid)}
    return {**figures, "members": len(members), "ratio": figures["grid"] / figures["one"]}


def compare_settings(folder: str, n_seeds: int = 3) -> pd.DataFrame:
    """Mean held-out R2 (negative ones count 0) and seconds of teachers, by their settings."""
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split

    from equate_srbench.teacher.smooth import SmoothTeacher, train_grid

    suite, names = load_suite(folder), measured_sets(folder, left_out=True)
    tables = [suite.load(name, max_rows=1000) for name in names]
    print(f"{len(names)} sets: {', '.join(names)}")
    rows = []
    for rate, size, steps in OPTIMISERS:
        scores, start = [], time.process_time()
        for table in tables:
            for seed in range(n_seeds):
                X, X_held, y, y_held = train_test_split(table.X, table.y, random_state=seed)
                teacher = SmoothTeacher(
                    learning_rate=rate, batch_size=size, max_steps=steps, random_state=seed
                )
                members = train_grid(teacher, X, y, jacobian=STRENGTHS["jacobian"], lipschitz=(0,))
                scores.append([max(0.0, r2_score(y_held, m.predict(X_held))) for m in members])
        means = np.mean(scores, axis=0)
        rows.append([rate, size, steps, means.mean(), *means, time.process_time() - start])
    by_strength = [f"jacobian {strength:g}" for strength in STRENGTHS["jacobian"]]
    names = ["learning rate", "batch size", "steps", "all", *by_strength, "seconds"]
    return pd.DataFrame(rows, columns=names)


# -- the note ----------------------------------------------------------------------------------


def publish(out: Path) -> None:
    """Tables, pictures and rows into ``docs/results``."""
    page = RESULTS / "teacher.md"
    frame = RowStore(out).frame()
    frame["settings"] = frame["settings"].map(_without_memory)
    taught = frame["suite"].isin(EVERY)
    distill, noise = distillation.labelled(frame[~taught]), frame[taught]
    lines = ["# Smooth teachers", "", *_head(frame, out), "", *kept(page, "teacher"), ""]
    files: dict[str, str | bytes] = {}
    if len(distill):
        table = distillation.by_dataset(distill)
        lines += ["## Students of plain and of smooth teachers", "", *_students(distill), ""]
        files["differences.svg"] = draw_images(distillation_figures.differences(table))[0]
        lines += ["![Change of each student's test R² by data set](teacher/differences.svg)",
                  "", *_data_sets(table), ""]  # fmt: skip
    if len(noise):
        lines += ['## EQUATE with `teacher="auto"` on noisy targets', "", *_noise(noise), ""]
    if files:
        publish_files(RESULTS / "teacher", files)
    write_rows(frame, RESULTS / "teacher_rows.parquet")
    write_file(page, "\n".join(lines))
    print(page)


def _without_memory(text: str) -> str:
    settings = json.loads(text)
    settings.pop("memory", None)
    return json.dumps(settings, sort_keys=True)


def _head(frame: pd.DataFrame, out: Path) -> list[str]:
    said = "; ".join(f"{name}: {value}" for name, value in conditions(frame).items())
    lines = [
        "Made by `python studies/teacher.py`; `teacher_rows.parquet` has a row per fit. Scores",
        "are R² on held-out rows, negative ones and failed fits counting 0; *standard* is a",
        "teacher without penalties, *chosen* one whose strengths the student chose on rows of the",
        "fit.",
        "",
        said + ".",
    ]
    timed = out / "time.json"
    if timed.exists():
        t = json.loads(timed.read_text())
        lines += ["", f"A grid of {t['members']} teachers on 1000 x 10 rows takes {t['ratio']:.1f} "
                  f"times the {t['one']:.2f} s of one (processor time)."]  # fmt: skip
    return lines


def _students(distill: pd.DataFrame) -> list[str]:
    table = distillation.by_student(distill)
    lines = [
        "| student | sets | alone | standard | chosen | change | relative (median) "
        "| better / worse | significant | p over sets | teacher R² standard, chosen | nodes |",
        "| --- |" + " --- |" * 11,
    ]
    for student, t in table.iterrows():
        lines.append(
            f"| {spec(str(student)).label} | {t.sets:.0f} | {t.alone:.3f} | {t.standard:.3f} "
            f"| {t.chosen:.3f} | {t.difference:+.3f} | {100 * t.relative:+.1f} % "
            f"| {t.better:.0f} / {t.worse:.0f} "
            f"| {t.sure_better:.0f} / {t.sure_worse:.0f} | {t.p:.2g} "
            f"| {t.teacher_standard:.3f}, {t.teacher_chosen:.3f} "
            f"| {t.nodes_standard:.0f}, {t.nodes_chosen:.0f} |"
        )
    return [*lines, "", *(f"- {words}" for words in distillation.describe(table))]


def _data_sets(table: pd.DataFrame) -> list[str]:
    lines = ["| data set | student | alone | standard | chosen | change | p (Holm) |",
             "| --- |" + " --- |" * 6]  # fmt: skip
    for (student, name), t in table.sort_index(level="dataset", sort_remaining=False).iterrows():
        lines.append(
            f"| {name} | {spec(student).label} | {t.alone:.3f} | {t.standard:.3f} "
            f"| {t.chosen:.3f} | {t.difference:+.3f} | {t.p_holm:.2g} |"
        )
    return lines


def _noise(noise: pd.DataFrame) -> list[str]:
    taught = noise["settings"].map(lambda text: "teacher" in json.loads(text))
    used = noise["teacher"].map(lambda text: (json.loads(text) or {}).get("used", False))
    noise = noise.assign(
        variant=np.where(taught, "auto", "none"), used=used,
        score=noise["r2_test"].astype(float).where(noise["status"] == "ok").fillna(0.0).clip(0.0),
    )  # fmt: skip
    lines = [
        "| suite | noise | sets | mean R² none, auto | R² > .999 none, auto "
        "| median nodes none, auto | auto better / worse | p | teacher used |",
        "| --- |" + " --- |" * 8,
    ]
    for (suite, level), part in noise.groupby(["suite", "noise"]):
        scores = part.groupby(["dataset", "variant"])["score"].median().unstack()
        scores = scores.reindex(columns=["auto", "none"]).dropna()
        if scores.empty:
            continue
        of = part.groupby("variant")
        nodes = part.assign(n=part["complexity"].astype(float)).groupby("variant")["n"].median()
        solved, test = of["acc999"].mean(), stats.wilcoxon_holm(scores).iloc[0]
        lines.append(
            f"| {suite} | {level:g} | {len(scores)} | {scores['none'].mean():.4f}, "
            f"{scores['auto'].mean():.4f} "
            f"| {100 * solved['none']:.1f}, {100 * solved['auto']:.1f} % "
            f"| {nodes['none']:.0f}, {nodes['auto']:.0f} | {test['wins']} / {test['losses']} "
            f"| {test['p']:.2g} | {part['used'].sum()} of {(part['variant'] == 'auto').sum()} |"
        )
    return lines


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "settings", "time", "publish"))
    parser.add_argument("--part", choices=("distill", "noise"), default="distill")
    parser.add_argument("--out", type=Path, default=Path("runs/teacher"))
    parser.add_argument("--blackbox", help="folder of black-box tables")
    parser.add_argument("--sets", type=int, help="only the first sets of a suite, for a trial")
    parser.add_argument("--seeds", type=int, default=0, help="default: 10 (distill), 1 (noise)")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if args.action == "time":
        figures = measure()
        RowStore(args.out)
        write_file(args.out / "time.json", json.dumps(figures))
        print(
            f"one teacher {figures['one']:.2f} s, grid of {figures['members']} "
            f"{figures['grid']:.2f} s: {figures['ratio']:.1f} times (at most {MOST_RATIO:g})"
        )
    elif args.action == "publish":
        publish(args.out)
    elif args.action == "run" and args.part == "noise":
        run(noise_tasks(args.seeds or 1, args.sets), args.out, args.jobs)
    elif args.blackbox is None:
        parser.error("this needs --blackbox FOLDER")
    elif args.action == "settings":
        print(compare_settings(args.blackbox, args.seeds or 3).round(3).to_string(index=False))
    else:
        sets = measured_sets(args.blackbox)[: args.sets or N_SETS]
        print(f"{len(sets)} sets: {', '.join(sets)}")
        tasks = distill_tasks(args.blackbox, sets, args.seeds or 10, str(args.out / "grids"))
        run(tasks, args.out, args.jobs)


if __name__ == "__main__":
    main()

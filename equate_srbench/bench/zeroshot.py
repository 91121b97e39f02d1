"""Evaluate backbones without adaptation or search; every fit is stored as a row.

``python -m equate_srbench.bench.zeroshot CHECKPOINT... --data DIR --rows FILE`` fits
``E2ERegressor`` (128 samples in two bags and both views, all of them refined) to the Strogatz sets,
to every fourth Feynman set and to fresh synthetic formulas. Fits whose rows exist in the file are
skipped.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from equate_srbench.backbone import checkpoint
from equate_srbench.baselines.e2e import E2ERegressor
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import CorpusConfig, Counts, examples_of
from equate_srbench.pretrain.scores import (
    SYNTHETIC,
    Score,
    append_row,
    clipped,
    mean_of,
    read_rows,
    solved,
)

#: Bags, and samples per bag and view beside the greedy formula: 2 x 2 x 32 = 128 samples.
N_BAGS, N_SAMPLES = 2, 32
_N_ROWS, _N_SYNTHETIC_ROWS = 1000, 400
_MAX_TIME = 300.0  # seconds of a fit, which takes one or two


@dataclass(frozen=True, eq=False)
class ZeroShotTable:
    """A table to fit.

    Attributes
    ----------
    suite, name : str
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    columns : int
        Of the table, or of the true formula.
    true_nodes : int
        0 where no true formula is given.
    """

    suite: str
    name: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    columns: int
    true_nodes: int = 0


@dataclass(frozen=True, eq=False)
class Job:
    """One fit of a backbone to a table."""

    weights: Path
    sha256: str
    examples: int
    table: ZeroShotTable
    seed: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The key of the row of this fit."""
        return self.sha256, self.table.suite, self.table.name, self.seed


def read_suite(path: Path, *, every: int = 1) -> list[ZeroShotTable]:
    """Read or draw the tables of a suite described by a CSV, at most 1000 rows each.

    Parameters
    ----------
    path : Path
        Columns ``name`` and ``variables`` (JSON). Where a variable has ``low`` and ``high``, rows
        are drawn from ``formula``; otherwise they stand in ``STEM/NAME.tsv.gz`` beside the CSV,
        target last.
    every : int, default=1
        Use every k-th table.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[::every]
    tables = []
    for row in rows:
        rng = np.random.default_rng(0)
        variables = json.loads(row["variables"])
        if isinstance(variables[0], dict):
            low, high = np.array([(v["low"], v["high"]) for v in variables]).T
            X = rng.uniform(low, high, (_N_ROWS, len(variables)))
            y = evaluate(parse(row["formula"], [v["name"] for v in variables]), X)
        else:
            table = path.with_suffix("") / f"{row['name']}.tsv.gz"
            data = pd.read_csv(table, sep="\t").to_numpy(dtype=np.float64)
            data = data[rng.permutation(len(data))[:_N_ROWS]]
            X, y = data[:, :-1], data[:, -1]
        tables.append(ZeroShotTable(path.stem, row["name"], X, y, X.shape[1]))
    return tables


def draw_synthetic(n: int) -> list[ZeroShotTable]:
    """Draw ``n`` >= 1 formulas of the corpus with tables and noise-free targets."""
    r, rng = Random("held out"), np.random.default_rng([2**31, 0])  # noqa: S311
    examples = examples_of(CorpusConfig(), r, rng, _N_SYNTHETIC_ROWS, n, Filter.shipped(), Counts())
    return [
        ZeroShotTable(
            SYNTHETIC, f"synthetic-{i:04d}", e.X, evaluate(e.tree, e.X), len(e.tree.columns),
            e.tree.size,
        )
        for i, e in enumerate(examples)
    ]  # fmt: skip


def fit(job: Job) -> Score:
    """Fit to three quarters of the rows and score on the rest."""
    torch.set_num_threads(1)
    X, y = job.table.X, job.table.y
    order = np.random.default_rng(job.seed).permutation(len(y))
    train, test = np.split(order, [3 * len(order) // 4])
    start = time.monotonic()
    estimator = E2ERegressor(
        max_time=_MAX_TIME,
        backbone=str(job.weights),
        device="cpu",
        n_bags=N_BAGS,
        n_samples=N_SAMPLES,
        temperature=1.0,
        n_refine=2 * N_BAGS * (N_SAMPLES + 1),
        select="accurate",
        random_state=job.seed,
    ).fit(X[train], y[train])
    seconds = time.monotonic() - start
    with np.errstate(all="ignore"):
        error = float(np.mean((y[test] - estimator.equation_.predict(X[test])) ** 2))
    r2 = 1.0 - error / float(np.var(y[test])) if np.isfinite(error) else -np.inf
    return Score(
        job.sha256, job.examples, job.table.suite, job.table.name, job.seed, r2,
        estimator.equation_.size, job.table.columns, job.table.true_nodes, round(seconds, 3),
    )  # fmt: skip


def find_checkpoints(paths: Iterable[Path]) -> list[Path]:
    """Checkpoint files by path, name or folder, ordered by training examples.

    Raises
    ------
    FileNotFoundError
        If a file does not exist, or a folder has no checkpoint.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.safetensors")) if path.is_dir() else [checkpoint.locate(path)]
        if not inside:
            raise FileNotFoundError(f"no checkpoint at {path}")
        found += inside
    return sorted(found, key=_examples)


def _examples(path: Path) -> int:
    return int(checkpoint.describe(path)["card"].get("training", {}).get("examples", 0))


def jobs_of(weights: Path, tables: Sequence[ZeroShotTable], seeds: Sequence[int]) -> Iterator[Job]:
    """Fits of all tables with all seeds; of synthetic tables only with the first seed."""
    sha256, examples = checkpoint.describe(weights)["sha256"], _examples(weights)
    for seed in seeds:
        for table in tables:
            if table.suite != SYNTHETIC or seed == seeds[0]:
                yield Job(weights, sha256, examples, table, seed)


def run(jobs: Iterable[Job], rows: Path, workers: int) -> Iterator[Score]:
    """Run the fits without a row in ``workers`` processes; store and yield each row."""
    done = {score.key for score in read_rows(rows)}
    missing = [job for job in jobs if job.key not in done]
    if workers == 1:
        for job in missing:
            score = fit(job)
            append_row(rows, score)
            yield score
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures = [pool.submit(fit, job) for job in missing]
        try:
            for future in as_completed(futures):
                append_row(rows, future.result())
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Score checkpoints without adaptation or search."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.bench.zeroshot", description=main.__doc__
    )
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", help="files, folders, or names")
    add("--data", type=Path, required=True, help="folder with feynman.csv and strogatz.csv")
    add(
        "--rows",
        type=Path,
        required=True,
        help="CSV of existing rows, to which new ones are appended",
    )
    add("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    add("--every", type=int, default=4, help="use every k-th Feynman set (default: 4)")
    add("--synthetic", type=int, default=0, help="number of fresh synthetic formulas (default: 0)")
    add("--jobs", type=int, default=1, help="processes (default: 1)")
    args = parser.parse_args(argv)
    if args.jobs < 1 or args.every < 1 or args.synthetic < 0:
        parser.error("--jobs and --every must be at least 1, --synthetic at least 0")
    try:
        tables = read_suite(args.data / "strogatz.csv")
        tables += read_suite(args.data / "feynman.csv", every=args.every)
        tables += draw_synthetic(args.synthetic) if args.synthetic else []
        found = find_checkpoints(args.checkpoints)
        jobs = [job for weights in found for job in jobs_of(weights, tables, args.seeds)]
        before = {score.key for score in read_rows(args.rows)}
    except (OSError, ValueError) as error:
        parser.error(str(error))
    missing = sum(job.key not in before for job in jobs)
    print(f"{len(jobs)} fits, {len(jobs) - missing} of them exist already", flush=True)
    start = time.monotonic()
    for n, _ in enumerate(run(jobs, args.rows, args.jobs), start=1):
        if n % 20 == 0 or n == missing:
            print(f"{n} of {missing} in {time.monotonic() - start:.0f} s", flush=True)
    _summarise(found, args.rows)


def _summarise(found: Sequence[Path], rows: Path) -> None:
    scores = read_rows(rows)
    for path in found:
        sha256 = checkpoint.describe(path)["sha256"]
        for synthetic in (False, True):
            own = [s for s in scores if s.sha256 == sha256 and (s.suite == SYNTHETIC) is synthetic]
            if own:
                share, r2 = mean_of(own, solved), mean_of(own, clipped)
                print(
                    f"{path.name} {'synthetic' if synthetic else 'suites'}: {len(own)} fits, "
                    f"R2 > .99 {share.mean:.1%} [{share.low:.1%}, {share.high:.1%}], "
                    f"clipped R2 {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}]"
                )


if __name__ == "__main__":
    main()

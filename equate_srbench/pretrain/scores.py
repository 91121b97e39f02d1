"""Zero-shot scores of checkpoints: storage, and statistics with confidence intervals.

``equate_srbench.bench.zeroshot`` computes the scores; this module needs only NumPy.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Suite of formulas from the corpus's generators, on held-out tables.
SYNTHETIC = "synthetic"
_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one fit.

    Attributes
    ----------
    sha256 : str
        Of the checkpoint, from its header.
    examples : int
        Training examples of the checkpoint.
    suite, name : str
        The dataset.
    seed : int
        Of split, bags and samples.
    r2 : float
        On the held-out quarter of the rows; minus infinity if the formula is undefined there.
    nodes : int
        Of the answer.
    columns : int
        Of the table; of the true formula in the suite ``SYNTHETIC``.
    true_nodes : int
        Of the true formula in the suite ``SYNTHETIC``, else 0.
    seconds : float
        Wall clock of the fit.
    """

    sha256: str
    examples: int
    suite: str
    name: str
    seed: int
    r2: float
    nodes: int
    columns: int
    true_nodes: int
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Checkpoint, dataset and seed."""
        return self.sha256, self.suite, self.name, self.seed


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


# -- rows on disk -----------------------------------------------------------------------------


def append_row(path: Path, score: Score) -> None:
    """Append a row to a CSV, created if missing; a truncated last row is terminated first."""
    new = not path.exists() or path.stat().st_size == 0
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = new or path.read_bytes().endswith(b"\n")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow([f.name for f in fields(Score)])
        if not whole:
            file.write("\n")
        writer.writerow(astuple(score))
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[Score]:
    """Read the rows of a CSV, the last for each key; empty if there is no file.

    Truncated rows are skipped.

    Raises
    ------
    ValueError
        If the file has other columns.
    """
    if not path.exists():
        return []
    kinds = {"str": str, "int": int, "float": float}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    names = [f.name for f in fields(Score)]
    if rows and rows[0] != names:
        raise ValueError(f"{path} does not hold zero-shot scores: its columns are {rows[0][:4]}...")
    found = {}
    for row in rows[1:]:
        if len(row) == len(names):
            values = (kinds[str(f.type)](v) for f, v in zip(fields(Score), row, strict=True))
            score = Score(*values)
            found[score.key] = score
    return list(found.values())


# -- statistics -------------------------------------------------------------------------------


def solved(score: Score) -> float:
    """1 if R2 is above .99, else 0."""
    return float(score.r2 > 0.99)


def clipped(score: Score) -> float:
    """R2, clipped at 0."""
    return max(0.0, score.r2)


def table(
    scores: Iterable[Score], value: Callable[[Score], float]
) -> tuple[list[tuple[str, str]], list[int], NDArray[np.float64]]:
    """Values by dataset and seed.

    Parameters
    ----------
    scores : iterable of Score
        Of one checkpoint.
    value : callable

    Returns
    -------
    sets : list of (suite, name)
        Sorted.
    seeds : list of int
        Seeds with a score on every dataset.
    values : ndarray of shape (n_sets, n_seeds)
    """
    by_set: dict[tuple[str, str], dict[int, float]] = {}
    for s in scores:
        by_set.setdefault((s.suite, s.name), {})[s.seed] = value(s)
    sets = sorted(by_set)
    seeds = sorted(set.intersection(*(set(by_set[k]) for k in sets))) if sets else []
    rows = [[by_set[k][seed] for seed in seeds] for k in sets]
    return sets, seeds, np.array(rows, dtype=np.float64).reshape(len(sets), len(seeds))


def bootstrap(values: NDArray[np.float64], seed: int = 0) -> Interval:
    """Mean and 95 % bootstrap interval, resampling datasets and seeds within each.

    Parameters
    ----------
    values : ndarray of shape (n_sets, n_seeds)
    seed : int, default=0
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there are no values.
    """
    if not values.size:
        raise ValueError("no seed has scores on every dataset: complete the scores first")
    rng = np.random.default_rng(seed)
    n_sets, n_seeds = values.shape
    sets = rng.integers(n_sets, size=(_RESAMPLES, n_sets, 1))
    seeds = rng.integers(n_seeds, size=(_RESAMPLES, n_sets, n_seeds))
    low, high = np.quantile(values[sets, seeds].mean((1, 2)), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def mean_of(scores: Iterable[Score], value: Callable[[Score], float]) -> Interval:
    """``bootstrap`` of the scores of one checkpoint."""
    return bootstrap(table(scores, value)[2])


def paired(
    new: Sequence[Score], old: Sequence[Score], value: Callable[[Score], float]
) -> NDArray[np.float64]:
    """Differences ``new - old`` over the datasets and seeds that both have.

    Returns
    -------
    ndarray of shape (n_sets, n_seeds)
        For ``bootstrap``.
    """
    shared = {s.key[1:] for s in new} & {s.key[1:] for s in old}
    a, b = (table([s for s in part if s.key[1:] in shared], value)[2] for part in (new, old))
    return a - b


def groups_of(scores: Iterable[Score]) -> dict[str, dict[str, list[Score]]]:
    """Scores of ``SYNTHETIC``, grouped by size and number of columns of the true formula."""
    nodes = {"up to 5": (0, 5), "6 to 10": (6, 10), "11 to 15": (11, 15), "over 15": (16, 10**6)}
    columns = {"1": (1, 1), "2": (2, 2), "3": (3, 3), "4 or 5": (4, 5), "over 5": (6, 10**6)}
    rows = [s for s in scores if s.suite == SYNTHETIC]
    out: dict[str, dict[str, list[Score]]] = {}
    for what, field, bounds in (("nodes", "true_nodes", nodes), ("variables", "columns", columns)):
        parts = {
            label: [s for s in rows if low <= asdict(s)[field] <= high]
            for label, (low, high) in bounds.items()
        }
        out[what] = {label: part for label, part in parts.items() if part}
    return out

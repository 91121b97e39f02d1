"""Zero-shot scores: what the backbone proposes without any adaptation, constants refined."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.features import point_features
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.parser import parse
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refiner

Fit = Callable[[NDArray[np.float64], NDArray[np.float64], int], Tree]


@dataclass(frozen=True)
class Table:
    """A benchmark set.

    Attributes
    ----------
    name : str
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    """

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Outcome of one fit: R2 on held-out rows, and the number of nodes."""

    name: str
    seed: int
    r2: float
    nodes: int


def read_suite(path: Path, *, n_rows: int = 1000, every: int = 1, seed: int = 0) -> list[Table]:
    """Tables of a suite described by a CSV.

    Parameters
    ----------
    path : Path
        Columns ``name`` and ``variables`` (JSON). Where a variable has ``low`` and ``high``, rows
        are drawn from ``formula``; otherwise they stand in ``STEM/NAME.tsv.gz`` beside the CSV,
        target last.
    n_rows : int, default=1000
        Rows drawn, or the most taken from a file.
    every : int, default=1
        Take every n-th set.
    seed : int, default=0
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[::every]
    tables = []
    for row in rows:
        rng = np.random.default_rng(seed)
        variables = json.loads(row["variables"])
        if isinstance(variables[0], dict):
            low, high = np.array([(v["low"], v["high"]) for v in variables]).T
            X = rng.uniform(low, high, (n_rows, len(variables)))
            y = evaluate(parse(row["formula"], [v["name"] for v in variables]), X)
        else:
            file = path.with_suffix("") / f"{row['name']}.tsv.gz"
            data = pd.read_csv(file, sep="\t").to_numpy(dtype=np.float64)
            data = data[rng.permutation(len(data))[:n_rows]]
            X, y = data[:, :-1], data[:, -1]
        tables.append(Table(row["name"], X, y))
    return tables


def zero_shot(
    backbone: Backbone,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    seed: int,
    *,
    n_bags: int = 2,
    n_samples: int = 64,
    n_points: int = 64,
    temperature: float = 1.0,
) -> Tree:
    """The best of the backbone's samples after refinement, in user units.

    Parameters
    ----------
    backbone : Backbone
    X : ndarray of shape (n_rows, n_columns)
        At most ``max_columns`` columns.
    y : ndarray of shape (n_rows,)
    seed : int
        Of bags and samples.
    n_bags : int, default=2
        Bags per view.
    n_samples : int, default=64
        Samples per bag.
    n_points : int, default=64
        Rows per bag.
    temperature : float, default=1.0
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    best, best_loss = Tree.constant(float(np.mean(y))), float(np.var(y))
    for kind in ("scale", "standard"):
        view = View.fit(X, kind)
        Z = view.transform(X)
        bags = [rng.permutation(len(y))[:n_points] for _ in range(n_bags)]
        points = np.stack([point_features(Z[rows], y[rows], view) for rows in bags])
        trees = _sample(backbone, points, X.shape[1], n_samples, temperature, generator)
        if not trees:
            continue
        refined = Refiner(Z, y).fit(trees)
        i = int(np.argmin(refined.loss))
        if refined.loss[i] < best_loss:
            best, best_loss = view.to_user(refined.tree(i)), float(refined.loss[i])
    return best


def _sample(
    backbone: Backbone,
    points: NDArray[np.float32],
    n_columns: int,
    n_samples: int,
    temperature: float,
    generator: torch.Generator,
) -> list[Tree]:
    """Distinct skeletons among the samples, in order."""
    with torch.inference_mode():
        features = torch.from_numpy(points)
        memory = backbone.encode(features, torch.ones(features.shape[:2], dtype=torch.bool))
        bags = generate(
            backbone, memory, n_columns=n_columns, n_samples=n_samples,
            temperature=temperature, generator=generator,
        )  # fmt: skip
    trees: dict[tuple[int, ...], Tree] = {}
    for hypothesis in (h for bag in bags for h in bag):
        try:
            tree = backbone.vocabulary.decode(hypothesis.ids)
        except FormulaError:
            continue
        trees.setdefault(tree.skeleton, tree)
    return list(trees.values())


def score(fit: Fit, tables: Iterable[Table], seeds: Sequence[int] = (0,)) -> list[Score]:
    """Fit on three quarters of the rows, score on the rest, for each table and seed.

    Parameters
    ----------
    fit : callable
        ``fit(X, y, seed)`` returns a tree over the raw columns.
    tables : iterable of Table
    seeds : sequence of int, default=(0,)
    """
    scores = []
    for table in tables:
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(table.y))
            n_fit = 3 * len(order) // 4
            tree = fit(table.X[order[:n_fit]], table.y[order[:n_fit]], seed)
            y, p = table.y[order[n_fit:]], evaluate(tree, table.X[order[n_fit:]])
            residual = float(np.mean((y - p) ** 2))
            r2 = 1.0 - residual / float(np.var(y)) if np.isfinite(residual) else -np.inf
            scores.append(Score(table.name, seed, r2, tree.size))
    return scores


def share(scores: Sequence[Score], level: float = 0.99) -> float:
    """Share of fits with R2 above ``level``."""
    return float(np.mean([s.r2 > level for s in scores])) if scores else float("nan")

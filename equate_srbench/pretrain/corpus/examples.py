"""Training examples of the corpus: tables with their target formulas, in batches and pools.

A pool is some thousand examples with one number of points, split into batches of similar target
length. It depends only on the seed and its index, so a run can resume at any pool and several
workers can generate different pools.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from equate_srbench.backbone.features import point_features
from equate_srbench.backbone.views import Kind, View
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.expr.tree import Tree
from equate_srbench.pretrain.corpus import generators, natural
from equate_srbench.pretrain.corpus.column_laws import (
    ColumnLaw,
    Family,
    Spec,
    own_table,
    rounded,
    table,
)
from equate_srbench.pretrain.corpus.decontaminate import Filter

MAX_COLUMNS = 10
#: Points per bag, and their probabilities.
N_POINTS = ((24, 32, 48, 64, 96, 192), (0.25, 0.35, 0.2, 0.13, 0.04, 0.03))
#: Label noise relative to the root mean square of the target, and its probabilities.
NOISE = ((0.0, 0.01, 0.1), (0.75, 0.13, 0.12))
#: Fraction of examples in the standard view, and of those with formulas in raw units.
STANDARD, RAW_IN_STANDARD = 0.3, 0.35
#: Least standard deviation of the common logarithm of a target that spans decades.
LEAST_SPAN = 0.5
#: Targets are rounded where that changes them by less than this part of their deviation.
MOST_LOST = 0.1
_CHUNK = 64  # formulas per batch of tables


@dataclass(frozen=True)
class CorpusConfig:
    """Configuration of the corpus.

    Attributes
    ----------
    seed : int, default=0
    batch_points : int, default=6144
        Points per batch: bags times points per bag.
    batches : int, default=16
        Batches per pool.
    max_tokens : int, default=40
        Longer targets are rejected.
    tables : int, default=1
        Tables per formula. If more than one, they are generated for many formulas at once
        (``device_tables``), two to three times as fast.
    dropped : float, default=0.5
        Largest fraction of points that a batch drops (``thinned``): more examples for the same
        work are worth more than the points (docs/results/choices.md).
    natural_formulas : float, default=0.4
        Fraction of the formulas from ``natural``.
    natural_tables : float, default=0.4
        Fraction of the tables whose columns have laws of their own (``column_laws.own_table``).
        Their targets may span decades.
    noise : float, optional
        Label noise of every example, instead of one of ``NOISE``. Only with ``tables=1``.
    """

    seed: int = 0
    batch_points: int = 6144
    batches: int = 16
    max_tokens: int = 40
    tables: int = 1
    dropped: float = 0.5
    natural_formulas: float = 0.4
    natural_tables: float = 0.4
    noise: float | None = None

    def __post_init__(self) -> None:
        if self.noise is not None and self.tables > 1:
            raise ValueError(f"noise={self.noise} needs tables=1, got tables={self.tables}")


#: What configurations mean that were written before an option existed.
BEFORE = {"dropped": 0.0, "natural_formulas": 0.0, "natural_tables": 0.0}


@dataclass(frozen=True, eq=False)
class Batch:
    """B bags of N points and their targets of at most L tokens.

    Attributes
    ----------
    points : float16 ndarray or Tensor of shape (B, N, n_features)
    tokens : int16 ndarray of shape (B, L + 2)
        Start token, target, end token; padded.
    """

    points: NDArray[np.float16] | Tensor
    tokens: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Example:
    """A table with its formula, both in the view.

    Attributes
    ----------
    tree : Tree
        Target over view columns, modulo outer scale and offset.
    X : ndarray of shape (n_points, n_columns)
        View columns.
    y : ndarray of shape (n_points,)
        Raw target, with scale, offset and noise.
    view : View
    units : ndarray of shape (n_columns,)
        Units of the raw columns relative to ``spec``.
    spec : Spec
        Distribution of the rows, to generate further tables.
    """

    tree: Tree
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    view: View
    units: NDArray[np.float64]
    spec: Spec


@dataclass
class Counts:
    """Outcomes of the formulas drawn for a pool."""

    kept: int = 0
    contaminated: int = 0
    too_long: int = 0
    undefined: int = 0


def examples_of_pool(
    config: CorpusConfig, index: int, banned: Filter
) -> tuple[list[Example], int, Counts, Random]:
    """Examples of pool ``index``, batch size, counts, and the generator for further draws."""
    r = Random(f"{config.seed}/{index}")  # noqa: S311 - a corpus, not a secret
    rng = np.random.default_rng([config.seed, index])
    n_points = r.choices(*N_POINTS)[0]
    size = max(1, config.batch_points // n_points)
    counts = Counts()
    examples = list(examples_of(config, r, rng, n_points, size * config.batches, banned, counts))
    return examples, size, counts, r


def pool(config: CorpusConfig, index: int, banned: Filter) -> tuple[list[Batch], Counts]:
    """Batches of pool ``index``.

    Parameters
    ----------
    config : CorpusConfig
    index : int
    banned : Filter
        Benchmark skeletons; matching formulas are rejected.

    Returns
    -------
    batches : list of Batch
        In random order.
    counts : Counts
    """
    examples, size, counts, r = examples_of_pool(config, index, banned)
    vocabulary = CompactVocabulary(MAX_COLUMNS)
    targets = [vocabulary.encode(e.tree) for e in examples]
    order = sorted(range(len(examples)), key=lambda i: len(targets[i]))
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    r.shuffle(groups)
    batches = [
        Batch(
            features([examples[i] for i in g]),
            pad_targets([targets[i] for i in g], vocabulary.eos, vocabulary.pad),
        )
        for g in groups
    ]
    return batches, counts


def thinned(config: CorpusConfig, index: int, place: int, batch: Batch) -> Batch:
    """Batch ``place`` of pool ``index`` with a random subset of its points.

    The fraction kept is uniform in ``1 - config.dropped`` .. 1.
    """
    rng = np.random.default_rng([config.seed, index, place])
    n = batch.points.shape[1]
    kept = rng.permutation(n)[: n - rng.integers(0, int(config.dropped * n) + 1)]
    return Batch(batch.points[:, kept], batch.tokens)


def features(examples: list[Example]) -> NDArray[np.float16]:
    """Point features of examples with the same number of points, (B, N, n_features)."""
    n, n_points = len(examples), len(examples[0].y)
    X = np.zeros((n, n_points, MAX_COLUMNS))
    center, scale = np.zeros((n, MAX_COLUMNS)), np.ones((n, MAX_COLUMNS))
    present = np.zeros((n, MAX_COLUMNS), dtype=bool)
    for i, e in enumerate(examples):
        width = e.X.shape[1]
        X[i, :, :width] = e.X
        center[i, :width], scale[i, :width] = e.view.center, e.view.scale
        present[i, :width] = True
    y = np.stack([e.y for e in examples])
    out = np.empty((n, n_points, 0), dtype=np.float16)
    standard = np.array([e.view.kind == "standard" for e in examples])
    for kind in ("scale", "standard"):
        rows = standard == (kind == "standard")
        if rows.any():
            view = View(kind, center[rows], scale[rows])
            part = point_features(
                X[rows], y[rows], view, present=present[rows], max_columns=MAX_COLUMNS
            ).astype(np.float16)
            if out.shape[-1] == 0:
                out = np.empty((n, n_points, part.shape[-1]), dtype=np.float16)
            out[rows] = part
    return out


def pad_targets(targets: list[list[int]], eos: int, pad: int) -> NDArray[np.int16]:
    """Padded token rows with start and end tokens, (B, longest + 2)."""
    out = np.full((len(targets), max(map(len, targets)) + 2), pad, dtype=np.int16)
    out[:, 0] = eos
    for row, ids in zip(out, targets, strict=True):
        row[1 : len(ids) + 1] = ids
        row[len(ids) + 1] = eos
    return out


# -- examples ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """A formula without a table yet."""

    expression: normal.Expression
    n_columns: int
    kind: Kind
    in_view: bool  # whether the formula is over view columns instead of raw ones
    positive: bool = False  # second attempt with positive columns, for roots and logarithms


def _draft(config: CorpusConfig, r: Random, banned: Filter, counts: Counts) -> _Draft:
    while True:
        # older configurations draw no number here
        is_natural = config.natural_formulas > 0.0 and r.random() < config.natural_formulas
        expression, n_columns = (natural if is_natural else generators).draw(r)
        if not banned.matches(expression):
            break
        counts.contaminated += 1
    kind: Kind = "standard" if r.random() < STANDARD else "scale"
    in_view = kind == "standard" and r.random() >= RAW_IN_STANDARD
    return _Draft(expression, n_columns, kind, in_view)


def examples_of(
    config: CorpusConfig,
    r: Random,
    rng: np.random.Generator,
    n_points: int,
    n: int,
    banned: Filter,
    counts: Counts,
) -> Iterator[Example]:
    """Draw ``n`` examples of ``n_points`` rows each, using only ``r`` and ``rng``."""
    again: list[_Draft] = []
    while True:
        drafts = again + [_draft(config, r, banned, counts) for _ in range(_CHUNK - len(again))]
        again = []
        tried = list(_tables(config, r, rng, n_points, drafts, banned, counts))
        may_span = np.array([e.spec.family == Family.OWN for _, e in tried], dtype=bool)
        targets = np.array([e.y for _, e in tried]).reshape(-1, n_points)
        for (draft, example), good in zip(tried, usable(targets, may_span), strict=True):
            if good:
                counts.kept += 1
                y = _label(r, rng, example.y, config.noise)
                if example.spec.digits:
                    coarse = rounded(y, example.spec.digits)
                    y = coarse if (coarse - y).std() < MOST_LOST * y.std() else y
                yield replace(example, y=y)
                if counts.kept == n:
                    return
            elif draft.positive:
                counts.undefined += 1
            else:
                again.append(replace(draft, positive=True))


def _tables(
    config: CorpusConfig,
    r: Random,
    rng: np.random.Generator,
    n_points: int,
    drafts: list[_Draft],
    banned: Filter,
    counts: Counts,
) -> Iterator[tuple[_Draft, Example]]:
    """Draw a table for each draft, with the formula's noise-free values as target."""
    for kind in ("scale", "standard"):
        group = [d for d in drafts if d.kind == kind]
        X = np.zeros((len(group), n_points, MAX_COLUMNS))
        units = np.ones((len(group), MAX_COLUMNS))
        specs: list[Spec] = []
        for i, d in enumerate(group):
            X[i, :, : d.n_columns], spec = _columns(config, r, rng, n_points, d)
            specs.append(spec)
            units[i, : d.n_columns] = _units(r, d.n_columns, spec)
        X *= units[:, None]
        views = View.fit(X, kind)
        Z = views.transform(X)
        for i, d in enumerate(group):
            view = View(kind, views.center[i, : d.n_columns], views.scale[i, : d.n_columns])
            tree = _target(d.expression, view, units[i, : d.n_columns], d.in_view)
            if tree is not None and config.natural_formulas > 0.0:
                tree = natural.spelled(tree)
            if tree is None or not 1 < tree.size <= config.max_tokens:
                counts.too_long += 1
                continue
            # shifted columns change the skeleton
            if (kind, d.in_view) == ("standard", False) and banned.matches(normal.from_tree(tree)):
                counts.contaminated += 1
                continue
            columns = Z[i, :, : d.n_columns]
            y = evaluate(tree, columns)
            yield d, Example(tree, columns, y, view, units[i, : d.n_columns], specs[i])


def _columns(
    config: CorpusConfig, r: Random, rng: np.random.Generator, n_points: int, d: _Draft
) -> tuple[NDArray[np.float64], Spec]:
    """Columns in the units of the formula, (n_points, d.n_columns), and their distribution."""
    if config.natural_tables > 0.0 and r.random() < config.natural_tables:
        columns = set(normal.to_tree(d.expression).columns)
        used = [j in columns for j in range(d.n_columns)]
        return own_table(r, rng, n_points, used, d.positive)
    return table(r, rng, n_points, d.n_columns, d.positive)


def _target(
    expression: normal.Expression, view: View, unit: NDArray[np.float64], in_view: bool
) -> Tree | None:
    """The formula over view columns; None if a constant is undefined or out of range."""
    if not in_view:
        scale, center = (view.scale / unit).tolist(), (view.center / unit).tolist()
        replaced = {
            j: normal.add(normal.scaled(normal.variable(j), s), normal.constant(c))
            for j, (s, c) in enumerate(zip(scale, center, strict=True))
            if abs(s - 1.0) > 1e-9 or c != 0.0
        }
        if replaced:
            try:
                expression = normal.strip(normal.substitute(expression, replaced))
            except normal.UndefinedConstantError:
                return None
    if expression[1] is None:
        return None
    tree = normal.to_tree(expression)
    if any(not 5e-4 < abs(c) < 2e3 for c in tree.constants):
        return None
    return tree


def usable(F: NDArray[np.float64], may_span: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Whether values vary, are finite and moderate, and are not dominated by one outlier.

    Parameters
    ----------
    F : ndarray of shape (n, n_points)
    may_span : bool ndarray of shape (n,), optional
        Targets that may also span decades: values of one sign whose logarithms vary.

    Returns
    -------
    bool ndarray of shape (n,)
    """
    largest = np.abs(F).max(-1)  # NaN where a value is
    sane = (largest > 1e-9) & (largest < 1e9)
    scaled = np.where(sane[:, None], F, 0.0) / np.where(sane, largest, 1.0)[:, None]
    spread = scaled.std(-1)
    deviation = np.abs(scaled - scaled.mean(-1, keepdims=True)).max(-1)
    largest_deviation = 0.85 * math.sqrt(F.shape[-1]) * spread
    good: NDArray[np.bool_] = sane & (spread > 1e-4) & (deviation < largest_deviation)
    if may_span is not None and may_span.any():
        good[may_span] |= _spans(F[may_span])
    return good


def _spans(F: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether values of shape (n, n_points) have one sign and span decades, 1e-30 to 1e30."""
    size = np.abs(F)
    low, high = size.min(-1), size.max(-1)
    sane = (low > 1e-30) & (high < 1e30) & (np.abs(np.sign(F).sum(-1)) == F.shape[-1])
    logs = np.log10(np.where(sane[:, None], size, 1.0))
    centred = logs - logs.mean(-1, keepdims=True)
    spread = logs.std(-1)
    most = 0.85 * math.sqrt(F.shape[-1]) * spread
    out: NDArray[np.bool_] = sane & (spread > LEAST_SPAN) & (np.abs(centred).max(-1) < most)
    return out


def _units(r: Random, n_columns: int, spec: Spec) -> NDArray[np.float64]:
    """Units of the raw columns: powers of ten, mostly 1."""
    is_own = spec.family == Family.OWN
    if r.random() < (0.6 if is_own else 0.85):
        return np.ones(n_columns)
    largest = r.choice((6, 12, 30)) if is_own else 6
    units = np.array([10.0 ** r.randint(-largest, largest) for _ in range(n_columns)])
    # rounding errors of a constant column's mean would be large in large units
    return np.where(spec.law == ColumnLaw.CONSTANT, 1.0, units) if is_own else units


def _label(
    r: Random, rng: np.random.Generator, f: NDArray[np.float64], noise: float | None = None
) -> NDArray[np.float64]:
    """Apply an outer scale, sometimes an offset, and noise: one of ``NOISE`` by default."""
    scale = 1.0 if r.random() < 0.5 else 10.0 ** r.uniform(-3.0, 3.0)
    y = f * (scale if r.random() < 0.8 else -scale)
    if r.random() < 0.35:
        y = y + r.uniform(-3.0, 3.0) * y.std() * r.choice((0.3, 1.0, 3.0))
    if noise is None:
        noise = r.choices(*NOISE)[0]
    if noise:
        y = y + noise * math.sqrt(float((y * y).mean())) * rng.standard_normal(len(y))
    return y

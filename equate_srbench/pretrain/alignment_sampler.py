"""Training batches of the alignment modules: synthetic tables, formulas for each, true scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View
from equate_srbench.equate.alignment import Formulas
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tree import Tree
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import (
    MAX_COLUMNS,
    CorpusConfig,
    Counts,
    Example,
    examples_of,
)
from equate_srbench.pretrain.corpus.examples import features as point_features
from equate_srbench.problem import scaling
from equate_srbench.refine import Refiner

_IDENTITY = View("scale", np.zeros(MAX_COLUMNS), np.ones(MAX_COLUMNS))


@dataclass(frozen=True)
class AlignmentConfig:
    """Data, loss and optimiser of the alignment training.

    Attributes
    ----------
    seed : int
        Of tables, formulas and initial weights; different from the seed of the backbone's corpus.
    tables, block : int
        Tables per step, and steps whose tables are drawn together.
    repeats : int
        Passes over a block; row dropout and dropout are drawn anew in each.
    part : int
        Formulas per forward pass; a step sums gradients over its passes.
    points : tuple of int
        Row counts to choose from.
    samples : tuple of float
        Temperatures at which the backbone proposes formulas for a table.
    edits : int
        Random edits of the true formula per table.
    lam, length : float
        Of the score ``R2 + lam * exp(-size / length)``.
    refine_steps : int
        Gauss-Newton steps before a formula is scored.
    spread : float
        Standard deviation by which the loss divides the scores.
    lr, warm_up, decay, weight_decay, clip
        AdamW's peak learning rate, linear warm-up in steps, fraction of the time over which the
        rate decays to zero, weight decay, and largest gradient norm.
    row_keep : tuple of 2 floats
        Row dropout, as in a fit.
    """

    seed: int = 1_000_003
    tables: int = 16
    block: int = 8
    repeats: int = 2
    part: int = 32
    points: tuple[int, ...] = (32, 48, 64, 96)
    samples: tuple[float, ...] = (1e-4, 0.7)
    edits: int = 2
    lam: float = 0.1
    length: float = 50.0
    refine_steps: int = 4
    spread: float = 0.35
    lr: float = 1e-3
    warm_up: int = 50
    decay: float = 0.3
    weight_decay: float = 0.01
    clip: float = 1.0
    row_keep: tuple[float, float] = (0.25, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class FormulaBatch:
    """Formulas of similar length for one forward pass.

    Attributes
    ----------
    table : int64 Tensor of shape (formulas,)
        Index into the memory of the ``AlignmentBatch``.
    formulas : Formulas
    scores : Tensor of shape (formulas,)
    """

    table: Tensor
    formulas: Formulas
    scores: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentBatch:
    """Tables of one training step with their formulas and scores.

    Attributes
    ----------
    memory, mask : Tensor of shape (tables, rows, width) and (tables, rows)
    parts : list of FormulaBatch
    """

    memory: Tensor
    mask: Tensor
    parts: list[FormulaBatch]

    def __len__(self) -> int:
        return sum(len(part.scores) for part in self.parts)


class TaskSampler:
    """Draws synthetic tables with good, edited and mis-scaled formulas, and scores these.

    Parameters
    ----------
    backbone : Backbone
        Encodes the tables.
    decoder : Backbone
        Proposes formulas; the same backbone, or a copy in a faster precision.
    config : AlignmentConfig
    stream : int
        Index of the random stream; streams of one seed are independent.
    """

    def __init__(
        self, backbone: Backbone, decoder: Backbone, config: AlignmentConfig, stream: int
    ) -> None:
        self.backbone, self.decoder, self.config = backbone, decoder, config
        self.random = Random(f"{config.seed}/{stream}")  # noqa: S311 - a corpus, not a secret
        self.rng = np.random.default_rng([config.seed, stream])
        self.generator = torch.Generator().manual_seed(self.random.getrandbits(62))
        self.banned = Filter.shipped()

    def batches(self) -> Iterator[AlignmentBatch]:
        """Endless batches; those of a block share their number of rows and one decoder call."""
        c = self.config
        while True:
            examples = list(self._tables())
            points = torch.from_numpy(point_features(examples).astype(np.float32))
            mask = torch.ones(points.shape[:2], dtype=torch.bool)
            with torch.no_grad():
                memory = self.backbone.encode(points, mask)
            proposed = self._proposed(examples, memory, mask)
            found = []
            for first in range(0, len(examples), c.tables):
                part = slice(first, first + c.tables)
                found.append(self._batch(examples[part], proposed[part], memory[part], mask[part]))
            for _ in range(c.repeats):
                yield from found

    def _tables(self) -> Iterator[Example]:
        c = self.config
        n_points = self.random.choice(c.points)
        corpus, n = CorpusConfig(seed=c.seed), c.tables * c.block
        return examples_of(corpus, self.random, self.rng, n_points, n, self.banned, Counts())

    def _batch(
        self,
        examples: Sequence[Example],
        proposed: Sequence[Sequence[Tree]],
        memory: Tensor,
        mask: Tensor,
    ) -> AlignmentBatch:
        found = [
            (i, ids, score)
            for i, example in enumerate(examples)
            for ids, score in self._scored(example, proposed[i])
        ]
        found.sort(key=lambda row: len(row[1]))  # similar lengths need little padding
        parts = []
        for first in range(0, len(found), self.config.part):
            table, ids, scores = zip(*found[first : first + self.config.part], strict=True)
            formulas = Formulas.pack(ids, self.backbone.vocabulary, memory.device)
            parts.append(FormulaBatch(torch.tensor(table), formulas, torch.tensor(scores)))
        return AlignmentBatch(memory, mask, parts)

    def _proposed(
        self, examples: Sequence[Example], memory: Tensor, mask: Tensor
    ) -> list[list[Tree]]:
        found = generate(
            self.decoder,
            memory,
            mask,
            n_columns=[e.X.shape[1] for e in examples],
            n_samples=len(self.config.samples),
            temperature=self.config.samples,
            generator=self.generator,
            max_length=CorpusConfig.max_tokens,
        )
        return [[self.backbone.vocabulary.decode(h.ids) for h in bag] for bag in found]

    def _scored(
        self, example: Example, proposed: Sequence[Tree]
    ) -> Iterator[tuple[list[int], float]]:
        """Distinct refined formulas for one table as token ids, with their scores."""
        c, true = self.config, example.tree
        mutator = Mutator(range(example.X.shape[1]), self.random, CorpusConfig.max_tokens)
        trees = [true, *proposed]
        trees += [mutator.edit(true, mutator.tree(2)) for _ in range(c.edits)]
        refiner = Refiner(example.X, example.y)
        fitted = refiner.fit(trees, max_steps=c.refine_steps)
        found = [
            (tree.with_constants(fitted.constants(i)), float(fitted.unexplained[i]))
            for i, tree in enumerate(trees)
        ]
        if true.constants:  # one constant far off and not refined: what a bad constant costs
            k = self.random.randrange(len(true.constants))
            off = true.with_constants(
                [10.0 * v if j == k else v for j, v in enumerate(true.constants)]
            )
            found.append((off, float(refiner.fit([off], max_steps=0).unexplained[0])))
        seen: set[tuple[int, ...]] = set()
        for tree, unexplained in found:
            spelt = scaling.to_view(tree, _IDENTITY) if np.isfinite(unexplained) else None
            if spelt is None or spelt.size > CorpusConfig.max_tokens:
                continue
            ids = self.backbone.vocabulary.encode(spelt)
            if tuple(ids) in seen or self.banned.matches(normal.from_tree(spelt)):
                continue
            seen.add(tuple(ids))
            score = max(1.0 - unexplained, -1.0) + c.lam * np.exp(-spelt.size / c.length)
            yield ids, float(score)

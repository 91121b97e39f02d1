"""Amortised alignment: formula encoder, fusion and evaluator trained on synthetic tables.

``python -m equate_srbench.pretrain.alignment_training --minutes M`` trains them with the backbone
frozen, resumes where it stopped, and writes the file that fits start from. They read the backbone's
memories, so they are trained after it, and again whenever it changes.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View
from equate_srbench.equate import pretrained
from equate_srbench.equate.adamw import AdamW
from equate_srbench.equate.alignment import (
    Alignment,
    Formulas,
    keep_rows,
    reconstruction_loss,
    score_loss,
)
from equate_srbench.equate.trajectory import rank_correlation
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
from equate_srbench.pretrain.optimise import is_bf16_fast
from equate_srbench.pretrain.state import load_state, save_state
from equate_srbench.pretrain.train import default_directory
from equate_srbench.problem import scaling
from equate_srbench.refine import Refiner
from equate_srbench.runtime import memory as room
from equate_srbench.runtime.clock import Deadline

_IDENTITY = View("scale", np.zeros(MAX_COLUMNS), np.ones(MAX_COLUMNS))


@dataclass(frozen=True)
class AlignmentConfig:
    """What is trained on, and how.

    Attributes
    ----------
    seed : int
        Of tables, formulas and initial weights; another one than the backbone's corpus.
    tables, block : int
        Tables in a step, and steps whose tables are drawn together.
    repeats : int
        How often a block is taught; the second time rows and dropout are drawn anew.
    part : int
        Formulas in one pass of the network; a step sums over its passes.
    points : tuple of int
        Choice of row counts.
    samples : tuple of float
        Temperatures at which the backbone proposes formulas for a table.
    edits : int
        Random neighbours of the true formula per table.
    lam, length : float
        Of the score ``R2 + lam * exp(-size / length)``.
    refine_steps : int
        Gauss-Newton steps before a formula is scored.
    spread : float
        Standard deviation that scores are divided by in the loss.
    lr, warm_up, decay, weight_decay, clip
        AdamW's peak rate, steps of linear rise, share of the time in which it falls to zero.
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


@dataclass
class Progress:
    """Where a run stands; ``backbones`` counts those whose memories were read one after another."""

    step: int = 0
    backbones: int = 1
    formulas: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=lambda: [float("nan")] * 2)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Formulas of similar length.

    Attributes
    ----------
    table : int64 Tensor of shape (formulas,)
        Row of the lesson's memory that each belongs to.
    formulas : Formulas
    scores : Tensor of shape (formulas,)
    """

    table: Tensor
    formulas: Formulas
    scores: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Tables of one step, their formulas and scores.

    Attributes
    ----------
    memory, mask : Tensor of shape (tables, rows, width) and (tables, rows)
    parts : list of Part
    """

    memory: Tensor
    mask: Tensor
    parts: list[Part]

    def __len__(self) -> int:
        return sum(len(part.scores) for part in self.parts)


class Teacher:
    """Draws lessons from the corpus: each table with good, damaged and foreign formulas.

    Parameters
    ----------
    backbone : Backbone
        Makes the memories.
    decoder : Backbone
        Proposes formulas; the same backbone, or a copy in a faster precision.
    config : AlignmentConfig
    stream : int
        Number of the stream; streams of one seed do not overlap.
    """

    def __init__(
        self, backbone: Backbone, decoder: Backbone, config: AlignmentConfig, stream: int
    ) -> None:
        self.backbone, self.decoder, self.config = backbone, decoder, config
        self.random = Random(f"{config.seed}/{stream}")  # noqa: S311 - a corpus, not a secret
        self.rng = np.random.default_rng([config.seed, stream])
        self.generator = torch.Generator().manual_seed(self.random.getrandbits(62))
        self.banned = Filter.shipped()

    def lessons(self) -> Iterator[Lesson]:
        """Lessons without end; a block of them shares its number of rows, and one decoding."""
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
                found.append(self._lesson(examples[part], proposed[part], memory[part], mask[part]))
            for _ in range(c.repeats):
                yield from found

    def _tables(self) -> Iterator[Example]:
        c = self.config
        n_points = self.random.choice(c.points)
        corpus, n = CorpusConfig(seed=c.seed), c.tables * c.block
        return examples_of(corpus, self.random, self.rng, n_points, n, self.banned, Counts())

    def _lesson(
        self,
        examples: Sequence[Example],
        proposed: Sequence[Sequence[Tree]],
        memory: Tensor,
        mask: Tensor,
    ) -> Lesson:
        found = [
            (i, ids, score)
            for i, example in enumerate(examples)
            for ids, score in self._scored(example, proposed[i])
        ]
        found.sort(key=lambda row: len(row[1]))  # padding costs time
        parts = []
        for first in range(0, len(found), self.config.part):
            table, ids, scores = zip(*found[first : first + self.config.part], strict=True)
            formulas = Formulas.pack(ids, self.backbone.vocabulary, memory.device)
            parts.append(Part(torch.tensor(table), formulas, torch.tensor(scores)))
        return Lesson(memory, mask, parts)

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
        """Distinct formulas for one table, refined, in the corpus's spelling, with scores."""
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


class Run:
    """A training run in a directory.

    Parameters
    ----------
    directory : Path
        Created if missing; a state found there is taken up again.
    backbone_name : str or Path
        As for ``checkpoint.load``.
    config : AlignmentConfig
    """

    def __init__(self, directory: Path, backbone_name: str | Path, config: AlignmentConfig) -> None:
        self.directory, self.config = directory, config
        directory.mkdir(parents=True, exist_ok=True)
        self.backbone = checkpoint.load(backbone_name)
        self.sha256: str = checkpoint.describe(backbone_name)["sha256"]
        # decoding is most of the work; its weights are frozen, so half precision costs nothing
        self.decoder = (
            copy.deepcopy(self.backbone).to(torch.bfloat16) if is_bf16_fast() else self.backbone
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.modules = Alignment(self.backbone.config, self.generator)
        self.parameters = list(self.modules.parameters())
        self.optimiser = AdamW(
            [(self.parameters, config.lr)], weight_decay=config.weight_decay, clip=config.clip
        )
        self.progress = Progress()
        if (saved := load_state(directory)) is not None:
            self._resume(*saved)
        self.lessons = self._teacher(1 + self.progress.step)

    def _teacher(self, stream: int) -> Iterator[Lesson]:
        return Teacher(self.backbone, self.decoder, self.config, stream).lessons()

    def losses(self, lesson: Lesson, *, train: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Reconstruction loss, score loss, and predicted scores (heads, formulas) of each part."""
        c, memory, mask = self.config, lesson.memory, lesson.mask
        if train:
            low, high = c.row_keep
            share = low + (high - low) * float(torch.rand((), generator=self.generator))
            count = round(share * memory.shape[1])
            memory, mask = keep_rows(memory, mask, count, self._draws(memory))
        dtype = next(self.decoder.parameters()).dtype
        for part in lesson.parts:
            rows, valid = memory[part.table], mask[part.table]
            draws = self._draws(rows) if train else None
            joint = self.modules.embed(self.backbone, rows, valid, part.formulas, draws)
            predicted = self.modules.evaluator(joint, valid)
            reconstruction = reconstruction_loss(
                self.decoder, joint.to(dtype), valid, part.formulas, torch.ones_like(part.scores)
            )
            yield reconstruction, score_loss(predicted, part.scores, c.spread), predicted

    def _draws(self, batch: Tensor) -> room.Part:
        return room.Draws(self.generator, len(batch)).part(slice(None))

    def step(self, fall: float) -> None:
        """One update; ``fall`` 1 .. 0 is the share of the learning rate left."""
        p = self.progress
        lesson = next(self.lessons)
        gradients = [torch.zeros_like(t) for t in self.parameters]
        means = np.zeros(2)
        losses = self.losses(lesson, train=True)
        for part, (reconstruction, score, _) in zip(lesson.parts, losses, strict=True):
            share = len(part.scores) / len(lesson)
            found = torch.autograd.grad(share * (reconstruction + score), self.parameters)
            torch._foreach_add_(gradients, found)
            means += share * np.array([float(reconstruction.detach()), float(score.detach())])
        rise = min(1.0, (self.optimiser.steps + 1) / self.config.warm_up)
        self.optimiser.step(gradients, fall * rise)
        p.step += 1
        p.formulas += len(lesson)
        for i, value in enumerate(means.tolist()):
            p.losses[i] = value if p.step == 1 else 0.98 * p.losses[i] + 0.02 * value

    @torch.no_grad()
    def examine(self, lessons: int = 8) -> dict[str, float]:
        """Losses and rank correlation on tables that training never draws."""
        rows, predicted, true = [], [], []
        for lesson in islice(self._teacher(0), lessons):
            parts = zip(lesson.parts, self.losses(lesson, train=False), strict=True)
            for part, (reconstruction, score, guess) in parts:
                rows.append((float(reconstruction), float(score)))
                predicted.append(guess.mean(0).numpy())
                true.append(part.scores.numpy())
        means = np.average(rows, axis=0, weights=[len(t) for t in true])
        return {
            "reconstruction": float(means[0]),
            "score": float(means[1]),
            "rank_correlation": rank_correlation(np.concatenate(predicted), np.concatenate(true)),
            "gate": float(self.modules.fusion.gate.abs().mean()),
        }

    def save(self) -> None:
        """Write weights, optimiser state and counters, all or nothing."""
        o = self.optimiser
        tensors = {
            f"{kind}.{i}": t.detach()
            for kind, group in (("weight", self.parameters), ("m", o.first), ("v", o.second))
            for i, t in enumerate(group)
        }
        header = {"backbone": self.sha256, "progress": asdict(self.progress)}
        save_state(self.directory, tensors, header, step=self.progress.step)

    def _resume(self, header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from the saved state; with another backbone, from its weights alone.

        Memories of two states of one backbone are alike enough for the weights to be a far
        better start than fresh ones.
        """
        same = header["backbone"] == self.sha256
        o = self.optimiser
        groups: list[tuple[str, Sequence[Tensor]]] = [("weight", self.parameters)]
        groups += [("m", o.first), ("v", o.second)] if same else []
        with torch.no_grad():
            for kind, group in groups:
                for i, t in enumerate(group):
                    t.copy_(tensors[f"{kind}.{i}"])
        self.progress = Progress(**header["progress"])
        if same:
            self.optimiser.steps = self.progress.step
        else:
            self.progress.backbones += 1
        self.generator.manual_seed(self.config.seed + self.progress.step)


def train(
    minutes: float,
    directory: Path,
    *,
    backbone: str | Path = "compact",
    export: Path | None = None,
    config: AlignmentConfig | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train for ``minutes``, write the state every minute and ``export`` with a card at the end.

    Returns
    -------
    dict
        Scores on held-out tables, which the exported file's card also holds.
    """
    config = config or AlignmentConfig()
    run = Run(directory, backbone, config)
    deadline, p = Deadline(60.0 * minutes), run.progress
    before, marks = p.seconds, 0
    while not deadline.over:
        left = 1.0 - deadline.elapsed() / (60.0 * minutes)
        run.step(min(1.0, max(left, 0.0) / config.decay) if config.decay else 1.0)
        p.seconds = before + deadline.elapsed()
        if deadline.elapsed() // 60.0 > marks:
            marks += 1
            run.save()
            report(
                f"step {p.step}  {p.formulas / 1e3:.0f}k formulas  "
                f"reconstruction {p.losses[0]:.3f}  score {p.losses[1]:.4f}"
            )
    run.save()
    scores = run.examine()
    if export is not None:
        card = {"config": asdict(config), "training": asdict(p), "held_out": scores}
        pretrained.save(export, run.modules, run.sha256, card)
        export.with_suffix(".md").write_text(describe(run, scores), encoding="utf-8")
    report(json.dumps(scores))
    return scores


def describe(run: Run, scores: Mapping[str, float]) -> str:
    """The card beside the exported file, in Markdown."""
    c, p = run.config, run.progress
    device = "one CPU thread" if torch.get_num_threads() == 1 else "several CPU threads"
    return f"""# Alignment modules for the compact backbone

Formula encoder (bi-directional LSTM), fusion (gated cross-attention) and evaluator (attention
pools, three heads): {sum(t.numel() for t in run.parameters):,} parameters, trained with the
backbone frozen on synthetic tables; a fit starts from them and trains them further.

| fact | value |
| --- | --- |
| backbone (SHA-256) | `{run.sha256}` |
| trained for | {p.seconds / 60.0:.0f} minutes of wall clock on {device} of a shared machine |
| steps, formulas | {p.step:,} steps, {p.formulas:,} formulas, {c.tables} tables a step |
| states of the backbone read one after another | {p.backbones} |
| corpus | the backbone's generators and decontamination, seed {c.seed} |
| formulas of a table | the true one, {len(c.samples)} samples, {c.edits} edits, 1 wrong constant |
| held-out tables, reconstruction loss per token | {scores["reconstruction"]:.3f} |
| held-out tables, score loss (Huber) | {scores["score"]:.4f} |
| held-out tables, rank correlation of scores | {scores["rank_correlation"]:.2f} |

Made by `python -m equate_srbench.pretrain.alignment_training`.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Train for a while; see ``train``."""
    parser = argparse.ArgumentParser(prog="python -m equate_srbench.pretrain.alignment_training")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--backbone", default="compact", help="name or file (default: compact)")
    parser.add_argument("--dir", type=Path, default=default_directory(), help="the run's directory")
    parser.add_argument(
        "--decay",
        type=float,
        default=AlignmentConfig.decay,
        help="share of the time in which the learning rate falls to zero; 0 to go on later",
    )
    parser.add_argument("--export", type=Path, help="where alignment.safetensors is written")
    args = parser.parse_args(argv)
    train(
        args.minutes,
        args.dir,
        backbone=args.backbone,
        config=AlignmentConfig(decay=args.decay),
        export=args.export,
        report=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()

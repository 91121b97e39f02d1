"""Trains the alignment modules (formula encoder, fusion, evaluator) on synthetic tables.

``python -m equate_srbench.pretrain.alignment_trainer --minutes M`` trains them with the backbone
frozen, resumes from the saved state, and exports the weights that fits start from. They read the
backbone's memories, so they have to be trained again whenever the backbone changes.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equate_srbench.backbone import checkpoint
from equate_srbench.equate import pretrained
from equate_srbench.equate.adamw import AdamW
from equate_srbench.equate.alignment import (
    Alignment,
    keep_rows,
    reconstruction_loss,
    score_loss,
)
from equate_srbench.equate.trajectory import rank_correlation
from equate_srbench.pretrain import alignment_card
from equate_srbench.pretrain.alignment_sampler import AlignmentBatch, AlignmentConfig, TaskSampler
from equate_srbench.pretrain.optimise import is_bf16_fast
from equate_srbench.pretrain.state import load_state, save_state
from equate_srbench.pretrain.train import default_directory
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import Draws, RowDraws


@dataclass
class AlignmentProgress:
    """Counters of a run; ``backbones`` is the number of backbones it was trained on in turn."""

    step: int = 0
    backbones: int = 1
    formulas: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=lambda: [float("nan")] * 2)


class AlignmentRun:
    """A resumable training run in a directory.

    Parameters
    ----------
    directory : Path
        Created if missing; a saved state in it is resumed.
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
        self.progress = AlignmentProgress()
        if (saved := load_state(directory)) is not None:
            self._resume(*saved)
        self.batches = self._sample(1 + self.progress.step)

    def _sample(self, stream: int) -> Iterator[AlignmentBatch]:
        return TaskSampler(self.backbone, self.decoder, self.config, stream).batches()

    def losses(
        self, batch: AlignmentBatch, *, train: bool
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Reconstruction loss, score loss, and predicted scores (heads, formulas) of each part."""
        c, memory, mask = self.config, batch.memory, batch.mask
        if train:
            low, high = c.row_keep
            share = low + (high - low) * float(torch.rand((), generator=self.generator))
            count = round(share * memory.shape[1])
            memory, mask = keep_rows(memory, mask, count, self._draws(memory))
        dtype = next(self.decoder.parameters()).dtype
        for part in batch.parts:
            rows, valid = memory[part.table], mask[part.table]
            draws = self._draws(rows) if train else None
            joint = self.modules.embed(self.backbone, rows, valid, part.formulas, draws)
            predicted = self.modules.evaluator(joint, valid)
            reconstruction = reconstruction_loss(
                self.decoder, joint.to(dtype), valid, part.formulas, torch.ones_like(part.scores)
            )
            yield reconstruction, score_loss(predicted, part.scores, c.spread), predicted

    def _draws(self, batch: Tensor) -> RowDraws:
        return Draws(self.generator, len(batch)).part(slice(None))

    def step(self, lr_scale: float) -> None:
        """One optimiser step; ``lr_scale`` multiplies the warmed-up learning rate."""
        p = self.progress
        batch = next(self.batches)
        gradients = [torch.zeros_like(t) for t in self.parameters]
        means = np.zeros(2)
        losses = self.losses(batch, train=True)
        for part, (reconstruction, score, _) in zip(batch.parts, losses, strict=True):
            share = len(part.scores) / len(batch)
            found = torch.autograd.grad(share * (reconstruction + score), self.parameters)
            torch._foreach_add_(gradients, found)
            means += share * np.array([float(reconstruction.detach()), float(score.detach())])
        rise = min(1.0, (self.optimiser.steps + 1) / self.config.warm_up)
        self.optimiser.step(gradients, lr_scale * rise)
        p.step += 1
        p.formulas += len(batch)
        for i, value in enumerate(means.tolist()):
            p.losses[i] = value if p.step == 1 else 0.98 * p.losses[i] + 0.02 * value

    @torch.no_grad()
    def evaluate(self, n_batches: int = 8) -> dict[str, float]:
        """Losses and rank correlation on held-out tables."""
        rows, predicted, true = [], [], []
        for batch in islice(self._sample(0), n_batches):
            parts = zip(batch.parts, self.losses(batch, train=False), strict=True)
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
        """Write weights, optimiser state and counters atomically."""
        o = self.optimiser
        tensors = {
            f"{kind}.{i}": t.detach()
            for kind, group in (("weight", self.parameters), ("m", o.first), ("v", o.second))
            for i, t in enumerate(group)
        }
        header = {"backbone": self.sha256, "progress": asdict(self.progress)}
        save_state(self.directory, tensors, header, step=self.progress.step)

    def _resume(self, header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Resume the saved state; if the backbone has changed, from its weights alone.

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
        self.progress = AlignmentProgress(**header["progress"])
        if same:
            self.optimiser.steps = self.progress.step
        else:
            self.progress.backbones += 1
        self.generator.manual_seed(self.config.seed + self.progress.step)

    def export(self, path: Path, scores: dict[str, float]) -> None:
        """Write the weights for fits, and their card beside them."""
        card = {
            "config": asdict(self.config),
            "training": asdict(self.progress),
            "held_out": scores,
        }
        pretrained.save(path, self.modules, self.sha256, card)
        text = alignment_card.render(
            card,
            backbone_sha256=self.sha256,
            n_parameters=sum(t.numel() for t in self.parameters),
            n_threads=torch.get_num_threads(),
        )
        path.with_suffix(".md").write_text(text, encoding="utf-8")


def train(
    minutes: float,
    directory: Path,
    *,
    backbone: str | Path = "compact",
    export: Path | None = None,
    config: AlignmentConfig | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train for ``minutes``, save the state every minute and write ``export`` at the end.

    Returns
    -------
    dict
        Scores on held-out tables, which the exported file's card also holds.
    """
    config = config or AlignmentConfig()
    run = AlignmentRun(directory, backbone, config)
    deadline, p = Deadline(60.0 * minutes), run.progress
    before, saves = p.seconds, 0
    while not deadline.over:
        left = 1.0 - deadline.elapsed() / (60.0 * minutes)
        run.step(min(1.0, max(left, 0.0) / config.decay) if config.decay else 1.0)
        p.seconds = before + deadline.elapsed()
        if deadline.elapsed() // 60.0 > saves:
            saves += 1
            run.save()
            report(
                f"step {p.step}  {p.formulas / 1e3:.0f}k formulas  "
                f"reconstruction {p.losses[0]:.3f}  score {p.losses[1]:.4f}"
            )
    run.save()
    scores = run.evaluate()
    if export is not None:
        run.export(export, scores)
    report(json.dumps(scores))
    return scores


def main(argv: Sequence[str] | None = None) -> None:
    """Train for a given time; see ``train``."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.pretrain.alignment_trainer",
        description="Train the alignment modules on synthetic tables.",
    )
    parser.add_argument("--minutes", type=float, required=True, help="wall-clock time")
    parser.add_argument("--backbone", default="compact", help="name or file (default: compact)")
    parser.add_argument("--dir", type=Path, default=default_directory(), help="run directory")
    parser.add_argument(
        "--decay",
        type=float,
        default=AlignmentConfig.decay,
        help="last fraction of the time, over which the learning rate decays to zero; 0 keeps it "
        "constant, for a run that will be resumed",
    )
    parser.add_argument("--export", type=Path, help="output file (alignment.safetensors)")
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

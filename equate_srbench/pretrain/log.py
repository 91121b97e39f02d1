"""Counters of a training run, and the lines it writes to ``log.csv`` and to the terminal."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equate_srbench.pretrain.corpus.examples import Batch, Counts
from equate_srbench.pretrain.corpus.held_out import KINDS, held_out
from equate_srbench.pretrain.optimise import TrainState, upload
from equate_srbench.runtime.files import replacing

LOG = "log.csv"
#: Seconds that drawing the held-out examples may take.
_DRAWING = 4.0
#: Version of the fingerprints with which runs began that do not name theirs.
FIRST_FILTER = "b78cfef318defb7d"


@dataclass
class TrainingProgress:
    """Counters of a run: everything that a model card says about the training effort.

    ``pool`` and ``batch`` are the position in the corpus: index of the first pool of the next
    step's group, and of the batch in each of them. ``began`` is the step at which the optimiser
    started: not 0 if the run was initialised from a checkpoint. ``deepened`` lists when layers
    were added, and how many encoder and decoder layers there are since (``deepen``). ``filter`` is
    the ``version`` of the decontamination; ``earlier`` lists, for each change of it or of the
    corpus, examples, counts, filter and corpus until then.
    """

    step: int = 0
    began: int = 0
    examples: int = 0
    tokens: int = 0
    pool: int = 0
    batch: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    loss: float = float("nan")
    counts: Counts = field(default_factory=Counts)
    devices: list[str] = field(default_factory=list)
    deepened: list[dict[str, Any]] = field(default_factory=list)
    filter: str = FIRST_FILTER
    earlier: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainingProgress:
        """Inverse of ``dataclasses.asdict``."""
        return cls(**{**d, "counts": Counts(**d["counts"])})


class Examination:
    """Losses on held-out examples, within a share of the time.

    Parameters
    ----------
    state : TrainState
        Its current weights are examined.
    share : float, default=0.02
        Largest share of a call's time. The first examination also draws the examples, which takes
        seconds: it waits until they are this share.
    """

    def __init__(self, state: TrainState, share: float = 0.02) -> None:
        self.state, self.share = state, share
        self._batches: dict[str, Batch] = {}
        self._spent, self._next = 0.0, _DRAWING

    def take(self, elapsed: float) -> dict[str, float]:
        """Loss per token of each kind (``held_out.KINDS``), or nothing if it is too early.

        Parameters
        ----------
        elapsed : float
            Seconds since the call began.
        """
        if self._spent + self._next > self.share * elapsed:
            return {}
        begin = time.monotonic()
        self._batches = self._batches or held_out()
        found = {
            kind: self.state.loss_per_token(*upload(batch, self.state.device))
            for kind, batch in self._batches.items()
        }
        self._next = time.monotonic() - begin
        self._spent += self._next
        return found


class Log:
    """Appends lines to ``log.csv`` and reports them; measures the wall clock and the mean loss.

    Parameters
    ----------
    path : Path
        The CSV; lines beyond the step of ``progress`` are removed, because a killed run takes
        those steps again.
    progress : TrainingProgress
        ``wall_seconds`` and ``loss`` (running mean) are updated by ``write``.
    report : callable
        Receives each line as text.
    """

    COLUMNS = (
        "step", "examples", "tokens", "loss", "loss_smooth", "lr", "examples_per_s",
        "tokens_per_s", "wall_seconds", "cpu_seconds", *(f"held_out_{kind}" for kind in KINDS),
    )  # fmt: skip

    def __init__(
        self, path: Path, progress: TrainingProgress, report: Callable[[str], None]
    ) -> None:
        self.path, self.progress, self.report = path, progress, report
        self.losses: list[Tensor] = []
        #: Held-out losses since the last line, by kind.
        self.held_out: dict[str, float] = {}
        self._truncate()
        self.mark = (time.monotonic(), progress.examples, progress.tokens)

    def _truncate(self) -> None:
        """Remove lines later than the progress, and add columns that the file lacks."""
        if not self.path.exists():
            return
        with self.path.open(newline="") as file:
            head, *rows = [*csv.reader(file)] or [[]]
        if not head:  # a process was killed before it wrote the first line
            self.path.unlink()
            return
        # a line that was being written when the process was killed has no end
        kept = [r for r in rows if len(r) == len(head) and int(r[0]) <= self.progress.step]
        if len(kept) < len(rows) or tuple(head) != self.COLUMNS:
            table = [dict(zip(head, row, strict=True)) for row in kept]
            with replacing(self.path) as partial, partial.open("w", newline="") as file:
                csv.writer(file).writerows(
                    [self.COLUMNS, *([row.get(c, "") for c in self.COLUMNS] for row in table)]
                )

    def add(self, loss: Tensor) -> None:
        """Record the loss of one step; does not wait for the device."""
        self.losses.append(loss)

    def write(self, lr: float) -> bool:
        """Write one line for the steps since the last; nothing if there were none.

        Parameters
        ----------
        lr : float
            Current learning rate.

        Returns
        -------
        bool
            Whether the losses of these steps are finite.
        """
        if not self.losses:
            return True
        p = self.progress
        now = (time.monotonic(), p.examples, p.tokens)
        seconds, examples, tokens = (a - b for a, b in zip(now, self.mark, strict=True))
        p.wall_seconds += seconds
        losses = torch.stack(self.losses).tolist()
        for loss in losses:
            p.loss = loss if p.loss != p.loss else 0.98 * p.loss + 0.02 * loss
        values = (
            p.step, p.examples, p.tokens, float(np.mean(losses)), p.loss, lr,
            examples / seconds, tokens / seconds, p.wall_seconds, p.cpu_seconds,
        )  # fmt: skip
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(self.COLUMNS)
            held_out = (self.held_out.get(kind, "") for kind in KINDS)
            line = (*values, *held_out)
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in line])
        self.report(
            f"step {p.step}  {p.examples / 1e3:.0f}k examples  loss {values[3]:.3f}  "
            f"lr {values[5]:.1e}  {values[6]:.0f} ex/s  {values[7]:.0f} tok/s  "
            f"cpu {p.cpu_seconds / 3600:.2f} h"
            + "".join(f"  {kind} {loss:.3f}" for kind, loss in self.held_out.items())
        )
        self.losses, self.mark, self.held_out = [], now, {}
        return bool(np.isfinite(losses).all())

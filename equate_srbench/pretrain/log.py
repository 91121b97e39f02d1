"""The lines that a training writes every few seconds, to ``log.csv`` and to the terminal."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from equate_srbench.runtime.files import replacing

if TYPE_CHECKING:
    from equate_srbench.pretrain.train import Run

LOG = "log.csv"


class Log:
    """Lines of ``log.csv`` and of the terminal; also keeps the run's clocks."""

    COLUMNS = (
        "step", "examples", "tokens", "loss", "loss_smooth", "lr", "examples_per_s",
        "tokens_per_s", "wall_seconds", "cpu_seconds",
    )  # fmt: skip

    def __init__(self, run: Run, report: Callable[[str], None]) -> None:
        self.run, self.report, self.path = run, report, run.directory / LOG
        self.losses: list[Tensor] = []
        if run.world.rank == 0:
            self._cut_back()
        self.mark = (time.monotonic(), run.progress.examples, run.progress.tokens)
        name = run.device.type
        if name == "cuda":
            name = torch.cuda.get_device_name(run.device)
        if name not in run.progress.devices:
            run.progress.devices.append(name)

    def _cut_back(self) -> None:
        """Leave out lines later than the state: a killed run takes those steps again."""
        if not self.path.exists():
            return
        with self.path.open(newline="") as file:
            head, *rows = [*csv.reader(file)] or [[]]
        if not head:  # a process was killed before it wrote the first line
            self.path.unlink()
            return
        # a line that was being written when the process was killed has no end
        kept = [r for r in rows if len(r) == len(head) and int(r[0]) <= self.run.progress.step]
        if len(kept) < len(rows):
            with replacing(self.path) as partial, partial.open("w", newline="") as file:
                csv.writer(file).writerows([head, *kept])

    def add(self, loss: Tensor) -> None:
        """Note the loss of one step."""
        self.losses.append(loss)

    def write(self) -> None:
        """One line since the last one."""
        if not self.losses:
            return
        p = self.run.progress
        now = (time.monotonic(), p.examples, p.tokens)
        seconds, examples, tokens = (a - b for a, b in zip(now, self.mark, strict=True))
        p.wall_seconds += seconds
        losses = torch.stack(self.losses).tolist()
        for loss in losses:
            p.loss = loss if p.loss != p.loss else 0.98 * p.loss + 0.02 * loss
        warm = min(1.0, (p.step - p.began) / self.run.config.warm_up)
        values = (
            p.step, p.examples, p.tokens, float(np.mean(losses)), p.loss,
            self.run.config.lr * self.run.fall * warm,
            examples / seconds, tokens / seconds, p.wall_seconds, p.cpu_seconds,
        )  # fmt: skip
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(self.COLUMNS)
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
        self.report(
            f"step {p.step}  {p.examples / 1e3:.0f}k examples  loss {values[3]:.3f}  "
            f"lr {values[5]:.1e}  {values[6]:.0f} ex/s  {values[7]:.0f} tok/s  "
            f"cpu {p.cpu_seconds / 3600:.2f} h"
        )
        self.losses, self.mark = [], now
        self.run.check(bool(np.isfinite(losses).all()))

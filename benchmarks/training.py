"""Steps of training per second, against plain float32 without sorting or compiling.

Run: ``OMP_NUM_THREADS=1 python benchmarks/training.py``; with CUDA the same there, compiled too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus import Batch, CorpusConfig, pool
from equate_srbench.pretrain.decontaminate import Filter
from equate_srbench.pretrain.optimise import Trainee, is_bf16_fast
from equate_srbench.pretrain.train import SIZES


@dataclass(frozen=True)
class Rate:
    """Examples and target tokens per second."""

    examples: float
    tokens: float


def unsorted(batches: Sequence[Batch], pad: int) -> list[Batch]:
    """The same examples in batches of mixed length, each padded to its longest."""
    longest = max(batch.tokens.shape[1] for batch in batches)
    rows = [
        np.pad(b.tokens, ((0, 0), (0, longest - b.tokens.shape[1])), constant_values=pad)
        for b in batches
    ]
    order = np.random.default_rng(0).permutation(sum(map(len, rows)))
    tokens, points = np.concatenate(rows)[order], np.concatenate([b.points for b in batches])[order]
    out = []
    for part in np.array_split(np.arange(len(order)), len(batches)):
        used = int((tokens[part] != pad).sum(1).max())
        out.append(Batch(points[part], tokens[part][:, :used]))
    return out


def rate(trainee: Trainee, batches: Sequence[Batch], steps: int) -> Rate:
    """Of forward, backward and update; processor time on a CPU, which others may share."""
    device, pad = trainee.device, trainee.backbone.vocabulary.pad
    ready = [
        (torch.as_tensor(b.points).to(device, torch.float32),
         torch.as_tensor(b.tokens).to(device, torch.int64))
        for b in batches
    ]  # fmt: skip
    warm = len(ready) if device.type == "cuda" else 2
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    examples, tokens, start = 0, 0, clock()
    for i in range(-warm, steps):
        if i == 0:
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = clock()
        points, targets = ready[i % len(ready)]
        (trainee.loss(points, targets) / targets.numel()).backward()
        trainee.step(1.0)
        if i >= 0:
            examples += len(points)
            tokens += int((batches[i % len(ready)].tokens[:, 1:] != pad).sum())
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = clock() - start
    return Rate(examples / seconds, tokens / seconds)


def main() -> None:
    """Print a table of rates and ratios."""
    parser = argparse.ArgumentParser(description="Steps of training per second.")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--size", choices=list(SIZES), default="compact")
    parser.add_argument("--batch-points", type=int, help="points in a batch")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    n_points = args.batch_points or (98304 if cuda else CorpusConfig().batch_points)
    batches, _ = pool(CorpusConfig(batch_points=n_points), 0, Filter.shipped())
    backbone = Backbone(SIZES[args.size]).to(device)
    mixed = unsorted(batches, backbone.vocabulary.pad)
    runs = {
        "float32, lengths mixed": (mixed, False, False),
        "float32, sorted by length": (batches, False, False),
        "bfloat16, lengths mixed": (mixed, True, False),
        "bfloat16, sorted by length": (batches, True, False),
    }
    if cuda:
        runs["bfloat16, sorted by length, compiled"] = (batches, True, True)
    where = torch.cuda.get_device_name() if cuda else "one CPU thread"
    if not cuda and not is_bf16_fast():
        where += " that multiplies bfloat16 in software"
    print(f"{args.size}, {where}, {len(batches[0].points)} x {batches[0].points.shape[1]} points")
    print("| step | examples/s | tokens/s | ratio |\n| --- | --- | --- | --- |")
    base = None
    for name, (made, bf16, compiled) in runs.items():
        trainee = Trainee(backbone, lr=1e-4, weight_decay=0.01, clip=1.0, bf16=bf16)
        if compiled:
            trainee.work.encoder.compile(dynamic=True)
            trainee.work.decoder.compile(dynamic=True)
        found = rate(trainee, made, args.steps)
        base = base or found
        print(
            f"| {name} | {found.examples:.0f} | {found.tokens:.0f} "
            f"| {found.examples / base.examples:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

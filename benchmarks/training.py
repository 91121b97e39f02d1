"""Training throughput, relative to float32 without length sorting or compilation.

Run: ``OMP_NUM_THREADS=1 python benchmarks/training.py``; with CUDA it runs there, also compiled.
``--processes 2`` times whole runs of the trainer instead, with threads or processes on two cores,
relative to one process with one thread.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig
from equate_srbench.pretrain.corpus.feed import make
from equate_srbench.pretrain.log import LOG
from equate_srbench.pretrain.optimise import TrainState, is_bf16_fast
from equate_srbench.pretrain.train import SIZES


@dataclass(frozen=True)
class Rate:
    """Examples and target tokens per second."""

    examples: float
    tokens: float


def unsorted(batches: Sequence[Batch], pad: int) -> list[Batch]:
    """The same examples in batches of mixed length, padded to the longest."""
    longest = max(batch.tokens.shape[1] for batch in batches)
    rows = [
        np.pad(b.tokens, ((0, 0), (0, longest - b.tokens.shape[1])), constant_values=pad)
        for b in batches
    ]
    order = np.random.default_rng(0).permutation(sum(map(len, rows)))
    tokens, points = (
        np.concatenate(rows)[order],
        np.concatenate([b.points for b in batches])[order],
    )
    out = []
    for part in np.array_split(np.arange(len(order)), len(batches)):
        used = int((tokens[part] != pad).sum(1).max())
        out.append(Batch(points[part], tokens[part][:, :used]))
    return out


def rate(state: TrainState, batches: Sequence[Batch], steps: int) -> Rate:
    """Throughput of forward, backward and update; in processor time on a CPU."""
    device, pad = state.device, state.backbone.vocabulary.pad
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
        (state.loss(points, targets) / targets.numel()).backward()
        state.step(1.0)
        if i >= 0:
            examples += len(points)
            tokens += int((batches[i % len(ready)].tokens[:, 1:] != pad).sum())
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = clock() - start
    return Rate(examples / seconds, tokens / seconds)


def rate_of_run(size: str, seconds: float, processes: int, options: Sequence[str]) -> Rate:
    """Throughput of ``equate pretrain`` in wall-clock time; the first third is warm-up."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*start, "equate_srbench.pretrain", "--size", size, "--minutes", str(seconds / 60),
             "--dir", folder, "--decay", "0", *options],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with (Path(folder) / LOG).open(newline="") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    late = [row for row in rows if row["wall_seconds"] > seconds / 3]
    passed = late[-1]["wall_seconds"] - late[0]["wall_seconds"]
    return Rate(*((late[-1][k] - late[0][k]) / passed for k in ("examples", "tokens")))


def compare_runs(size: str, seconds: float, n: int) -> None:
    """Print a table of whole runs on ``n`` cores."""
    runs = {
        "1 process, 1 thread": (1, ["--threads", "1"]),
        f"1 process, {n} threads": (1, ["--threads", str(n)]),
        f"{n} processes, 1 thread each": (n, ["--threads", "1"]),
    }
    print(f"{size}, {seconds:g} s each\n")
    print("| run | examples/s | tokens/s | ratio |\n| --- | --- | --- | --- |")
    base = None
    for name, (processes, options) in runs.items():
        found = rate_of_run(size, seconds, processes, options)
        base = base or found
        print(
            f"| {name} | {found.examples:.0f} | {found.tokens:.0f} "
            f"| {found.tokens / base.tokens:.2f} |",
            flush=True,
        )


def main() -> None:
    """Print a table of rates and ratios."""
    parser = argparse.ArgumentParser(description="Training throughput.")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--size", choices=list(SIZES), default="compact")
    parser.add_argument("--batch-points", type=int, help="points in a batch")
    parser.add_argument("--processes", type=int, help="compare whole runs on this many CPU cores")
    parser.add_argument("--seconds", type=float, default=120, help="duration of each of those runs")
    args = parser.parse_args()
    if args.processes:
        compare_runs(args.size, args.seconds, args.processes)
        return
    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    n_points = args.batch_points or (98304 if cuda else CorpusConfig().batch_points)
    # so many formulas that a GPU's batches differ would take minutes to draw
    config = CorpusConfig(batch_points=n_points, dropped=0.0)
    config = replace(config, tables=8, batches=1) if cuda else config
    batches, _ = make(config, 0, Filter.shipped())
    backbone = Backbone(SIZES[args.size]).to(device)
    mixed = unsorted(batches, backbone.vocabulary.pad)
    runs = {
        "float32, lengths mixed": (mixed, {"bf16": False}),
        "float32, sorted by length": (batches, {"bf16": False}),
        "bfloat16, lengths mixed": (mixed, {"bf16": True}),
        "bfloat16, sorted by length": (batches, {"bf16": True}),
        "bfloat16, by autocast": (batches, {"bf16": True, "autocast": True}),
    }
    if cuda:
        runs["bfloat16, sorted by length, compiled"] = (batches, {"bf16": True})
    where = torch.cuda.get_device_name() if cuda else "one CPU thread"
    if not cuda and not is_bf16_fast():
        where += " that multiplies bfloat16 in software"
    print(f"{args.size}, {where}, {len(batches[0].points)} x {batches[0].points.shape[1]} points")
    print("| step | examples/s | tokens/s | ratio |\n| --- | --- | --- | --- |")
    base = None
    for name, (made, options) in runs.items():
        state = TrainState(backbone, lr=1e-4, weight_decay=0.01, clip=1.0, **options)
        if name.endswith("compiled"):
            state.compile()
        found = rate(state, made, args.steps)
        base = base or found
        print(
            f"| {name} | {found.examples:.0f} | {found.tokens:.0f} "
            f"| {found.examples / base.examples:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

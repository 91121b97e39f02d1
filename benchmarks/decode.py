"""Seconds to sample formulas from one bag, with and without cached keys and values.

Run as ``python benchmarks/decode.py``. Two questions: how much faster cached decoding is (at
least 5 times is wanted), and how long 64 samples from one bag take on one core (at most 1 s is
wanted). The ratio is measured on random weights and a fixed length, so that every run does the
same work; if the shipped checkpoint is there, it answers the second question on a real bag too.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from equate_srbench.backbone.checkpoint import SHIPPED, load
from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.features import point_features
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall and CPU time of ``work`` after one call to warm up.

    On a busy machine the wall time says how busy it was; one thread's CPU time is what an idle
    core would need.
    """
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        starts = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - starts[0])
        cpu.append(time.process_time() - starts[1])
    return statistics.median(wall), statistics.median(cpu)


def commit() -> str:
    """Short hash of the checkout, or "unknown" outside of one."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def fixed_length(
    samples: int, length: int, points: int, seed: int
) -> dict[bool, tuple[float, float]]:
    """Seconds of cached (True) and plain (False) sampling of ``length`` tokens."""
    torch.manual_seed(seed)
    backbone = Backbone().eval()
    memory = torch.randn(1, points, backbone.config.encoder_dim)
    with torch.no_grad():
        backbone.decoder.proj.bias[backbone.vocabulary.eos] = -1e9  # no formula ends early

    def work(cached: bool) -> None:
        generator = torch.Generator().manual_seed(seed)
        generate(
            backbone, memory, n_samples=samples, generator=generator,
            max_length=length, grammar=False, cached=cached,
        )  # fmt: skip

    return {True: seconds(lambda: work(True), 7), False: seconds(lambda: work(False), 3)}


def real_bag(samples: int, points: int, seed: int) -> tuple[tuple[float, float], float]:
    """Seconds and mean tokens of samples from the shipped checkpoint, features and encoder too."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 5, (points, 4))
    y = X[:, 0] * X[:, 1] / (X[:, 2] + np.exp(X[:, 3]))
    backbone = load("compact")
    lengths: list[int] = []

    def work() -> None:
        view = View.fit(X, "scale")
        features = torch.from_numpy(point_features(view.transform(X), y, view))[None]
        memory = backbone.encode(features, torch.ones(1, points, dtype=torch.bool))
        generator = torch.Generator().manual_seed(seed)
        bag = generate(backbone, memory, n_columns=4, n_samples=samples, generator=generator)[0]
        lengths[:] = [len(h.ids) for h in bag]

    return seconds(work, 7), statistics.mean(lengths)


def spent(times: tuple[float, float]) -> str:
    """Wall and CPU time as text."""
    return f"{times[0]:.3f} s wall, {times[1]:.3f} s CPU"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--length", type=int, default=25, help="tokens of the fixed-length run")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"commit {commit()}  {datetime.now(UTC):%Y-%m-%d %H:%M} UTC  seed {args.seed}")
    load_average = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load_average}")
    print(f"{args.threads} thread(s), torch {torch.__version__}")
    print(f"{args.samples} samples from one bag of {args.points} points")
    times = fixed_length(args.samples, args.length, args.points, args.seed)
    print(f"fixed {args.length} tokens, cached    {spent(times[True])}")
    print(f"fixed {args.length} tokens, uncached  {spent(times[False])}")
    ratios = [plain / cached for plain, cached in zip(times[False], times[True], strict=True)]
    print(f"uncached / cached  wall {ratios[0]:.1f}, CPU {ratios[1]:.1f} (wanted: >= 5)")
    if SHIPPED["compact"].is_file():
        taken, tokens = real_bag(args.samples, args.points, args.seed)
        print(f"shipped checkpoint, {tokens:.0f} tokens on average: {spent(taken)}")
    print("wanted for 64 samples: <= 1 s on one core")


if __name__ == "__main__":
    main()

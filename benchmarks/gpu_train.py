"""Trains a backbone for some minutes on a GPU, as fast as a short timing finds possible.

    python benchmarks/gpu_train.py --seconds 530 --out runs/gpu     # or: benchmarks/gpu.sh train

Goes on from the state in ``--state`` (a folder), or in ``--out``, else from the shipped checkpoint.
While the corpus workers draw their first pools, a process beside this one times training steps:
batch sizes, bfloat16 by a copy of the weights or by autocast, and compiled. What fails there or is
not ready in time is named and left out. A state and a checkpoint are written on the way and at the
end, in files of at most 15 MiB for size ``compact``.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training import rate

from equate_srbench.backbone.features import n_features
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus.examples import MAX_COLUMNS, Batch, CorpusConfig
from equate_srbench.pretrain.log import LOG
from equate_srbench.pretrain.optimise import TrainState, is_bf16_fast
from equate_srbench.pretrain.state import INDEX, StateError
from equate_srbench.pretrain.train import SIZES, TrainConfig, pretrain, read_state
from equate_srbench.runtime.clock import Deadline

ROOT = Path(__file__).resolve().parent.parent
#: Seconds between lines, states and checkpoints.
EVERY = (15.0, 60.0, 120.0)
SHARD_MIB = 15.0
#: Seconds of the whole that are kept for ending the processes and writing the last files.
RESERVE = 25.0
#: Points in a batch to try, on a GPU and on a CPU. Larger batches have fewer launches for each
#: example, smaller ones more steps for the same examples.
POINTS = {"cuda": (24576, 49152, 98304), "cpu": (1536, 3072)}
#: Examples a second that are enough: sixteen corpus workers make no more.
ENOUGH = 60_000.0
#: A size within this share of the fastest is as good; an option must gain as much.
GAIN = 0.1
#: Points and target tokens of a batch, as they come from the corpus: a compiled network must not
#: be compiled anew for every shape.
SHAPES = ((24, 9), (27, 13), (30, 24), (41, 17))


@dataclass(frozen=True)
class Timing:
    """A way to make a training step, and its examples per second (0 if it failed).

    Attributes
    ----------
    points : int
        Points in a batch.
    autocast, compiled : bool
    rate : float
    error : str
        Why it failed.
    """

    points: int
    autocast: bool = False
    compiled: bool = False
    rate: float = 0.0
    error: str = ""

    def __str__(self) -> str:
        kind = "autocast" if self.autocast else "copy of the weights"
        name = f"{self.points} points, {kind}{', compiled' if self.compiled else ''}"
        return f"{name}: {self.error or f'{self.rate:.0f} examples/s'}"


def made_up(points: int) -> list[Batch]:
    """Batches of random numbers in the shapes of the corpus."""
    rng = np.random.default_rng(0)
    n_words = len(SIZES["compact"].make_vocabulary())
    out = []
    for n_points, n_tokens in SHAPES:
        n = max(1, points // n_points)
        features = rng.standard_normal((n, n_points, n_features(MAX_COLUMNS)), dtype=np.float32)
        tokens = rng.integers(2, n_words, (n, n_tokens + 2), dtype=np.int16)
        out.append(Batch(features.astype(np.float16), tokens))
    return out


def timed(size: str, device: str, way: Timing) -> Timing:
    """``way`` with its rate or its error."""
    try:
        backbone = Backbone(SIZES[size]).to(device)
        bf16 = device == "cuda" or is_bf16_fast()
        state = TrainState(
            backbone, lr=1e-4, weight_decay=0.01, clip=1.0, bf16=bf16, autocast=way.autocast
        )
        if way.compiled:
            state.compile()
        found = rate(state, made_up(way.points), 16 if device == "cuda" else 2)
    except Exception as error:  # whatever fails is left out of the training
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return Timing(way.points, way.autocast, way.compiled, error=text)
    return Timing(way.points, way.autocast, way.compiled, rate=found.examples)


def measure(size: str, device: str) -> None:
    """Print a timing per line as JSON; an empty line before the compiled one, which takes long."""
    found = []

    def say(way: Timing) -> None:
        found.append(timed(size, device, way))
        print(json.dumps(asdict(found[-1])), flush=True)

    for points in POINTS[device]:
        say(Timing(points))
    say(Timing(choose(found).points, autocast=True))
    print(flush=True)
    best = choose(found)
    say(Timing(best.points, best.autocast, compiled=True))


def choose(timings: Sequence[Timing]) -> Timing:
    """The smallest batch that is about as fast as any, or fast enough; then autocast if faster."""
    plain = sorted((t for t in timings if not t.compiled and t.rate > 0), key=lambda t: t.points)
    copies = [t for t in plain if not t.autocast] or plain
    if not copies:
        return Timing(timings[0].points if timings else 0)
    wanted = min(ENOUGH, (1.0 - GAIN) * max(t.rate for t in copies))
    best = next(t for t in copies if t.rate >= wanted)
    for t in plain:
        if t.autocast and t.points == best.points and t.rate > (1.0 + GAIN) * best.rate:
            best = t
    return best


class Stopwatch:
    """Timings from a process of their own, which may fail, hang or run out of memory.

    Parameters
    ----------
    size : str
    device : {"cuda", "cpu"}
    seconds : float
        After which the process is killed.
    """

    def __init__(self, size: str, device: str, seconds: float) -> None:
        self.deadline = Deadline(seconds)
        command = [sys.executable, __file__, "--measure", "--size", size, "--device", device]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.strip())
        self._lines.put(None)

    def group(self) -> list[Timing]:
        """Timings up to the next empty line, the end of the process or of the time."""
        found: list[Timing] = []
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, self.deadline.left()))
            except queue.Empty:
                print(f"timing: no more after {self.deadline.elapsed():.0f} s", flush=True)
                return found
            if not line:
                return found
            found.append(Timing(**json.loads(line)))
            print(f"timing: {found[-1]}", flush=True)

    def close(self) -> None:
        """Kill the process and the compilers that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()


def brought(state: Path | None, out: Path) -> bool:
    """Whether there is a state to go on from; one in ``state`` is copied to ``out``."""
    if (out / INDEX).exists() or state is None or state.resolve() == out.resolve():
        return (out / INDEX).exists()
    try:
        if read_state(state) is None:
            print(f"no state in {state}", flush=True)
            return False
    except (OSError, StateError) as error:
        print(f"{error}; training goes on from the checkpoint instead", flush=True)
        return False
    for path in [*state.glob("state*"), state / LOG]:
        if path.exists():
            shutil.copy(path, out / path.name)
    return True


def train(args: argparse.Namespace) -> None:
    """Time, train, and say what came of it."""
    begin = time.monotonic()
    watch = Stopwatch(args.size, args.device, args.timing)
    args.out.mkdir(parents=True, exist_ok=True)
    resumed = brought(args.state, args.out)
    start = None if resumed or args.size not in ("compact",) else args.start
    print("goes on from " + (f"the state in {args.out}" if resumed else start or "nothing"))
    best = choose(watch.group())
    points = best.points or POINTS[args.device][0]
    corpus: dict[str, Any] = {
        "tables": args.tables, "batch_points": points,
        "batches": max(1, 2 * POINTS[args.device][-1] // points),
        "natural_formulas": args.natural, "natural_tables": args.natural,
    }  # fmt: skip
    print(f"chosen: {points} points, {'autocast' if best.autocast else 'copy of the weights'}")

    def tune(state: TrainState) -> None:
        found = watch.group()
        watch.close()
        if any(t.compiled and t.rate > (1.0 + GAIN) * best.rate for t in found):
            # what cannot be compiled after all runs as it is
            torch._dynamo.config.suppress_errors = True
            state.compile()
            print("chosen: compiled", flush=True)

    left = args.seconds - (time.monotonic() - begin) - RESERVE
    try:
        run = pretrain(
            max(1.0, left) / 60.0, args.out,
            config=TrainConfig(backbone=SIZES[args.size], corpus=CorpusConfig(**corpus)),
            device=args.device, start=start, workers=args.workers, shard_mib=SHARD_MIB,
            decay=args.decay, corpus=corpus, autocast=best.autocast, tune=tune, every=EVERY,
            report=lambda line: print(line, flush=True),
        )  # fmt: skip
    finally:
        watch.close()
    p = run.progress
    print(f"examples in all: {p.examples}; waited for the corpus: {run.waited:.1f} s of {left:.0f}")
    if args.device == "cuda":
        print(f"peak memory of the GPU: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    for path in sorted(args.out.iterdir()):
        print(f"{path.stat().st_size / 2**20:8.2f} MiB  {path.name}")


def main() -> None:
    """Train, or time steps for the process that trains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=530.0, help="of everything (default: 530)")
    add("--timing", type=float, default=40.0, help="of these for timing at most (default: 40)")
    add("--out", type=Path, default=ROOT / "runs" / "gpu", help="default: runs/gpu")
    add("--state", type=Path, help="folder with the state to go on from (default: --out)")
    add("--start", default="compact", help="checkpoint where there is no state (default: compact)")
    add("--size", choices=list(SIZES), default="compact")
    add("--device", choices=list(POINTS), help="default: cuda where there is one")
    add("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    add("--tables", type=int, default=8, help="tables a formula (default: 8)")
    add("--natural", type=float, default=CorpusConfig.natural_tables,
        help="share of formulas and of tables as in nature (default: %(default)s)")  # fmt: skip
    add("--decay", type=float, default=0.0, help="as for equate pretrain (default: 0)")
    add("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.measure:
        measure(args.size, args.device)
    else:
        train(args)


if __name__ == "__main__":
    main()

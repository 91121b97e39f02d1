"""The trainer: as long as there is time, resumable at any minute.

A run lives in one directory: its state (weights, optimiser state, counters), ``log.csv``, and a
current export ``compact.safetensors``. The learning rate rises,
stays, and falls to zero over the last part of the time that a call is given, so a run can be
taken up again from before the fall. Under ``torchrun`` the processes share every step; the first
one writes the files.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows knows no such locks
    fcntl = None  # type: ignore[assignment]

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig, Counts
from equate_srbench.pretrain.corpus.feed import Feed, Order
from equate_srbench.pretrain.log import Log
from equate_srbench.pretrain.optimise import Trainee, is_bf16_fast
from equate_srbench.pretrain.state import INDEX, StateError, in_shards, load_state, save_state
from equate_srbench.pretrain.world import World, own_device
from equate_srbench.runtime.clock import Deadline

EXPORT = "compact.safetensors"
#: Share of the peak rate below which the weights themselves are exported, not their average.
SETTLED = 0.1

#: Networks by size, 7.1 M and 27.1 M parameters; narrower encoders than decoders: points are most
#: of the cost.
SIZES = {
    "compact": BackboneConfig(encoder_dim=192, encoder_heads=6, decoder_layers=6),
    "base": BackboneConfig(
        dim=384, heads=12, decoder_layers=10, encoder_dim=288, encoder_heads=9, encoder_layers=4
    ),
}


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    backbone : BackboneConfig
        ``SIZES["compact"]`` by default.
    corpus : CorpusConfig
    lr : float, default=6e-4
        Peak learning rate.
    warm_up : int, default=400
        Steps of its rise.
    weight_decay : float, default=0.01
    clip : float, default=1.0
    seed : int, default=0
        Of the initial weights; the corpus has its own.
    """

    backbone: BackboneConfig = SIZES["compact"]
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    lr: float = 6e-4
    warm_up: int = 400
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainConfig:
        """The way back from ``dataclasses.asdict``."""
        backbone = BackboneConfig(**d["backbone"])
        corpus = CorpusConfig(**({"dropped": 0.0} | d["corpus"]))  # older runs kept all points
        return cls(**{**d, "backbone": backbone, "corpus": corpus})


@dataclass
class Progress:
    """Where a run stands; everything that a model card says about its effort.

    ``pool`` and ``batch`` are where the next step begins: index of the first pool of its group,
    and of the batch in each of them. ``began`` is the step at which the optimiser began: not 0
    where a run started from a checkpoint. ``deepened`` names when a run got more layers, and how
    many of encoder and decoder it has since (``deepen``).
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

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Progress:
        """The way back from ``dataclasses.asdict``."""
        return cls(**{**d, "counts": Counts(**d["counts"])})


class SizeError(ValueError):
    """A run or checkpoint of another size than asked for."""


class DivergedError(ValueError):
    """A training whose loss or weights are not finite any more; nothing of it is written."""


class Run:
    """A training run in a directory.

    Parameters
    ----------
    directory : Path
        Created if missing; a state in it is taken up again when ``resume``.
    config : TrainConfig, optional
        Of a new run; a resumed one brings its own.
    resume : bool, default=True
    device : str, default="auto"
        "auto" takes CUDA where there is any.
    start : str or Path, optional
        Checkpoint that a new run starts from, with its configuration and counters; only the
        optimiser begins anew. For when a checkpoint is all that is left of a run.
    accumulate : int, default=1
        Batches of a step in each process.
    shard_mib : float, default=inf
        Largest file of the state in MiB. With a limit the state is written slim as well
        (``Trainee.state``): 54 MiB instead of 109 for the compact network.
    size : str, optional
        Key of ``SIZES`` that the network must have, whatever the run or ``start`` says.

    Raises
    ------
    FileExistsError
        With ``resume=False``, or a ``start``, in a directory that holds a state.
    SizeError
        If the run in the directory, or ``start``, has another size.
    StateError
        If the state in the directory is damaged, or a tensor is larger than ``shard_mib``.
    DeviceError
        If there is no such device.
    """

    def __init__(
        self,
        directory: Path,
        config: TrainConfig | None = None,
        *,
        resume: bool = True,
        device: str = "auto",
        start: str | Path | None = None,
        accumulate: int = 1,
        shard_mib: float = float("inf"),
        size: str | None = None,
    ) -> None:
        self.shard_mib, self.fall = shard_mib, 1.0
        self.device = own_device(device)
        self.world, self.accumulate = World(self.device), accumulate
        self.directory = Path(directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise NotADirectoryError(f"{self.directory} is a file: choose a folder for the run")
        self.directory.mkdir(parents=True, exist_ok=True)
        saved = read_state(self.directory)
        if saved is not None and (start is not None or not resume):
            raise FileExistsError(
                f"{self.directory} holds a run: resume it or choose another directory"
            )
        self.config = saved[0] if saved else config or TrainConfig()
        self.progress = saved[1] if saved else Progress()
        if start is not None:
            card = checkpoint.describe(start)["card"]
            self.config = TrainConfig.from_dict(card["config"])
            self.progress = Progress.from_dict(card["training"])
            self.progress.began, self.progress.batch = self.progress.step, 0
            self.progress.pool += 1  # the rest of the pool it was in is left out
        if size is not None and self.config.backbone != SIZES[size]:
            b = self.config.backbone
            raise SizeError(
                f"the network here is {b.encoder_layers} x {b.encoder_dim} + {b.decoder_layers} x "
                f"{b.dim}, not {size}: leave out the size, or choose another directory"
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.config.seed)
            backbone = Backbone(self.config.backbone).to(self.device)
        if start is not None:
            backbone.load_state_dict(checkpoint.load(start).state_dict())
        self.trainee = Trainee(
            backbone,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            clip=self.config.clip,
            bf16=self.device.type == "cuda" or is_bf16_fast(),
        )
        if saved:
            self.trainee.restore(saved[2])
        in_shards(self.trainee.state(), shard_mib)  # raises now, not after the first minutes
        self._cpu = time.process_time()
        self._news = [0.0] * (1 + len(fields(Counts)))  # not yet added up over the processes

    @property
    def backbone(self) -> Backbone:
        """The float32 network."""
        return self.trainee.backbone

    def save(self) -> None:
        """Write weights, optimiser state and counters, all or nothing.

        Raises
        ------
        DivergedError
            If weights are not finite; the state before stays.
        """
        self.check(all(bool(p.isfinite().all()) for p in self.backbone.parameters()))
        header = {"config": asdict(self.config), "progress": asdict(self.progress)}
        save_state(
            self.directory,
            self.trainee.state(slim=self.shard_mib < float("inf")),
            header,
            step=self.progress.step,
            shard_mib=self.shard_mib,
        )

    def check(self, is_finite: bool) -> None:
        """Raise ``DivergedError`` with a way out unless what was looked at is finite."""
        if not is_finite:
            raise DivergedError(
                f"the training diverged before step {self.progress.step} with a peak rate of "
                f"{self.config.lr:g}: begin again with a lower one (default {TrainConfig.lr:g}), "
                "or go on from the state before, if there is one, which was kept"
            )

    def batches(self, workers: int) -> Iterator[list[Batch]]:
        """Batches of each step that are for this process, from where the run stands."""
        p, world = self.progress, self.world
        order = Order(p.pool, self.accumulate, world.rank, world.size)
        feed = Feed(self.config.corpus, order, workers)
        busy: dict[int, float] = {}
        try:
            pools = iter(feed)
            while True:
                group = list(islice(pools, self.accumulate))
                for pool in group:
                    self._news[0] += pool.cpu_seconds - busy.get(pool.worker, 0.0)
                    busy[pool.worker] = pool.cpu_seconds
                drawn = [pool.batches(self.config.corpus, self.device) for pool in group]
                for batches in list(zip(*drawn, strict=True))[p.batch :]:
                    p.batch += 1
                    yield list(batches)
                p.pool, p.batch = p.pool + self.accumulate * world.size, 0
                for pool in group:
                    for i, n in enumerate(astuple(pool.counts), start=1):
                        self._news[i] += n
        finally:
            feed.close()

    def update(self, batches: list[Batch], fall: float) -> Tensor:
        """One step; ``fall`` 1 .. 0 is the share of the learning rate left.

        Returns
        -------
        Tensor, scalar
            Loss per token of this process's batches.
        """
        c, p = self.config, self.progress
        pad = self.backbone.vocabulary.pad
        n_tokens = sum(int((batch.tokens[:, 1:] != pad).sum()) for batch in batches)
        now = time.process_time()
        self._news[0] += now - self._cpu
        all_tokens, examples, cpu, *counts = self.world.sum(
            [n_tokens, sum(len(batch.tokens) for batch in batches), *self._news]
        )
        self._cpu, self._news = now, [0.0] * len(self._news)
        total = torch.zeros((), device=self.device)
        for batch in batches:
            points = torch.as_tensor(batch.points).to(self.device, torch.float32)
            tokens = torch.from_numpy(batch.tokens.astype(np.int64)).to(self.device)
            loss = self.trainee.loss(points, tokens)
            (loss / all_tokens).backward()
            total += loss.detach()
        self.trainee.step(fall * min(1.0, (p.step + 1 - p.began) / c.warm_up), self.world)
        self.fall = fall
        p.step += 1
        self.trainee.average(p.step - p.began)
        p.examples += int(examples)
        p.tokens += int(all_tokens)
        p.cpu_seconds += cpu
        for slot, n in zip(fields(Counts), counts, strict=True):
            setattr(p.counts, slot.name, getattr(p.counts, slot.name) + int(n))
        return total / n_tokens


def read_state(
    directory: Path,
) -> tuple[TrainConfig, Progress, dict[str, Tensor]] | None:
    """Configuration, counters and tensors of the run in ``directory``; None if there is none."""
    found = load_state(directory)
    if found is None:
        return None
    header, tensors = found
    try:
        config = TrainConfig.from_dict(header["config"])
        return config, Progress.from_dict(header["progress"]), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{directory / INDEX} is not the state of a training: {error!r}") from None


def default_directory() -> Path:
    """The user's cache directory for runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "equate-srbench" / "pretrain"


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Nobody else trains in the run's folder meanwhile; given up however the process ends."""
    if fcntl is None or run.world.rank > 0:
        yield
        return
    folder = os.open(run.directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"another process trains in {run.directory}: wait for it, or choose another folder"
            ) from None
        yield
    finally:
        os.close(folder)


@contextmanager
def _until_told(deadline: Deadline) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the deadline instead of the process (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        deadline.stop()

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def pretrain(
    minutes: float,
    directory: Path | None = None,
    *,
    config: TrainConfig | None = None,
    resume: bool = True,
    device: str = "auto",
    start: str | Path | None = None,
    workers: int = 1,
    accumulate: int = 1,
    shard_mib: float = float("inf"),
    decay: float = 0.15,
    max_steps: int | None = None,
    export: Path | None = None,
    size: str | None = None,
    every: tuple[float, float, float] = (10.0, 180.0, 600.0),
    report: Callable[[str], None] = print,
) -> Run:
    """Train for a time, and leave a state that can be taken up again.

    Parameters
    ----------
    minutes : float
        Wall-clock time of this call.
    directory : Path, optional
        The run's home; ``default_directory()`` by default.
    config : TrainConfig, optional
        Of a new run.
    resume : bool, default=True
    device : {"auto", "cpu", "cuda"}, default="auto"
    start : str or Path, optional
        Checkpoint that a new run starts from.
    workers : int, default=1
        Processes that make the corpus, for each process that trains; a GPU wants about 12.
    accumulate : int, default=1
        Batches of a step in each process that trains.
    shard_mib : float, default=inf
        Largest file of the state in MiB.
    decay : float, default=0.15
        Last share of the time (or steps) in which the learning rate falls to zero; 0 keeps it.
        Above 1 the rate begins at ``1 / decay`` of its peak: the fall of an earlier call goes on.
    max_steps : int, optional
        Step of the run at which to end.
    export : Path, optional
        Where the checkpoint goes; ``compact.safetensors`` in the run's directory by default.
    size : str, optional
        As for ``Run``.
    every : (float, float, float), default=(10, 180, 600)
        Seconds between log lines, states, and exports.
    report : callable, default=print
        Takes each log line.
    """
    run = Run(
        directory or default_directory(),
        config,
        resume=resume,
        device=device,
        start=start,
        accumulate=accumulate,
        shard_mib=shard_mib,
        size=size,
    )
    deadline, due = Deadline(60.0 * minutes), list(every)
    first, batches = run.progress.step, run.batches(workers)
    with _alone(run), _until_told(deadline):
        log = Log(run, report)
        jobs = (log.write, run.save, lambda: write_export(run, export or run.directory / EXPORT))
        if run.world.rank > 0:
            jobs = ()  # the first process writes
        left = 1.0  # share of the call's time or steps, by the first process's clock
        try:
            while left > 0.0:
                fall = min(1.0, left / decay) if decay > 0.0 else 1.0
                loss = run.update(next(batches), fall)
                if run.world.rank == 0:
                    log.add(loss)
                for i, job in enumerate(jobs):
                    if deadline.elapsed() >= due[i]:
                        job()
                        due[i] = deadline.elapsed() + every[i]
                left = deadline.left() / (60.0 * minutes)
                if max_steps is not None:
                    left = min(left, (max_steps - run.progress.step) / max(1, max_steps - first))
                told, left = run.world.sum([deadline.over, left if run.world.rank == 0 else 0.0])
                if told:
                    break
        finally:  # an error costs no step that was taken
            for job in jobs:
                job()
    batches.close()
    run.world.close()
    return run


def write_export(run: Run, path: Path) -> None:
    """The half-precision checkpoint that the package ships; its header holds the card's facts.

    As long as the learning rate is high the weights jitter around where they would settle, and
    their running average is the better network, near what a fall of the rate would give. Once the
    rate has fallen the average only lags behind, and the weights themselves are written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    averaged = run.fall > SETTLED
    metadata = {
        "training": asdict(run.progress),
        "config": asdict(run.config),
        "averaged": averaged,
    }
    checkpoint.save(path, run.trainee.averaged() if averaged else run.backbone, metadata)

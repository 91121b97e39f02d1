"""Trains a backbone on the corpus for a given time; a run can be resumed at any minute.

A run is a directory with its state (weights, optimiser state, counters), ``log.csv``, and the
current export ``compact.safetensors``. The learning rate warms up, stays constant, and decays to
zero over the last part of the time of a call. Under ``torchrun`` the processes share every step and
rank 0 writes the files.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import BEFORE, Batch, CorpusConfig, Counts
from equate_srbench.pretrain.corpus.feed import Feed, Order
from equate_srbench.pretrain.log import LOG, Examination, Log, TrainingProgress
from equate_srbench.pretrain.optimise import TrainState, is_bf16_fast, upload
from equate_srbench.pretrain.state import (
    INDEX,
    StateError,
    in_shards,
    load_state,
    locked,
    save_state,
)
from equate_srbench.pretrain.world import World, own_device
from equate_srbench.runtime.clock import Deadline

EXPORT = "compact.safetensors"
#: Fraction of the peak learning rate below which the weights are exported, not their average.
SETTLED = 0.1

#: Network sizes, 7.1 M and 27.1 M parameters. Encoders are narrower than decoders because the
#: points dominate the cost.
SIZES = {
    "compact": BackboneConfig(encoder_dim=192, encoder_heads=6, decoder_layers=6),
    "base": BackboneConfig(
        dim=384, heads=12, decoder_layers=10, encoder_dim=288, encoder_heads=9, encoder_layers=4
    ),
}


@dataclass(frozen=True)
class TrainConfig:
    """Network, corpus and optimiser of a run.

    Attributes
    ----------
    backbone : BackboneConfig
        ``SIZES["compact"]`` by default.
    corpus : CorpusConfig
    lr : float, default=6e-4
        Peak learning rate.
    warm_up : int, default=400
        Steps of linear warm-up.
    weight_decay : float, default=0.01
    clip : float, default=1.0
    seed : int, default=0
        Of the initial weights; the corpus has a seed of its own.
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
        """Inverse of ``dataclasses.asdict``."""
        backbone = BackboneConfig(**d["backbone"])
        corpus = CorpusConfig(**(BEFORE | d["corpus"]))
        return cls(**{**d, "backbone": backbone, "corpus": corpus})


class SizeError(ValueError):
    """The run or checkpoint does not have the requested network size."""


class DivergedError(ValueError):
    """The loss or a weight is not finite; the last good state is kept."""


class TrainingRun:
    """A resumable training run in a directory.

    Parameters
    ----------
    directory : Path
        Created if missing; a saved state in it is resumed if ``resume``.
    config : TrainConfig, optional
        For a new run; a resumed one uses its saved configuration.
    resume : bool, default=True
    device : str, default="auto"
        "auto" is CUDA if available, else the CPU.
    start : str or Path, optional
        Checkpoint to initialise a new run from, with its configuration and counters; the
        optimiser state starts fresh. For when only a checkpoint is left of a run.
    accumulate : int, default=1
        Gradient accumulation: batches per step and process.
    shard_mib : float, default=inf
        Largest file of the state in MiB. With a limit the state is also written slim
        (``TrainState.to_tensors``): 41 MiB instead of 109 for the compact network.
    size : str, optional
        Required network size, a key of ``SIZES``.
    corpus : mapping of str to object, optional
        Fields of ``CorpusConfig`` to change in what a resumed or started run has. A change begins
        at the next pool, and ``progress.earlier`` keeps what was before.
    autocast : bool, default=False
        As for ``TrainState``.

    Raises
    ------
    FileExistsError
        If the directory holds a state but ``resume=False`` or ``start`` is given.
    SizeError
        If the run in the directory, or ``start``, does not have size ``size``.
    StateError
        If the state in the directory is damaged, or a tensor is larger than ``shard_mib``.
    DeviceError
        If the requested device is not available.
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
        corpus: Mapping[str, Any] | None = None,
        autocast: bool = False,
    ) -> None:
        self.shard_mib, self.lr_scale = shard_mib, 1.0
        self.waited = 0.0  # seconds of wall clock for pools that were not ready
        self.device = own_device(device)
        self.world, self.accumulate = World(self.device), accumulate
        self.directory = Path(directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise NotADirectoryError(f"{self.directory} is a file: choose a directory for the run")
        self.directory.mkdir(parents=True, exist_ok=True)
        saved = read_state(self.directory)
        if saved is not None and (start is not None or not resume):
            raise FileExistsError(
                f"{self.directory} holds a run: resume it or choose another directory"
            )
        self.config = saved[0] if saved else config or TrainConfig()
        self.progress = saved[1] if saved else TrainingProgress()
        if start is not None:
            card = checkpoint.describe(start)["card"]
            self.config = TrainConfig.from_dict(card["config"])
            self.progress = TrainingProgress.from_dict(card["training"])
            self.progress.began, self.progress.batch = self.progress.step, 0
            self.progress.pool += 1  # the rest of the current pool is skipped
        _check_size(self.config.backbone, size)
        self._enter(replace(self.config.corpus, **(corpus or {})))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.config.seed)
            backbone = Backbone(self.config.backbone).to(self.device)
        if start is not None:
            backbone.load_state_dict(checkpoint.load(start).state_dict())
        self.state = TrainState(
            backbone,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            clip=self.config.clip,
            bf16=self.device.type == "cuda" or is_bf16_fast(),
            autocast=autocast,
        )
        if saved:
            self.state.load_tensors(saved[2])
        in_shards(self.state.to_tensors(), shard_mib)  # raises now, not after the first minutes
        self._cpu = time.process_time()
        self._pending = [0.0] * (1 + len(fields(Counts)))  # not yet summed over the processes

    def _enter(self, corpus: CorpusConfig) -> None:
        """Train on ``corpus`` with the shipped filter; where they are new, from the next pool."""
        p, version = self.progress, Filter.shipped().version
        if p.step and (corpus, version) != (self.config.corpus, p.filter):
            p.earlier.append({
                "examples": p.examples, "filter": p.filter, "counts": asdict(p.counts),
                "corpus": asdict(self.config.corpus),
            })  # fmt: skip
            p.pool, p.batch = p.pool + self.accumulate * self.world.size, 0
        self.config, p.filter = replace(self.config, corpus=corpus), version

    @property
    def backbone(self) -> Backbone:
        """The float32 network."""
        return self.state.backbone

    @property
    def lr(self) -> float:
        """Learning rate of the last step."""
        p = self.progress
        return self.config.lr * self.lr_scale * min(1.0, (p.step - p.began) / self.config.warm_up)

    def record_device(self) -> None:
        """Add the device to the list of those that the run was trained on."""
        name = self.device.type
        if name == "cuda":
            name = torch.cuda.get_device_name(self.device)
        if name not in self.progress.devices:
            self.progress.devices.append(name)

    def save(self) -> None:
        """Write weights, optimiser state and counters atomically.

        Raises
        ------
        DivergedError
            If a weight is not finite; the previous state is kept.
        """
        self.check(all(bool(p.isfinite().all()) for p in self.backbone.parameters()))
        header = {"config": asdict(self.config), "progress": asdict(self.progress)}
        save_state(
            self.directory,
            self.state.to_tensors(slim=self.shard_mib < float("inf")),
            header,
            step=self.progress.step,
            shard_mib=self.shard_mib,
        )

    def check(self, is_finite: bool) -> None:
        """Raise ``DivergedError`` unless ``is_finite``."""
        if not is_finite:
            raise DivergedError(
                f"the training diverged before step {self.progress.step} with a peak learning rate "
                f"of {self.config.lr:g}: restart with a lower one (default {TrainConfig.lr:g}), "
                "or resume from the last saved state, which was kept if there is one"
            )

    def feed(self, workers: int) -> Feed:
        """Start the corpus workers of this process at the current position in the corpus."""
        order = Order(self.progress.pool, self.accumulate, self.world.rank, self.world.size)
        return Feed(self.config.corpus, order, workers)

    def batches(self, feed: Feed) -> Iterator[list[Batch]]:
        """Batches of each step for this process."""
        p = self.progress
        busy: dict[int, float] = {}
        pools = iter(feed)
        while True:
            begin = time.monotonic()
            group = list(islice(pools, self.accumulate))
            self.waited += time.monotonic() - begin
            for pool in group:
                self._pending[0] += pool.cpu_seconds - busy.get(pool.worker, 0.0)
                busy[pool.worker] = pool.cpu_seconds
            for batches in list(zip(*(pool.batches for pool in group), strict=True))[p.batch :]:
                p.batch += 1
                yield list(batches)
            p.pool, p.batch = p.pool + self.accumulate * self.world.size, 0
            for pool in group:
                for i, n in enumerate(astuple(pool.counts), start=1):
                    self._pending[i] += n

    def update(self, batches: list[Batch], lr_scale: float) -> Tensor:
        """One optimiser step.

        Parameters
        ----------
        batches : list of Batch
            Of this process.
        lr_scale : float, 0 to 1
            Multiplies the warmed-up learning rate.

        Returns
        -------
        Tensor, scalar
            Loss per token of this process's batches.
        """
        c, p = self.config, self.progress
        pad = self.backbone.vocabulary.pad
        n_tokens = sum(int((batch.tokens[:, 1:] != pad).sum()) for batch in batches)
        now = time.process_time()
        self._pending[0] += now - self._cpu
        all_tokens, examples, cpu, *counts = self.world.sum(
            [n_tokens, sum(len(batch.tokens) for batch in batches), *self._pending]
        )
        self._cpu, self._pending = now, [0.0] * len(self._pending)
        total = torch.zeros((), device=self.device)
        for batch in batches:
            loss = self.state.loss(*upload(batch, self.device))
            torch.autograd.backward(loss / all_tokens)
            total += loss.detach()
        self.state.step(lr_scale * min(1.0, (p.step + 1 - p.began) / c.warm_up), self.world)
        self.lr_scale = lr_scale
        p.step += 1
        self.state.average(p.step - p.began)
        p.examples += int(examples)
        p.tokens += int(all_tokens)
        p.cpu_seconds += cpu
        for slot, n in zip(fields(Counts), counts, strict=True):
            setattr(p.counts, slot.name, getattr(p.counts, slot.name) + int(n))
        return total / n_tokens


def read_state(
    directory: Path,
) -> tuple[TrainConfig, TrainingProgress, dict[str, Tensor]] | None:
    """Configuration, counters and tensors of the run in ``directory``; None if there is none."""
    found = load_state(directory)
    if found is None:
        return None
    header, tensors = found
    try:
        config = TrainConfig.from_dict(header["config"])
        return config, TrainingProgress.from_dict(header["progress"]), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{directory / INDEX} is not a training state: {error!r}") from None


def default_directory() -> Path:
    """Default run directory, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "equate-srbench" / "pretrain"


@contextmanager
def _graceful_stop(deadline: Deadline) -> Iterator[None]:
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
    corpus: Mapping[str, Any] | None = None,
    autocast: bool = False,
    tune: Callable[[TrainState], None] | None = None,
    every: tuple[float, float, float] = (10.0, 180.0, 600.0),
    report: Callable[[str], None] = print,
) -> TrainingRun:
    """Train for a given time and leave a resumable state.

    Parameters
    ----------
    minutes : float
        Wall-clock time of this call.
    directory : Path, optional
        Run directory; ``default_directory()`` by default.
    config, resume, device, start, accumulate, shard_mib, size, corpus, autocast
        As for ``TrainingRun``.
    workers : int, default=1
        Corpus worker processes per training process; a GPU needs about 12.
    decay : float, default=0.15
        Last fraction of the time (or steps) over which the learning rate decays to zero; 0 keeps
        it constant. Above 1 the rate starts at ``1 / decay`` of its peak and continues the decay
        of an earlier call.
    max_steps : int, optional
        Step of the run at which to stop.
    export : Path, optional
        Checkpoint file; ``compact.safetensors`` in the run's directory by default.
    tune : callable, optional
        Called with the weights before the first step, while the workers draw their first pools.
    every : (float, float, float), default=(10, 180, 600)
        Seconds between log lines, states, and exports.
    report : callable, default=print
        Receives each log line.
    """
    run = TrainingRun(
        directory or default_directory(), config, resume=resume, device=device, start=start,
        accumulate=accumulate, shard_mib=shard_mib, size=size, corpus=corpus, autocast=autocast,
    )  # fmt: skip
    deadline, periods = Deadline(60.0 * minutes), (every[0], *every)
    due = list(periods)
    first = run.progress.step
    is_writer = run.world.rank == 0
    jobs: list[Callable[[], None]] = []
    with (
        locked(run.directory) if is_writer else nullcontext(),
        _graceful_stop(deadline),
        closing(run.feed(workers)) as feed,
    ):
        run.record_device()
        batches = run.batches(feed)
        if tune is not None:
            tune(run.state)
        if is_writer:
            log = Log(run.directory / LOG, run.progress, report)
            jobs = _writer_jobs(run, log, deadline, export or run.directory / EXPORT)
        left = 1.0  # fraction of the call's time or steps, by the clock of rank 0
        try:
            while left > 0.0:
                loss = run.update(next(batches), min(1.0, left / decay) if decay > 0.0 else 1.0)
                if is_writer:
                    log.add(loss)
                _run_due(jobs, due, periods, deadline)
                left = deadline.left() / (60.0 * minutes)
                if max_steps is not None:
                    left = min(left, (max_steps - run.progress.step) / max(1, max_steps - first))
                stopped, left = run.world.sum([deadline.over, left if is_writer else 0.0])
                if stopped:
                    break
        finally:  # steps taken before an error are not lost
            for job in jobs:
                job()
    run.world.close()
    return run


def _run_due(
    jobs: Sequence[Callable[[], None]],
    due: list[float],
    periods: Sequence[float],
    deadline: Deadline,
) -> None:
    """Do the jobs whose time has come, and set their next one."""
    for i, job in enumerate(jobs):
        if deadline.elapsed() >= due[i]:
            job()
            due[i] = deadline.elapsed() + periods[i]


def _check_size(b: BackboneConfig, size: str | None) -> None:
    if size is not None and b != SIZES[size]:
        raise SizeError(
            f"the network has {b.encoder_layers} x {b.encoder_dim} encoder and "
            f"{b.decoder_layers} x {b.dim} decoder layers, which is not size {size}: omit the "
            "size, or choose another directory"
        )


def _writer_jobs(
    run: TrainingRun, log: Log, deadline: Deadline, target: Path
) -> list[Callable[[], None]]:
    """What the first process does periodically: examine, log, save, export."""
    examination = Examination(run.state)
    return [
        lambda: log.held_out.update(examination.take(deadline.elapsed())),
        lambda: run.check(log.write(run.lr)),
        run.save,
        lambda: write_export(run, target),
    ]


def write_export(run: TrainingRun, path: Path) -> None:
    """Write a half-precision checkpoint whose header holds the facts of the model card.

    While the learning rate is high the weights oscillate around an optimum, and their running
    average is the better network, close to what decaying the rate would give. Once the rate has
    decayed the average only lags behind, and the weights themselves are written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    averaged = run.lr_scale > SETTLED
    metadata = {
        "training": asdict(run.progress),
        "config": asdict(run.config),
        "averaged": averaged,
    }
    checkpoint.save(path, run.state.averaged() if averaged else run.backbone, metadata)

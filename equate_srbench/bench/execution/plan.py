"""Which fits a benchmark consists of, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import joblib
from pydantic import ValidationError

from equate_srbench.baselines import environments
from equate_srbench.baselines import methods as registry
from equate_srbench.bench.execution.engines import make_engine, parse_devices
from equate_srbench.bench.execution.run import Limits
from equate_srbench.bench.suites.loading import SUITES, Suite, load_suite
from equate_srbench.bench.task import SEEDS, Task

#: While a file of this name is in the folder of a run, no new fits start.
PAUSE = "pause"


class BenchError(ValueError):
    """A benchmark that cannot be run as requested; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """The fits of a benchmark: every method on every dataset with every seed and noise level.

    Attributes
    ----------
    suite : str
        Name of a suite, folder or file.
    methods : tuple of str
        Names as ``baselines.methods.resolve`` takes them.
    n_seeds : int
        Number of seeds, taken from the start of SRBench's ten.
    noise : tuple of float
        Noise levels of the training target.
    max_time : float
        Time limit of a fit in seconds.
    every : int
        Use every k-th dataset of the suite, beginning with the first.
    scale : bool
        Standardise X and y.
    max_train : int or None
        Maximum number of training rows; None for all.
    """

    suite: str
    methods: tuple[str, ...]
    n_seeds: int
    noise: tuple[float, ...]
    max_time: float
    every: int
    scale: bool
    max_train: int | None

    def tasks(self) -> list[Task]:
        """The fits, dataset by dataset, so that all methods advance together.

        Raises
        ------
        ValueError
            If a suite or method is unknown, or a value is out of range.
        """
        if not 1 <= self.n_seeds <= len(SEEDS):
            raise BenchError(f"--seeds {self.n_seeds}: give a number from 1 to {len(SEEDS)}")
        if self.every < 1:
            raise BenchError(f"--every {self.every}: give a whole number above 0")
        methods = list(dict.fromkeys(registry.resolve(name) for name in self.methods))
        if not methods:
            raise BenchError("no method is given: use --methods such as equate,e2e")
        suite = load_suite(self.suite)
        if self.suite not in SUITES:  # a user's own table is checked before any fit
            self._check_readable(suite)
        try:
            return [
                Task(
                    suite=self.suite, dataset=dataset, method=method, seed=seed, noise=noise,
                    max_time=self.max_time, scale=self.scale, max_train=self.max_train,
                )
                for dataset in suite.datasets[:: self.every]
                for noise in self.noise
                for seed in SEEDS[: self.n_seeds]
                for method in methods
            ]  # fmt: skip
        except ValidationError as error:
            wrong = error.errors()[0]
            option = str(wrong["loc"][0]).replace("_", "-")
            raise BenchError(f"--{option} {wrong['input']!r}: {wrong['msg']}") from None

    def _check_readable(self, suite: Suite) -> None:
        """Raise ``BenchError`` for a table that no fit could use."""
        try:
            suite.load(suite.datasets[0])
        except ValueError as error:
            other = "" if "#" in self.suite else f"; to predict another column: {self.suite}#COLUMN"
            raise BenchError(f"{suite.datasets[0]}: {error}{other}") from None


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the fits run.

    Attributes
    ----------
    name : str
        Of the engine.
    jobs : int
        Fits at the same time; 0: one per processor, or per GPU.
    device : str
        As ``parse_devices`` takes it.
    address : str
        Of a Dask scheduler, or empty.
    slurm : tuple of str
        Options of ``submitit``, ``KEY=VALUE`` each.
    """

    name: str
    jobs: int = 0
    device: str = "cpu"
    address: str = ""
    slurm: tuple[str, ...] = ()

    def engine(self, out: Path, limits: Limits) -> Executor:
        """Start the engine.

        Parameters
        ----------
        out : Path
            Folder of the run.
        limits : Limits

        Raises
        ------
        ValueError
            If the engine is not available as requested.
        """
        devices = parse_devices(self.device)
        n_gpus = len(devices) if devices and any(devices) else 0
        if n_gpus and self.jobs not in (0, n_gpus) and self.name != "slurm":
            raise BenchError(
                f"--jobs {self.jobs} with --device {self.device}: one worker per device, "
                f"so omit --jobs or set it to {n_gpus}"
            )
        options = dict(option.partition("=")[::2] for option in self.slurm)
        if "" in options or "" in options.values():
            raise BenchError("--slurm: give KEY=VALUE, such as slurm_partition=short")
        return make_engine(
            self.name,
            jobs=self.jobs or n_gpus or joblib.cpu_count(),
            devices=devices,
            address=self.address or None,
            folder=out / "slurm",
            seconds_per_fit=limits.seconds or 0.0,
            memory_limit=limits.memory,
            cluster=options.pop("cluster", None),
            options=options,
        )


def install_missing(methods: Iterable[str], report: Callable[[str], object] = print) -> None:
    """Install the environments that some of the methods need and that do not exist yet.

    Parameters
    ----------
    methods : iterable of str
        Names as ``baselines.methods.resolve`` takes them.
    report : callable, optional
        Called with a line of text per step.

    Raises
    ------
    BenchError
        If an installation fails.
    """
    for name in dict.fromkeys(map(registry.resolve, methods)):
        if not environments.is_missing(name):
            continue
        try:
            environments.install(name, report=report)
        except environments.InstallError as error:
            raise BenchError(f"{error}; or leave {name} out of --methods") from error

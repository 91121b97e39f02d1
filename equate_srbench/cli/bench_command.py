"""The command ``equate bench``: what was asked for as tasks, then ``bench.run`` on an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equate_srbench.runtime.terminal import check_folder, errors_in_one_line, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor

    from equate_srbench.bench.protocol import Task
    from equate_srbench.bench.run import Limits
    from equate_srbench.bench.suites.loading import Suite


#: A file of this name in the folder of a run lets no more fits begin.
PAUSE = "pause"


class BenchError(ValueError):
    """A benchmark that cannot be run as asked; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which fits: every method on every data set with every seed and noise level.

    Attributes
    ----------
    suite : str
        Name of a suite, folder or file.
    methods : tuple of str
        As the user wrote them.
    n_seeds : int
        The first of SRBench's ten seeds.
    noise : tuple of float
    max_time : float
        Seconds per fit.
    every : int
        Every how manieth data set of the suite, beginning with the first.
    scale : bool
        Standardise X and y.
    max_train : int or None
        Most rows to fit; None has no limit.
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
        """The fits, data set by data set, so that all methods advance together.

        Raises
        ------
        ValueError
            Unknown suites and methods, and values out of range.
        """
        from pydantic import ValidationError

        from equate_srbench.baselines import methods as registry
        from equate_srbench.bench.protocol import SEEDS, Task
        from equate_srbench.bench.suites.loading import SUITES, load_suite

        if not 1 <= self.n_seeds <= len(SEEDS):
            raise BenchError(f"--seeds {self.n_seeds}: give a number from 1 to {len(SEEDS)}")
        if self.every < 1:
            raise BenchError(f"--every {self.every}: give a whole number above 0")
        methods = list(dict.fromkeys(registry.resolve(name) for name in self.methods))
        if not methods:
            raise BenchError("which methods? Give --methods such as equate,e2e")
        suite = load_suite(self.suite)
        if self.suite not in SUITES:  # a user's own table is read once before any fit
            self._read(suite)
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

    def _read(self, suite: Suite) -> None:
        """Refuse a table that no fit could use."""
        try:
            suite.load(suite.datasets[0])
        except ValueError as error:
            other = "" if "#" in self.suite else f"; to predict another column: {self.suite}#COLUMN"
            raise BenchError(f"{suite.datasets[0]}: {error}{other}") from None


def bench(
    suite: Annotated[
        str,
        typer.Argument(
            help="quick, feynman, strogatz, blackbox, firstprinciples, a folder or a CSV file."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the rows, one file per fit.")],
    methods: Annotated[str, typer.Option(help="Methods, with commas.")] = "equate",
    seeds: Annotated[int, typer.Option(help="How many seeds, 1 to 10.")] = 1,
    noise: Annotated[str, typer.Option(help="Levels of target noise, with commas.")] = "0",
    max_time: Annotated[float, typer.Option(help="Seconds for one fit.")] = 10.0,
    every: Annotated[int, typer.Option(help="Only every K-th data set.")] = 1,
    scale: Annotated[bool, typer.Option(help="Standardise X and y before the fit.")] = False,
    max_train: Annotated[int, typer.Option(help="Most rows to fit; 0: all.")] = 1000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in the folder: what is missing or failed.")
    ] = False,
    engine: Annotated[str, typer.Option(help="One of local, dask, slurm.")] = "local",
    jobs: Annotated[
        int, typer.Option(help="Fits at the same time; 0: one per processor or GPU.")
    ] = 0,
    device: Annotated[
        str, typer.Option(help="cpu, auto, cuda or such as cuda:0,1, one worker each.")
    ] = "cpu",
    memory: Annotated[float, typer.Option(help="Most GB of memory for one fit.")] = 10.0,
    time_limit: Annotated[
        float, typer.Option(help="Seconds until a fit is killed. [default: 2 * max-time + 120]")
    ] = 0.0,
    address: Annotated[str, typer.Option(help="Of a Dask scheduler that is there.")] = "",
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE for submitit, such as slurm_partition=short; repeatable."),
    ] = None,
) -> None:
    """Run many fits, each in a process of its own, and keep every result.

    Ctrl-C ends it at once. A file `pause` in the folder lets the fits that run end first.
    """
    with needs_extra("bench"):
        from equate_srbench.bench.execution.engines import EngineError
        from equate_srbench.bench.execution.isolate import GIB, default_time_limit
        from equate_srbench.bench.run import Limits

    with errors_in_one_line(BenchError, EngineError, OSError):
        _check_folder(out, resume)
        if time_limit < 0 or max_train < 0 or jobs < 0 or not 0 < memory < math.inf:
            raise BenchError("--time-limit, --max-train, --jobs, --memory: nothing below 0 or inf")
        names = tuple(name for name in methods.split(",") if name.strip())
        levels = _numbers("--noise", noise)
        plan = Plan(suite, names, seeds, levels, max_time, every, scale, max_train or None)
        limits = Limits(time_limit or default_time_limit(max_time), round(memory * GIB))
        workplace = Workplace(engine, jobs, device, address, tuple(slurm or ()))
        with errors_in_one_line(ValueError):
            tasks = plan.tasks()
            install_missing(task.method for task in tasks)
            executor = workplace.engine(out, limits)
        raise typer.Exit(_run(tasks, out, executor, limits))


def install_missing(methods: Iterable[str]) -> None:
    """Make the environments that some of the methods need and that are not there yet.

    Raises
    ------
    BenchError
        If one cannot be made; no fit has begun then.
    """
    from equate_srbench.baselines import environments

    for name in dict.fromkeys(methods):
        if name not in environments.PACKAGES or environments.package(name).is_installed:
            continue
        try:
            environments.install(name, report=typer.echo)
        except environments.InstallError as error:
            raise BenchError(f"{error}; or leave {name} out of --methods") from error


# -- parts of the command ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the fits run.

    Attributes
    ----------
    name : str
        Of the engine.
    jobs : int
        0: one per processor, or per GPU.
    device : str
        As ``parse_devices`` takes it.
    address : str
        Of a Dask scheduler, or empty.
    slurm : tuple of str
        ``KEY=VALUE`` each.
    """

    name: str
    jobs: int
    device: str
    address: str
    slurm: tuple[str, ...]

    def engine(self, out: Path, limits: Limits) -> Executor:
        """Start the engine.

        Raises
        ------
        ValueError
            If it cannot be had as asked.
        """
        import joblib

        from equate_srbench.bench.execution.engines import make_engine, parse_devices

        devices = parse_devices(self.device)
        n_gpus = len(devices) if devices and any(devices) else 0
        if n_gpus and self.jobs not in (0, n_gpus) and self.name != "slurm":
            raise BenchError(
                f"--jobs {self.jobs} with --device {self.device}: one worker per device, "
                f"so leave --jobs out or give {n_gpus}"
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


def _check_folder(out: Path, resume: bool) -> None:
    """Refuse to mix a new run with an old one unless that is what was asked for."""
    check_folder(out)
    if not resume and out.is_dir() and any(out.iterdir()):
        raise BenchError(
            f"{str(out)!r} holds something already: add --resume to go on there, "
            "or choose another folder with --out"
        )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        found = ()
    if not found:
        raise BenchError(f"{option} {text!r}: give numbers with commas, such as 0,.01")
    return found


def _run(tasks: list[Task], out: Path, engine: Executor, limits: Limits) -> int:
    """Run and show; the exit code is 130 if fits are missing, else 0: failed fits are results."""
    from rich.console import Console

    from equate_srbench.bench.rows import RowStore
    from equate_srbench.bench.run import run
    from equate_srbench.bench.run_view import BenchProgress, summary_table
    from equate_srbench.runtime.live import duration

    store, pause = RowStore(out), out / PAUSE
    pause.unlink(missing_ok=True)
    with BenchProgress(Console(stderr=True, highlight=False)) as progress:
        summary = run(tasks, store, engine, progress=progress, limits=limits, pause=pause.exists)
    if not summary.interrupted:
        engine.shutdown()
    Console(highlight=False).print(summary_table(store.frame()))
    aside = len(store.quarantined())
    typer.echo(
        f"{summary.done} done and {summary.failed} failed in {duration(summary.seconds)}, "
        f"{summary.kept} were there" + (f", {aside} corrupt rows set aside" if aside else "")
    )
    again = f"equate bench ... --out {out} --resume"
    if summary.interrupted:
        typer.echo(f"stopped with {summary.missing} fits to go: go on with `{again}`")
    elif summary.failed:
        typer.echo(f"try the failed fits again with `{again}`")
    return 130 if summary.interrupted else 0

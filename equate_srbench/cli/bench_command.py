"""``equate bench``: run many fits and store every result."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equate_srbench.runtime.terminal import check_folder, errors_in_one_line, needs_extra

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from equate_srbench.bench.execution.run import Limits
    from equate_srbench.bench.task import Task


Suite = Annotated[
    str,
    typer.Argument(
        help="quick, feynman, strogatz, groundtruth, srsd, srsd-easy, srsd-medium, srsd-hard, "
        "srsd_dummy, fastsrb, classic, firstprinciples, blackbox, srbench2025, a folder or a CSV "
        "file."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the rows, one file per fit.")]
Methods = Annotated[str, typer.Option(help="Methods, separated by commas.")]
Seeds = Annotated[int, typer.Option(help="Number of seeds, 1 to 10.")]
Noise = Annotated[str, typer.Option(help="Noise levels of the target, separated by commas.")]
MaxTime = Annotated[float, typer.Option(help="Time limit of a fit in seconds.")]
Every = Annotated[int, typer.Option(help="Use every k-th dataset of the suite.")]
Scale = Annotated[bool, typer.Option(help="Standardise X and y before the fit.")]
MaxTrain = Annotated[int, typer.Option(help="Maximum number of training rows; 0 for all.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Run only the fits that are missing or failed in --out.")
]
EngineName = Annotated[str, typer.Option(help="local, dask or slurm.")]
Jobs = Annotated[int, typer.Option(help="Fits at the same time; 0 for one per processor or GPU.")]
Device = Annotated[
    str, typer.Option(help="cpu, auto, cuda, or e.g. cuda:0,1 for one worker per GPU.")
]
Memory = Annotated[float, typer.Option(help="Memory limit of a fit in GB.")]
TimeLimit = Annotated[
    float, typer.Option(help="Seconds after which a fit is killed; 0 for 2 * max-time + 120.")
]
Address = Annotated[str, typer.Option(help="Address of a running Dask scheduler.")]
Slurm = Annotated[
    list[str] | None,
    typer.Option(help="KEY=VALUE for submitit, such as slurm_partition=short; repeatable."),
]


def bench(
    suite: Suite,
    out: Out,
    methods: Methods = "equate",
    seeds: Seeds = 1,
    noise: Noise = "0",
    max_time: MaxTime = 10.0,
    every: Every = 1,
    scale: Scale = False,
    max_train: MaxTrain = 1000,
    resume: Resume = False,
    engine: EngineName = "local",
    jobs: Jobs = 0,
    device: Device = "cpu",
    memory: Memory = 10.0,
    time_limit: TimeLimit = 0.0,
    address: Address = "",
    slurm: Slurm = None,
) -> None:
    """Run many fits, each in its own process, and store every result.

    Ctrl-C stops immediately. While a file `pause` is in the folder, no new fits start.
    """
    with needs_extra("bench"):
        from equate_srbench.bench.execution.engines import EngineError
        from equate_srbench.bench.execution.isolate import GIB, default_time_limit
        from equate_srbench.bench.execution.plan import (
            BenchError,
            BenchPlan,
            Workplace,
            install_missing,
        )
        from equate_srbench.bench.execution.run import Limits

    with errors_in_one_line(BenchError, EngineError, OSError):
        _check_out(out, resume)
        for option, value in {
            "time-limit": time_limit,
            "max-train": max_train,
            "jobs": jobs,
        }.items():
            if value < 0:
                raise BenchError(f"--{option} {value:g}: must not be negative")
        if not 0 < memory < math.inf:
            raise BenchError(f"--memory {memory:g}: give GB above 0")
        names = tuple(name for name in methods.split(",") if name.strip())
        levels = _numbers("--noise", noise)
        plan = BenchPlan(suite, names, seeds, levels, max_time, every, scale, max_train or None)
        limits = Limits(time_limit or default_time_limit(max_time), round(memory * GIB))
        workplace = Workplace(engine, jobs, device, address, tuple(slurm or ()))
        with errors_in_one_line(ValueError):
            tasks = plan.tasks()
            install_missing((task.method for task in tasks), report=typer.echo)
            executor = workplace.engine(out, limits)
        raise typer.Exit(_run(tasks, out, executor, limits))


# -- parts of the command ----------------------------------------------------------------------


def _check_out(out: Path, resume: bool) -> None:
    """Raise ``BenchError`` for a folder with other contents unless a run is resumed."""
    from equate_srbench.bench.execution.plan import BenchError

    check_folder(out)
    if not resume and out.is_dir() and any(out.iterdir()):
        raise BenchError(
            f"{str(out)!r} is not empty: add --resume to continue a run there, "
            "or choose another folder with --out"
        )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    from equate_srbench.bench.execution.plan import BenchError

    try:
        found = tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        found = ()
    if not found:
        raise BenchError(f"{option} {text!r}: give numbers separated by commas, such as 0,.01")
    return found


def _run(tasks: list[Task], out: Path, engine: Executor, limits: Limits) -> int:
    """Run and display; exit code 130 if fits are missing, else 0: failed fits are results."""
    from rich.console import Console

    from equate_srbench.bench.execution.plan import PAUSE
    from equate_srbench.bench.execution.run import run
    from equate_srbench.bench.execution.run_view import BenchProgress, summary_table
    from equate_srbench.bench.rows import RowStore
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
        f"{summary.kept} existed before"
        + (f", {aside} corrupt rows in quarantine" if aside else "")
    )
    again = f"equate bench ... --out {out} --resume"
    if summary.interrupted:
        typer.echo(f"stopped with {summary.missing} fits to go: continue with `{again}`")
    elif summary.failed:
        typer.echo(f"retry the failed fits with `{again}`")
    return 130 if summary.interrupted else 0

"""The command ``equate``: thin, so that every command reads as what it does.

Heavy imports stand inside the commands: ``equate --help`` waits for nothing.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from equate_srbench.cli import baselines_command as baselines
from equate_srbench.cli import models_command as models
from equate_srbench.cli import srbench_command as srbench
from equate_srbench.cli.bench_command import bench
from equate_srbench.cli.report_command import report
from equate_srbench.runtime.terminal import check_folder, errors_in_one_line

if TYPE_CHECKING:
    from rich.console import Console

    from equate_srbench.data.reading import Problem
    from equate_srbench.report.tables.record import FitRecord

PRESETS = ("fast", "default", "paper")
TEACHERS = ("none", "auto")

app = typer.Typer(
    help="A table of numbers in, a short formula out.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(bench)
app.command()(report)
app.add_typer(baselines.app, name="baselines")
app.add_typer(models.app, name="models")
app.add_typer(srbench.app, name="srbench")


class SettingsError(ValueError):
    """An option that cannot be used as given; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fit: parameters of ``EquateRegressor`` and the share of rows kept for the test."""

    preset: str
    max_time: float
    seed: int
    device: str
    test_size: float
    teacher: str
    lam: str

    def check(self) -> None:
        """Refuse what cannot work, before anything heavy is loaded.

        Raises
        ------
        SettingsError
        """
        from equate_srbench.equate.settings import parse_lam
        from equate_srbench.runtime.hints import did_you_mean

        try:
            parse_lam(self.lam)
        except ValueError as error:
            raise SettingsError(f"--lam {error}") from None
        if self.preset not in PRESETS:
            known = ", ".join(PRESETS) + did_you_mean(self.preset, PRESETS)
            raise SettingsError(f"unknown preset {self.preset!r}: use one of {known}")
        if self.teacher not in TEACHERS:
            known = ", ".join(TEACHERS) + did_you_mean(self.teacher, TEACHERS)
            raise SettingsError(f"unknown teacher {self.teacher!r}: use one of {known}")
        if not 0 < self.max_time < float("inf"):
            raise SettingsError(f"--max-time {self.max_time:g}: give seconds above 0")
        if not 0 <= self.test_size < 1:
            raise SettingsError(f"--test-size {self.test_size:g}: give a share from 0 to below 1")
        if not 0 <= self.seed < 2**32:
            raise SettingsError(f"--seed {self.seed}: give a whole number from 0 to 2**32 - 1")
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingsError(f"unknown device {self.device!r}: use one of auto, cpu, cuda")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise SettingsError("torch finds no CUDA device here: use --device cpu")


def main() -> None:
    """Entry point of the console script."""
    app()


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    if version:
        import equate_srbench

        typer.echo(f"equate-srbench {equate_srbench.__version__}")
        raise typer.Exit


@app.command()
def fit(
    table: Annotated[
        str, typer.Argument(help="CSV, TSV or Parquet file (.gz too), or a shipped table's name.")
    ] = "",
    target: Annotated[
        str, typer.Option(help="Column to predict; a shipped table has one of its own.")
    ] = "",
    features: Annotated[
        str, typer.Option(help="Columns to predict from, with commas. [default: all others]")
    ] = "",
    max_time: Annotated[float, typer.Option(help="Most seconds for the search.")] = 60.0,
    preset: Annotated[str, typer.Option(help="One of fast, default, paper.")] = "default",
    test_size: Annotated[
        float, typer.Option(help="Share of rows kept for the test; 0 fits all rows.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(help="Of the search and of the split.")] = 0,
    device: Annotated[str, typer.Option(help="One of auto, cpu, cuda.")] = "auto",
    teacher: Annotated[
        str, typer.Option(help="auto: smooth a noisy table of 40 to 1000 rows if that helps.")
    ] = "none",
    lam: Annotated[
        str, typer.Option(help="Weight of simplicity in the search, or auto: by this table.")
    ] = "0.1",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results. [default: equate-TABLE]")
    ] = None,
    list_tables: Annotated[
        bool, typer.Option("--list-tables", help="Name the shipped tables and end.")
    ] = False,
) -> None:
    """Find a formula for one column of a table and write a report about it."""
    if list_tables:
        _list_tables()
        return
    folder = out or Path(f"equate-{Path(table).name.partition('.')[0]}")
    settings = Settings(preset, max_time, seed, device, test_size, teacher, lam)
    with _errors():
        problem = _read(table, target, features)
        settings.check()
        check_folder(folder)
    from rich.console import Console

    from equate_srbench.report.fit.console import show_result
    from equate_srbench.report.fit.output_folder import write_results

    record = _search(Path(table).name, problem, settings, Console(stderr=True, highlight=False))
    show_result(Console(highlight=False), record)
    with _errors():
        write_results(folder, record)
    typer.echo(f"report     {folder / 'report.html'}")


@app.command()
def doctor() -> None:
    """Say what is installed and whether it works; exit code 1 if something does not."""
    from equate_srbench.cli.doctor_command import examine

    healthy = True
    for finding in examine():
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name:<12s} {finding.detail}")
        healthy &= finding.ok
    raise typer.Exit(0 if healthy else 1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def pretrain(context: typer.Context) -> None:
    """Train the compact backbone on the synthetic corpus."""
    # its own parser, since training also runs where this module's packages are missing
    from equate_srbench.pretrain.__main__ import main as train

    train(context.args, prog="equate pretrain")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="model1.pt of E2E, or its trainer's *.pth.")],
    out: Annotated[Path, typer.Argument(help="File to write, such as e2e.safetensors.")],
) -> None:
    """Make Meta's E2E weights a backbone; nothing in the file is run.

    The result is used by its path: EquateRegressor(backbone="e2e.safetensors").
    """
    from rich.console import Console
    from rich.progress import Progress

    from equate_srbench.backbone.checkpoint import CheckpointError
    from equate_srbench.backbone.convert.e2e_weights import convert as convert_file

    console = Console(stderr=True, highlight=False)
    with (
        errors_in_one_line(CheckpointError, OSError),
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("weights", total=None)
        made = convert_file(
            source, out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    c = made.config
    heads = "" if made.heads_known else ", as in the release: the file does not say"
    typer.echo(f"source      {source.name}: {made.kind}")
    typer.echo(f"layers      {c.encoder_layers} encoder, {c.decoder_layers} decoder")
    typer.echo(f"widths      {c.encoder_dim} encoder, {c.dim} decoder, {c.token_dim} number tokens")
    typer.echo(f"heads       {c.encoder_heads} encoder, {c.heads} decoder{heads}")
    typer.echo(f"parameters  {made.n_parameters:,}")
    typer.echo(f"SHA-256     {made.sha256}")
    typer.echo(f"written     {out} ({out.stat().st_size / 1e6:.0f} MB)")


# -- parts of the commands ---------------------------------------------------------------------


def _errors() -> AbstractContextManager[None]:
    from equate_srbench.data.reading import TableError

    return errors_in_one_line(SettingsError, TableError, OSError)


def _list_tables() -> None:
    from equate_srbench.data import SHIPPED

    for table in SHIPPED.values():
        typer.echo(f"{table.name:<8s} --target {table.target:<9s} {table.about}")


def _read(table: str, target: str, features: str) -> Problem:
    """Columns of the table as numbers; raises TableError for whatever is wrong with them."""
    from equate_srbench.data.reading import TableError, read_problem

    if not table:
        raise TableError("which table? Give a file or a name from `equate fit --list-tables`")
    chosen = [name.strip() for name in features.split(",")] if features else []
    return read_problem(table, target, chosen)


def _search(table: str, problem: Problem, settings: Settings, console: Console) -> FitRecord:
    """Fit with live progress; Ctrl-C ends the fit with the best formula so far."""
    from equate_srbench.report.fit.console import LiveLine, note
    from equate_srbench.report.fit.user_table import split_rows
    from equate_srbench.report.tables.record import FitRecord

    train, test = split_rows(
        problem.X, problem.y.to_numpy("float64"), settings.test_size, settings.seed
    )
    for line in problem.notes:
        note(console, line)
    if test is None and settings.test_size > 0:
        note(console, f"{len(train)} rows: too few to keep some for a test, all are fitted")
    target, pressed = str(problem.y.name), Event()
    with LiveLine(console, target) as progress, warnings.catch_warnings(record=True) as caught:
        import equate_srbench
        from equate_srbench.equate.settings import parse_lam
        from equate_srbench.refine import warm_up

        warm_up()  # a first start compiles for some seconds, which are not the search's
        warnings.simplefilter("always", UserWarning)
        estimator = equate_srbench.EquateRegressor(
            max_time=settings.max_time,
            preset=settings.preset,
            device=settings.device,
            lam=parse_lam(settings.lam),
            random_state=settings.seed,
            teacher=None if settings.teacher == "none" else settings.teacher,
            on_progress=lambda state: progress(state) or pressed.is_set(),
        )
        with _ctrl_c_noted(pressed):
            estimator.fit(train.X, train.y)
    for warning in caught:
        note(console, str(warning.message))
    if "teacher" in estimator.diagnostics_:
        verdict = estimator.diagnostics_["teacher"]
        note(console, f"teacher {'used' if verdict['used'] else 'not used'}: {verdict['reason']}")
    chosen = {
        "equate-srbench": equate_srbench.__version__,
        "preset": settings.preset,
        "max-time": f"{settings.max_time:g} s",
        "seed": str(settings.seed),
        "test-size": f"{settings.test_size:g}",
        "teacher": settings.teacher,
        "lam": f"auto: {estimator.lam_:.3g}" if settings.lam == "auto" else settings.lam,
    }
    record = FitRecord.of(estimator, train, test, table=table, target=target, settings=chosen)
    return replace(record, interrupted=record.interrupted or pressed.is_set())


@contextmanager
def _ctrl_c_noted(pressed: Event) -> Iterator[None]:
    """Note Ctrl-C beside raising it: Python drops an exception raised inside a destructor."""

    def note_and_raise(*_: object) -> None:
        pressed.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note_and_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

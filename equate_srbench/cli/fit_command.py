"""``equate fit``: find a formula for one column of a table and write a report."""

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

from equate_srbench.cli.table_options import (
    Dates,
    Decimal,
    Missing,
    Separator,
    Sheet,
    Source,
    read_options,
)
from equate_srbench.runtime.terminal import check_folder, errors_in_one_line

if TYPE_CHECKING:
    from rich.console import Console

    from equate_srbench.data.table import LoadedTable, ReadOptions
    from equate_srbench.report.tables.record import FitRecord

PRESETS = ("fast", "default", "paper")
TEACHERS = ("none", "auto")

_MaxTime = Annotated[
    float | None,
    typer.Option(help="Time limit of the search in seconds. [default: 60; preset fast: 2]"),
]
_Teacher = Annotated[
    str,
    typer.Option(help="none, or auto: smooth a noisy table of 40 to 1000 rows if that helps."),
]
_Lam = Annotated[
    str,
    typer.Option(help="Weight of simplicity in the search, or auto: chosen for this table."),
]


class OptionError(ValueError):
    """An option that cannot be used as given; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Parameters of ``EquateRegressor`` and the share of rows held out for testing."""

    preset: str
    max_time: float | None
    seed: int
    device: str
    test_size: float
    teacher: str
    lam: str

    def check(self) -> None:
        """Validate the options before any heavy library is imported.

        Raises
        ------
        OptionError
        """
        from equate_srbench.equate.settings import parse_lam
        from equate_srbench.runtime.hints import did_you_mean

        try:
            parse_lam(self.lam)
        except ValueError as error:
            raise OptionError(f"--lam {error}") from None
        if self.preset not in PRESETS:
            known = ", ".join(PRESETS) + did_you_mean(self.preset, PRESETS)
            raise OptionError(f"unknown preset {self.preset!r}: use one of {known}")
        if self.teacher not in TEACHERS:
            known = ", ".join(TEACHERS) + did_you_mean(self.teacher, TEACHERS)
            raise OptionError(f"unknown teacher {self.teacher!r}: use one of {known}")
        if self.max_time is not None and not 0 < self.max_time < float("inf"):
            raise OptionError(f"--max-time {self.max_time:g}: give seconds above 0")
        if not 0 <= self.test_size < 1:
            raise OptionError(
                f"--test-size {self.test_size:g}: give a share of at least 0 and below 1"
            )
        if not 0 <= self.seed < 2**32:
            raise OptionError(f"--seed {self.seed}: give a whole number from 0 to 2**32 - 1")
        if self.device not in ("auto", "cpu", "cuda"):
            raise OptionError(f"unknown device {self.device!r}: use one of auto, cpu, cuda")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise OptionError("no CUDA device is available: use --device cpu")


def fit(
    table: Source = "",
    target: Annotated[
        str, typer.Option(help="Column to predict; optional for a bundled table.")
    ] = "",
    features: Annotated[
        str,
        typer.Option(help="Columns to predict from, separated by commas. [default: all others]"),
    ] = "",
    max_time: _MaxTime = None,
    preset: Annotated[str, typer.Option(help="fast, default or paper.")] = "default",
    test_size: Annotated[
        float, typer.Option(help="Share of rows held out for testing; 0 fits all rows.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(help="Random seed of the search and the split.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    teacher: _Teacher = "none",
    lam: _Lam = "0.1",
    separator: Separator = "",
    decimal: Decimal = "",
    sheet: Sheet = "",
    dates: Dates = "",
    missing: Missing = "refuse",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results. [default: equate-TABLE]")
    ] = None,
    list_tables: Annotated[
        bool, typer.Option("--list-tables", help="List the bundled tables and exit.")
    ] = False,
) -> None:
    """Find a formula for one column of a table and write a report about it."""
    if list_tables:
        _list_tables()
        return
    name = "stdin" if table == "-" else Path(table).name
    folder = out or Path(f"equate-{name.partition('.')[0]}")
    settings = FitOptions(preset, max_time, seed, device, test_size, teacher, lam)
    with _errors():
        options = read_options(separator, decimal, sheet, dates, missing)
        loaded = _read(table, target, features, options)
        settings.check()
        check_folder(folder)
    from rich.console import Console

    from equate_srbench.report.fit.console import show_result
    from equate_srbench.report.fit.output_folder import write_results

    record = _search(name, loaded, settings, Console(stderr=True, highlight=False))
    show_result(Console(highlight=False), record)
    with _errors():
        write_results(folder, record)
    typer.echo(f"report     {folder / 'report.html'}")


# -- parts of the command ----------------------------------------------------------------------


def _errors() -> AbstractContextManager[None]:
    from equate_srbench.data.table import TableError

    return errors_in_one_line(OptionError, TableError, OSError)


def _list_tables() -> None:
    from equate_srbench.data import SHIPPED

    for table in SHIPPED.values():
        typer.echo(f"{table.name:<8s} --target {table.target:<9s} {table.about}")


def _read(table: str, target: str, features: str, options: ReadOptions) -> LoadedTable:
    """Read the columns as numbers; raises TableError if one of them cannot be used."""
    from equate_srbench.data.reading import load_table

    if not table:
        raise OptionError("no table is given: use a file or a name from `equate fit --list-tables`")
    chosen = [name.strip() for name in features.split(",")] if features else []
    return load_table(table, target, chosen, options)


def _search(name: str, table: LoadedTable, settings: FitOptions, console: Console) -> FitRecord:
    """Fit with live progress; Ctrl-C ends the fit and keeps the best formula so far."""
    from equate_srbench.report.fit.console import LiveLine, note
    from equate_srbench.report.fit.user_table import split_rows
    from equate_srbench.report.tables.record import FitRecord

    train, test = split_rows(
        table.X, table.y.to_numpy("float64"), settings.test_size, settings.seed
    )
    for line in table.notes:
        note(console, line)
    if test is None and settings.test_size > 0:
        note(console, f"{len(train)} rows: too few to hold out a test set, all are fitted")
    target, pressed = str(table.y.name), Event()
    with LiveLine(console, target) as progress, warnings.catch_warnings(record=True) as caught:
        import equate_srbench
        from equate_srbench.equate.settings import parse_lam
        from equate_srbench.refine import warm_up

        warm_up()  # the first start compiles for some seconds, which do not count as search time
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
        with _ctrl_c_recorded(pressed):
            estimator.fit(train.X, train.y)
    for warning in caught:
        note(console, str(warning.message))
    if "teacher" in estimator.diagnostics_:
        verdict = estimator.diagnostics_["teacher"]
        note(console, f"teacher {'used' if verdict['used'] else 'not used'}: {verdict['reason']}")
    chosen = {
        "equate-srbench": equate_srbench.__version__,
        "preset": settings.preset,
        "max-time": f"{estimator.time_limit:g} s",
        "seed": str(settings.seed),
        "test-size": f"{settings.test_size:g}",
        "teacher": settings.teacher,
        "lam": f"auto: {estimator.lam_:.3g}" if settings.lam == "auto" else settings.lam,
    }
    record = FitRecord.of(estimator, train, test, table=name, target=target, settings=chosen)
    return replace(record, interrupted=record.interrupted or pressed.is_set())


@contextmanager
def _ctrl_c_recorded(pressed: Event) -> Iterator[None]:
    """Record Ctrl-C as well as raising it: Python drops exceptions raised in a destructor."""

    def record_and_raise(*_: object) -> None:
        pressed.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, record_and_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

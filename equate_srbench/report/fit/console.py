"""A fit in a terminal: the live line while it runs, the front and the formula when it is done."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from equate_srbench.report.formatting import r2_text, short_formula
from equate_srbench.report.tables.record import FitRecord, score
from equate_srbench.runtime.live import LiveView


class Progress(Protocol):
    """What the estimator hands to ``on_progress`` a few times a second."""

    @property
    def seconds(self) -> float:
        """Since the beginning of the fit."""

    @property
    def candidates(self) -> int:
        """Formulas tried so far."""

    @property
    def equation(self) -> str:
        """The best formula so far."""

    @property
    def r2(self) -> float:
        """Its R2 on the rows of the fit."""

    @property
    def complexity(self) -> int:
        """Its number of nodes."""

    @property
    def phase(self) -> str:
        """What the fit is doing."""


class LiveLine(LiveView):
    """Shows progress: one line that changes in a terminal, plain lines now and then elsewhere.

    Parameters
    ----------
    console : Console
    target : str
        Name of the predicted column.
    interval : float, default=5.0
        Seconds between plain lines with the same formula.

    Examples
    --------
    >>> with LiveLine(Console(), "period") as show:  # doctest: +SKIP
    ...     EquateRegressor(on_progress=show).fit(X, y)
    """

    def __init__(self, console: Console, target: str, interval: float = 5.0) -> None:
        super().__init__(console, interval)
        self._target = target
        self._state: Progress | None = None

    def __call__(self, progress: Progress) -> bool:
        """Show one state; never asks the fit to stop."""
        self._state = progress
        self._print_line()
        return False

    def _line(self) -> Text:
        progress = self._state
        if progress is None:
            return Text("getting ready ...", "dim")
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{progress.seconds:5.1f} s  ", "bold")
        line.append(f"{progress.phase:<10s} ", "dim")
        line.append(f"{progress.candidates:>7,} formulas  ")
        line.append(f"R² {r2_text(progress.r2)}  ", "cyan")
        line.append(f"size {progress.complexity}  ")
        line.append(f"{self._target} = {short_formula(progress.equation)}", "green")
        return line


def note(console: Console, text: str) -> None:
    """Print a side remark, as it is."""
    console.print(Text(text, "dim"), soft_wrap=True)


def front_table(record: FitRecord) -> Table:
    """The front as a table; ``>`` marks the chosen formula."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("size", justify="right")
    table.add_column("R² fit", justify="right")
    if record.test:
        table.add_column("R² test", justify="right")
    table.add_column("formula", overflow="fold")
    for row in record.ranking().to_dict("records"):
        cells = [">" if row["chosen"] else "", str(row["complexity"]), r2_text(row["r2"])]
        if record.test:
            cells.append(r2_text(row["test_r2"]))
        cells.append(short_formula(row["equation"]))
        table.add_row(*map(Text, cells), style="bold green" if row["chosen"] else None)
    return table


def show_result(console: Console, record: FitRecord) -> None:
    """Print the front, the chosen formula as text and LaTeX, and how well it predicts."""
    console.print(front_table(record))
    console.print()
    lines = [("formula", f"{record.target} = {record.equation}")]
    lines += [("LaTeX", record.equation.to_latex())]
    for name, rows in record.parts():
        s = score(record.equation, rows)
        what = f"R² {r2_text(s.r2)}, RMS error {s.rmse:.4g}, largest error {s.largest:.4g}"
        lines.append((f"{name} rows", f"{what} ({len(rows)} rows)"))
    stopped = ", stopped by hand" if record.interrupted else ""
    count = sum(record.tried.values())
    lines.append(("search", f"{record.seconds:.1f} s, {count:,} formulas tried{stopped}"))
    for label, value in lines:
        console.print(Text(f"{label:<10s}", "dim"), Text(value), soft_wrap=True)

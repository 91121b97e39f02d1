"""A fit in a terminal: live progress while it runs, then the Pareto front and the formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from equate_srbench.report.formatting import r2_text, short_formula
from equate_srbench.report.tables.record import FitRecord, score
from equate_srbench.runtime.live import LiveView

if TYPE_CHECKING:
    from equate_srbench.runtime.progress import Progress


class LiveLine(LiveView):
    """Shows the progress of a fit: one updating line in a terminal, periodic plain lines elsewhere.

    Parameters
    ----------
    console : Console
    target : str
        Name of the predicted column.
    interval : float, default=5.0
        Least seconds between plain lines.

    Examples
    --------
    >>> with LiveLine(Console(), "period") as progress:  # doctest: +SKIP
    ...     EquateRegressor(on_progress=progress).fit(X, y)
    """

    def __init__(self, console: Console, target: str, interval: float = 5.0) -> None:
        super().__init__(console, interval)
        self._target = target
        self._state: Progress | None = None

    def __call__(self, progress: Progress) -> bool:
        """Display the progress; returns False, so that the fit goes on."""
        self._state = progress
        self._print_line()
        return False

    def _line(self) -> Text:
        progress = self._state
        if progress is None:
            return Text("starting ...", "dim")
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{progress.seconds:5.1f} s  ", "bold")
        line.append(f"{progress.phase:<10s} ", "dim")
        line.append(f"{progress.candidates:>7,} formulas  ")
        line.append(f"R² {r2_text(progress.r2)}  ", "cyan")
        line.append(f"size {progress.complexity}  ")
        line.append(f"{self._target} = {short_formula(progress.equation)}", "green")
        return line


def note(console: Console, text: str) -> None:
    """Print a note without markup."""
    console.print(Text(text, "dim"), soft_wrap=True)


def front_table(record: FitRecord) -> Table:
    """The Pareto front as a table; ``>`` marks the chosen formula."""
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
    """Print the Pareto front, the chosen formula as text and LaTeX, and its scores."""
    console.print(front_table(record))
    console.print()
    lines = [("formula", f"{record.target} = {record.equation}")]
    lines += [("LaTeX", record.equation.to_latex())]
    for name, rows in record.parts():
        s = score(record.equation, rows)
        quality = f"R² {r2_text(s.r2)}, RMS error {s.rmse:.4g}, largest error {s.largest:.4g}"
        lines.append((f"{name} rows", f"{quality} ({len(rows)} rows)"))
    stopped = ", stopped by the user" if record.interrupted else ""
    count = sum(record.tried.values())
    lines.append(("search", f"{record.seconds:.1f} s, {count:,} formulas tried{stopped}"))
    lines += [("note", remark) for remark in record.remarks]
    for label, value in lines:
        console.print(Text(f"{label:<10s}", "dim"), Text(value), soft_wrap=True)

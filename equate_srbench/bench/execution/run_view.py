"""Progress of a run: a live view in a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from equate_srbench.runtime.live import LiveView, duration

#: Number of failures listed; further ones are only counted.
MAX_LISTED = 20


@dataclass(slots=True)
class _Tally:
    """Counts of one method so far."""

    fits: int = 0
    good: int = 0


class BenchProgress(LiveView):
    """Shows the progress of a run: done, failed, running, time left, best method so far.

    Parameters
    ----------
    console : Console
    interval : float, default=10.0
        Seconds between plain lines, where the console is not a terminal.

    Examples
    --------
    >>> with BenchProgress(Console(stderr=True)) as progress:  # doctest: +SKIP
    ...     run(tasks, store, engine, progress=progress)
    """

    def __init__(self, console: Console, interval: float = 10.0) -> None:
        super().__init__(console, interval)
        self._total = self._done = self._failed = self._before = self._listed = 0
        self._running: Callable[[], int] = lambda: 0
        self._start = time.monotonic()
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)
        self._last = ""

    def __exit__(self, *error: object) -> None:
        """Stop the live view and print the last state."""
        super().__exit__(*error)
        self._console.print(self._line(), soft_wrap=True)

    def begin(self, total: int, kept: list[dict[str, Any]], running: Callable[[], int]) -> None:
        """Note the requested fits; see ``run.RunObserver``."""
        self._total, self._running = total, running
        self._done = self._before = len(kept)
        self._start = self._printed = time.monotonic()
        for row in kept:
            self._count(row)
        if kept:
            self._console.print(Text(f"{len(kept)} of {total} fits already have a result", "dim"))

    def row(self, row: dict[str, Any]) -> None:
        """Count a row and show it."""
        self._count(row)
        if row["status"] == "ok":
            self._done += 1
            score = "no R²" if row["r2_test"] is None else f"R² {row['r2_test']:.4f}"
            self._last = f"{row['dataset']}, {row['method']}: {score}"
        else:
            self._failed += 1
            self._list_failure(row)
        if self._done + self._failed < self._total:  # the end prints the last line
            self._print_line()

    def best(self) -> str:
        """The method with the largest share of fits with test R2 above .99, if there is any."""
        if not any(tally.good for tally in self._tallies.values()):
            return ""
        # among equal shares, the method with more fits
        name, tally = max(
            self._tallies.items(), key=lambda item: (item[1].good / item[1].fits, item[1].fits)
        )
        return f"{short_method(name)} {tally.good}/{tally.fits} above .99"

    def seconds_left(self) -> float | None:
        """Estimated seconds until the end; None before the first row."""
        made = self._done + self._failed - self._before
        if made == 0:
            return None
        left = self._total - self._done - self._failed
        return left * (time.monotonic() - self._start) / made

    def _count(self, row: dict[str, Any]) -> None:
        tally = self._tallies[row["method"]]
        tally.fits += 1
        tally.good += bool(row["acc99"])

    def _list_failure(self, row: dict[str, Any]) -> None:
        self._listed += 1
        if self._listed > MAX_LISTED:
            return
        where = f"{row['dataset']}, {row['method']}, seed {row['seed']}, noise {row['noise']:g}"
        self._console.print(
            Text(f"{row['status']}: {where}: {row['error']}", "yellow"), soft_wrap=not self._live
        )
        if self._listed == MAX_LISTED:
            self._console.print(Text("further failures are only counted", "dim"))

    def _view(self) -> Group:
        bar = ProgressBar(total=max(1, self._total), completed=self._done + self._failed, width=40)
        return Group(bar, self._line(), Text(self._last, "dim", no_wrap=True, overflow="ellipsis"))

    def _line(self) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{self._done}/{self._total} done", "bold")
        line.append(f", {self._failed} failed", "yellow" if self._failed else "")
        if self._done + self._failed < self._total:
            left = self.seconds_left()
            line.append(f", {self._running()} running")
            line.append(", ETA " + ("unknown" if left is None else duration(left)), "cyan")
        if best := self.best():
            line.append(f", best so far: {best}", "green")
        return line


def summary_table(frame: pd.DataFrame) -> Table:
    """Summarise rows in one line per method, best first.

    Parameters
    ----------
    frame : DataFrame
        From ``RowStore.frame``.

    Returns
    -------
    rich.table.Table
        Shares are of all fits including failed ones (``recovered`` of those on suites with laws),
        medians of those with a result.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("method")
    shares = ("recovered", "R² > .99", "R² > .999")
    for name in ("fits", "failed", *shares, "median nodes", "median s"):
        table.add_column(name, justify="right")
    lines = sorted(_method_lines(frame), key=lambda line: (-line[4], -line[5], line[0]))
    for method, fits, failed, recovered, acc99, acc999, nodes, seconds in lines:
        table.add_row(
            Text(short_method(method)), str(fits), str(failed),
            "-" if pd.isna(recovered) else f"{recovered:.1%}", f"{acc99:.1%}", f"{acc999:.1%}",
            "-" if pd.isna(nodes) else f"{nodes:g}", "-" if pd.isna(seconds) else f"{seconds:.1f}",
        )  # fmt: skip
    return table


def _method_lines(
    frame: pd.DataFrame,
) -> Iterable[tuple[str, int, int, float, float, float, float, float]]:
    judged = frame["recovered"].notna()
    laws = judged | (frame["suite"].isin(frame["suite"][judged]) & (frame["status"] != "ok"))
    for method, rows in frame.groupby("method"):
        ok = rows[rows["status"] == "ok"]
        # without a result a law is not recovered
        verdicts = rows.loc[laws.loc[rows.index], "recovered"].fillna(False)
        recovered = float(verdicts.mean()) if len(verdicts) else float("nan")
        nodes, seconds = ok["complexity"].median(), ok["fit_seconds"].median()
        yield (
            str(method), len(rows), len(rows) - len(ok), recovered,
            float(rows["acc99"].mean()), float(rows["acc999"].mean()), nodes, seconds,
        )  # fmt: skip


def short_method(name: str) -> str:
    """Name of a method without its module."""
    return name.rpartition(":")[2]

"""Snapshots of a run folder, computed in a separate process.

Reading and plotting thousands of rows with pandas, SciPy and matplotlib takes seconds. In the
kernel, that would block the user's cells and interfere with their matplotlib settings.
"""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from equate_srbench.baselines.methods import spec
from equate_srbench.runtime.child import Child, own_environment
from equate_widgets.bench_run import BenchSettings

if TYPE_CHECKING:
    import pandas as pd

MAX_RECENT = 8


class MethodSummary(BaseModel):
    """A row of the table: shares of all fits of a method, medians of those with a result."""

    label: str
    colour: str
    fits: int
    failed: int
    r2_99: float
    r2_999: float
    nodes: float | None
    seconds: float | None


class MethodTable(BaseModel):
    """The methods on one suite at one noise level, best first."""

    title: str
    rows: list[MethodSummary]


class RecentFit(BaseModel):
    """A fit that ended recently."""

    dataset: str
    method: str
    r2: float | None
    nodes: int | None
    seconds: float | None
    detail: str  # the formula, or the error
    ok: bool


class RunSnapshot(BaseModel):
    """The state of a run as a panel shows it.

    Attributes
    ----------
    requested, done, failed : int
        Number of fits of the settings, of those with a result, and of those that failed.
    seconds_left : float or None
        Estimate for the missing fits from those so far; None before the first.
    tables : list of MethodTable
        From all rows of the folder, including those of earlier settings.
    recent : list of RecentFit
        Newest first.
    figure : str
        SVG of accuracy, size and time for the suite and noise level of the newest row; "" until
        every method has a fit of the same data set.
    problem : str
        Error message, "" if there is none.
    """

    requested: int = 0
    done: int = 0
    failed: int = 0
    seconds_left: float | None = None
    tables: list[MethodTable] = []
    recent: list[RecentFit] = []
    figure: str = ""
    problem: str = ""


class SnapshotRequest(BaseModel):
    """A run folder, the settings whose fits to count, and the working directory."""

    folder: Path
    working_directory: Path
    settings: BenchSettings | None


def take_snapshot(folder: Path, settings: BenchSettings | None) -> RunSnapshot:
    """Summarise a run folder.

    Parameters
    ----------
    folder : Path
        A folder that does not exist has no rows.
    settings : BenchSettings or None
        Whose fits to count; None counts nothing.

    Returns
    -------
    RunSnapshot

    Raises
    ------
    ValueError
        If the suite is unknown.
    OSError
        If the folder cannot be read.
    """
    from equate_srbench.bench.rows import RowStore

    requested = {task.key for task in settings.tasks()} if settings else set()
    if not (folder / "rows").is_dir():
        return RunSnapshot(requested=len(requested))
    store = RowStore(folder)
    frame = store.frame()
    if frame.empty:
        return RunSnapshot(requested=len(requested))
    modified = [store.path(key).stat().st_mtime_ns for key in frame["key"]]
    frame = frame.assign(modified=modified).sort_values("modified", ascending=False, kind="stable")
    counted = frame[frame["key"].isin(requested)]
    done = int((counted["status"] == "ok").sum())
    pace = counted["total_seconds"].mean() / settings.parallel if settings else None
    return RunSnapshot(
        requested=len(requested),
        done=done,
        failed=len(counted) - done,
        seconds_left=None if pace is None else _number((len(requested) - done) * pace),
        tables=[_table(rows) for _, rows in frame.groupby(["suite", "noise"])],
        recent=[_recent(row) for _, row in frame.head(MAX_RECENT).iterrows()],
        figure=_figure(frame),
    )


def _table(rows: pd.DataFrame) -> MethodTable:
    summaries = []
    for method, own in rows.groupby("method"):
        ok, look = own[own["status"] == "ok"], spec(str(method))
        summary = MethodSummary(
            label=look.label, colour=look.colour, fits=len(own), failed=len(own) - len(ok),
            r2_99=own["acc99"].mean(), r2_999=own["acc999"].mean(),
            nodes=_number(ok["complexity"].median()), seconds=_number(ok["fit_seconds"].median()),
        )  # fmt: skip
        summaries.append(summary)
    summaries.sort(key=lambda summary: (-summary.r2_99, -summary.r2_999, summary.label))
    suite, noise = rows["suite"].iloc[0], rows["noise"].iloc[0]
    return MethodTable(title=suite + (f", noise {noise:g}" if noise else ""), rows=summaries)


def _recent(row: pd.Series) -> RecentFit:
    ok = row["status"] == "ok"
    nodes = _number(row["complexity"])
    return RecentFit(
        dataset=row["dataset"],
        method=spec(row["method"]).label,
        r2=_number(row["r2_test"]),
        nodes=None if nodes is None else round(nodes),
        seconds=_number(row["fit_seconds"]),
        detail=(row["model"] or "") if ok else f"{row['status']}: {row['error']}",
        ok=ok,
    )


def _figure(frame: pd.DataFrame) -> str:
    import matplotlib as mpl

    from equate_srbench.report.figures.compare_figures import triple
    from equate_srbench.report.figures.rendering import STYLE
    from equate_srbench.report.tables.compare import blocks

    newest = frame.iloc[0]
    rows = frame[(frame["suite"] == newest["suite"]) & (frame["noise"] == newest["noise"])]
    (block,) = blocks(rows)
    if block.rows.empty:
        return ""
    svg = StringIO()
    with mpl.rc_context(STYLE):
        triple(block).savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


def _number(value: Any) -> float | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else float(value)


# -- the process -------------------------------------------------------------------------------


class SnapshotReader:
    """Takes snapshots in a child process, started when needed; it exits with this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._child: Child | None = None

    def read(self, folder: Path, settings: BenchSettings | None) -> RunSnapshot:
        """Take a snapshot in the child process; errors are returned as its ``problem``."""
        request = SnapshotRequest(
            folder=folder.absolute(), settings=settings, working_directory=Path.cwd()
        )
        with self._lock:
            if self._child is None:
                code = "from equate_widgets.bench_snapshot import main; main()"
                widgets = Path(__file__).parents[1]
                self._child = Child([sys.executable, "-c", code], env=own_environment(widgets))
            try:
                self._child.send(request.model_dump_json())
                answer = self._child.receive()
            except BrokenPipeError:
                answer = None
            return RunSnapshot.model_validate_json(answer) if answer else self._ended(self._child)

    def close(self) -> None:
        """Kill the child process."""
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    def _ended(self, child: Child) -> RunSnapshot:
        """Reap the child process and return the last line of its standard error."""
        code, said = child.wait(), child.last_words(1)
        child.close()
        self._child = None
        return RunSnapshot(
            problem=f"the process that reads the rows has died (exit code {code}): {said}"
        )


def main() -> None:
    """Serve snapshot requests, one JSON line each, until the end of the input."""
    for line in sys.stdin:
        request = SnapshotRequest.model_validate_json(line)
        os.chdir(request.working_directory)  # for relative paths of suites
        try:
            answer = take_snapshot(request.folder, request.settings)
        except (ValueError, OSError) as error:
            answer = RunSnapshot(problem=" ".join(str(error).split()))
        print(answer.model_dump_json(), flush=True)

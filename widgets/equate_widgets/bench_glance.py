"""Rows of a run folder at a glance, worked out in a process of its own.

Reading thousands of rows and drawing them takes pandas, SciPy and matplotlib for seconds; in the
kernel that would hold up the user's cells, and set matplotlib's settings under their feet.
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

MOST_LATEST = 8


class MethodLine(BaseModel):
    """A method in the table; shares are of all its fits, medians of those with a result."""

    label: str
    colour: str
    fits: int
    failed: int
    r2_99: float
    r2_999: float
    nodes: float | None
    seconds: float | None


class Table(BaseModel):
    """The methods on one suite at one level of noise, best first."""

    title: str
    lines: list[MethodLine]


class Latest(BaseModel):
    """A fit that has just ended."""

    dataset: str
    method: str
    r2: float | None
    nodes: int | None
    seconds: float | None
    said: str  # the formula, or what went wrong
    ok: bool


class Glance(BaseModel):
    """What a panel shows of a run.

    Attributes
    ----------
    asked, done, failed : int
        Fits of the settings, and those with a result and with a failure.
    seconds_left : float or None
        For the missing ones at the pace so far; None before the first.
    tables : list of Table
        Of all rows of the folder, also those of earlier settings.
    latest : list of Latest
        Newest first.
    picture : str
        SVG of accuracy, size and time for the newest row's suite and noise; "" before every
        method has a fit of the same data set.
    problem : str
        Why there is nothing to show, "" if all is well.
    """

    asked: int = 0
    done: int = 0
    failed: int = 0
    seconds_left: float | None = None
    tables: list[Table] = []
    latest: list[Latest] = []
    picture: str = ""
    problem: str = ""


class Question(BaseModel):
    """A folder, the settings to count by, and the working folder."""

    folder: Path
    place: Path
    settings: BenchSettings | None


def glance(folder: Path, settings: BenchSettings | None) -> Glance:
    """Look at a run folder.

    Parameters
    ----------
    folder : Path
        One that is not there has no rows.
    settings : BenchSettings or None
        None counts nothing.

    Returns
    -------
    Glance

    Raises
    ------
    ValueError
        If there is no such suite.
    OSError
        If the folder cannot be read.
    """
    from equate_srbench.bench.rows import RowStore

    asked = {task.key for task in settings.tasks()} if settings else set()
    if not (folder / "rows").is_dir():
        return Glance(asked=len(asked))
    store = RowStore(folder)
    frame = store.frame()
    if frame.empty:
        return Glance(asked=len(asked))
    when = [store.path(key).stat().st_mtime_ns for key in frame["key"]]
    frame = frame.assign(when=when).sort_values("when", ascending=False, kind="stable")
    counted = frame[frame["key"].isin(asked)]
    done = int((counted["status"] == "ok").sum())
    pace = counted["total_seconds"].mean() / settings.parallel if settings else None
    return Glance(
        asked=len(asked),
        done=done,
        failed=len(counted) - done,
        seconds_left=None if pace is None else _number((len(asked) - done) * pace),
        tables=[_table(rows) for _, rows in frame.groupby(["suite", "noise"])],
        latest=[_latest(row) for _, row in frame.head(MOST_LATEST).iterrows()],
        picture=_picture(frame),
    )


def _table(rows: pd.DataFrame) -> Table:
    lines = []
    for method, own in rows.groupby("method"):
        ok, look = own[own["status"] == "ok"], spec(str(method))
        line = MethodLine(
            label=look.label, colour=look.colour, fits=len(own), failed=len(own) - len(ok),
            r2_99=own["acc99"].mean(), r2_999=own["acc999"].mean(),
            nodes=_number(ok["complexity"].median()), seconds=_number(ok["fit_seconds"].median()),
        )  # fmt: skip
        lines.append(line)
    lines.sort(key=lambda line: (-line.r2_99, -line.r2_999, line.label))
    suite, noise = rows["suite"].iloc[0], rows["noise"].iloc[0]
    return Table(title=suite + (f", noise {noise:g}" if noise else ""), lines=lines)


def _latest(row: pd.Series) -> Latest:
    ok = row["status"] == "ok"
    nodes = _number(row["complexity"])
    return Latest(
        dataset=row["dataset"],
        method=spec(row["method"]).label,
        r2=_number(row["r2_test"]),
        nodes=None if nodes is None else round(nodes),
        seconds=_number(row["fit_seconds"]),
        said=(row["model"] or "") if ok else f"{row['status']}: {row['error']}",
        ok=ok,
    )


def _picture(frame: pd.DataFrame) -> str:
    import matplotlib as mpl

    from equate_srbench.report.figures.compare_figures import STYLE, triple
    from equate_srbench.report.tables.compare import blocks

    newest = frame.iloc[0]
    rows = frame[(frame["suite"] == newest["suite"]) & (frame["noise"] == newest["noise"])]
    (block,) = blocks(rows)
    if block.rows.empty:
        return ""
    text = StringIO()
    with mpl.rc_context(STYLE):
        triple(block).savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _number(value: Any) -> float | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else float(value)


# -- the process -------------------------------------------------------------------------------


class Looker:
    """Asks a process that it starts when needed; the process ends with this one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._child: Child | None = None

    def ask(self, folder: Path, settings: BenchSettings | None) -> Glance:
        """``glance`` in the other process; its errors come as ``problem``."""
        question = Question(folder=folder.absolute(), settings=settings, place=Path.cwd())
        with self._lock:
            if self._child is None:
                code = "from equate_widgets.bench_glance import main; main()"
                widgets = Path(__file__).parents[1]
                self._child = Child([sys.executable, "-c", code], env=own_environment(widgets))
            try:
                self._child.send(question.model_dump_json())
                answer = self._child.receive()
            except BrokenPipeError:
                answer = None
            return Glance.model_validate_json(answer) if answer else self._ended(self._child)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    def _ended(self, child: Child) -> Glance:
        """Forget an ended process, and say what it said last."""
        code, said = child.wait(), child.last_words(1)
        child.close()
        self._child = None
        return Glance(problem=f"the reader of the rows has ended (exit code {code}): {said}")


def main() -> None:
    """Answer questions, one JSON line each, until there are no more."""
    for line in sys.stdin:
        question = Question.model_validate_json(line)
        os.chdir(question.place)  # where a relative path of a suite starts
        try:
            answer = glance(question.folder, question.settings)
        except (ValueError, OSError) as error:
            answer = Glance(problem=" ".join(str(error).split()))
        print(answer.model_dump_json(), flush=True)

# ruff: noqa: D102 - concurrent.futures says what submit and shutdown are
"""A run keeps every row, makes what is missing, and ends cleanly."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from equate_srbench.baselines import environments
from equate_srbench.bench.execution.run import run
from equate_srbench.bench.execution.run_view import BenchProgress, summary_table
from equate_srbench.bench.rows import RowStore, failure_row
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.cli.main import app

Tasks = Callable[..., Task]


class Instant(Executor):
    """Answers at once, without a fit; forgets the calls for some methods."""

    def __init__(self) -> None:
        self.calls: list[Task] = []
        self.ended = False

    def submit(self, fn, task, limits, folder):
        self.calls.append(task)
        future: Future = Future()
        if task.method.endswith("Lost"):
            future.set_exception(ConnectionError("worker gone"))
        elif task.method.endswith("Given-up"):
            future.cancel()
            future.set_running_or_notify_cancel()
        elif task.method.endswith("Ctrl-C"):
            raise KeyboardInterrupt
        else:
            row = failure_row(task, "error", "made up", 1.0)
            if not task.method.endswith("Raises"):
                row |= {"status": "ok", "error": None, "r2_test": 0.995, "acc99": True}
                row |= {"fit_seconds": 2.0, "complexity": 7}
            future.set_result(row)
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.ended = True


def store(tmp_path: Path) -> RowStore:
    """An empty one."""
    return RowStore(tmp_path / "run")


def test__run__twice__second_makes_only_missing_and_failed(task: Tasks, tmp_path: Path) -> None:
    """Finished rows are kept, failures are tried again, equal tasks count once."""
    tasks = [task("Fast", seed=1), task("Fast", seed=1), task("Raises", seed=1)]
    first = run(tasks, store(tmp_path), Instant())
    assert (first.total, first.kept, first.done, first.failed) == (2, 0, 1, 1)
    engine = Instant()
    second = run([*tasks, task("Fast", seed=2)], store(tmp_path), engine)
    assert [t.key for t in engine.calls] == [tasks[2].key, task("Fast", seed=2).key]
    assert (second.total, second.kept, second.done, second.failed) == (3, 1, 1, 1)
    assert (second.missing, second.interrupted) == (0, False)
    assert len(store(tmp_path).keys("ok")) == 2


def test__run__corrupt_row__made_again(task: Tasks, tmp_path: Path) -> None:
    """A damaged file is no row: it is set aside and its fit repeated."""
    run([task("Fast")], store(tmp_path), Instant())
    store(tmp_path).path(task("Fast").key).write_text('{"half": ')
    assert run([task("Fast")], store(tmp_path), Instant()).done == 1
    assert len(store(tmp_path).quarantined()) == 1


@pytest.mark.parametrize("method", ["Lost", "Given-up"])
def test__run__engine_loses_a_fit__row_killed(task: Tasks, tmp_path: Path, method: str) -> None:
    """A worker that is gone is a row too, to be tried again later."""
    summary = run([task(method)], store(tmp_path), Instant())
    assert summary.failed == 1
    assert store(tmp_path).keys("killed") == [task(method).key]


def test__run__engine_loses_the_answer__row_of_the_worker_counts(
    task: Tasks, tmp_path: Path
) -> None:
    """What a worker has written itself is the result, even if its answer never came."""
    row = Instant().submit(None, task("Fast"), None, None).result()
    lost = task("Lost")

    class KeptThenLost(Instant):
        def submit(self, fn, task, limits, folder):
            store(tmp_path).write({**row, **lost.to_dict(), "key": lost.key})
            return super().submit(fn, task, limits, folder)

    assert run([lost], store(tmp_path), KeptThenLost()).done == 1


def test__run__ctrl_c__rows_kept_and_engine_ended(task: Tasks, tmp_path: Path) -> None:
    """An interrupt is an ordinary end."""
    engine = Instant()
    summary = run([task("Fast"), task("Ctrl-C"), task("Linear")], store(tmp_path), engine)
    assert summary.interrupted
    assert engine.ended
    assert summary.missing == 3 - summary.done


def test__run__pause__fits_that_run_end_and_no_other_begins(task: Tasks, tmp_path: Path) -> None:
    """The fit that had begun is kept, those that waited have no row."""
    tasks = [task("Fast", seed=seed) for seed in (1, 2, 3)]
    begun: list[Future] = []

    class OneAtATime(Instant):
        def submit(self, fn, task, limits, folder):
            done, future = super().submit(fn, task, limits, folder), Future()
            if not begun:
                future.set_running_or_notify_cancel()
                threading.Timer(2.0, lambda: future.set_result(done.result())).start()
            begun.append(future)
            return future

    engine = OneAtATime()
    summary = run(tasks, store(tmp_path), engine, pause=lambda: bool(begun))
    assert (summary.done, summary.missing, summary.interrupted) == (1, 2, True)
    assert engine.ended
    assert store(tmp_path).keys() == [tasks[0].key]


def test__run__disk_full__ends_with_the_file_named(
    task: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more fits for rows that cannot be kept."""
    monkeypatch.setattr("os.fsync", _full)
    engine = Instant()
    with pytest.raises(OSError, match=r"cannot write.*\.json"):
        run([task("Fast"), task("Fast", seed=2)], store(tmp_path), engine)
    assert engine.ended


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- on the screen -----------------------------------------------------------------------------


def test__progress__no_terminal__plain_lines(task: Tasks, tmp_path: Path) -> None:
    """Failures are named when they happen, the state is a line now and then."""
    out = StringIO()
    with BenchProgress(Console(file=out, width=200), interval=0.0) as progress:
        run([task("Fast"), task("Raises")], store(tmp_path), Instant(), progress=progress)
    lines = out.getvalue().splitlines()
    assert f"error: line, misbehaving:Raises, seed {SEEDS[0]}, noise 0: made up" in lines
    assert lines[-1] == "1/2 done, 1 failed, best so far: Fast 1/1 above .99"
    assert any("0 running, ETA 0:00:00" in line for line in lines)


def test__progress__terminal__live_view(task: Tasks, tmp_path: Path) -> None:
    """A bar, the state and the last result, redrawn in place."""
    out = StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with BenchProgress(console) as progress:
        run([task("Fast")], store(tmp_path), Instant(), progress=progress)
    assert "R² 0.9950" in out.getvalue()


def test__summary_table__rows__one_line_per_method(task: Tasks, tmp_path: Path) -> None:
    """Failed fits count in the shares, not in the medians."""
    tasks = [task("Fast", seed=1), task("Fast", seed=2), task("Raises")]
    run(tasks, store(tmp_path), Instant())
    console = Console(file=StringIO(), width=120)
    console.print(summary_table(store(tmp_path).frame()))
    words = [line.split() for line in console.file.getvalue().splitlines()]
    assert words[1] == ["Fast", "2", "0", "-", "100.0%", "0.0%", "7", "2.0"]
    assert words[2] == ["Raises", "1", "1", "-", "0.0%", "0.0%", "-", "-"]
    frame = store(tmp_path).frame()
    frame.loc[frame["method"].str.endswith("Fast"), "recovered"] = [True, False]
    console = Console(file=StringIO(), width=120)
    console.print(summary_table(frame))  # there is a law, and a failure has not recovered it
    shares = [line.split()[3] for line in console.file.getvalue().splitlines()[1:]]
    assert shares == ["50.0%", "0.0%"]


# -- equate bench ------------------------------------------------------------------------------


def equate_bench(task: Task, *words: object) -> Result:
    """The command on the table of a task."""
    return CliRunner().invoke(app, ["bench", task.suite, *map(str, words)])


def test__bench__then_resume__same_rows(task: Tasks, tmp_path: Path) -> None:
    """The whole way: processes, rows, table; an old folder is used only when asked for."""
    out = tmp_path / "out"
    words = ["--methods", "misbehaving:Fast,misbehaving:Raises", "--seeds", 2, "--out", out]
    words += ["--noise", "0,.1", "--max-time", 2, "--jobs", 2]
    first = equate_bench(task("Fast"), *words)
    assert first.exit_code == 0, first.output
    assert "4 done and 4 failed" in first.stdout
    assert "RuntimeError: no fit today" in first.stderr
    assert len(RowStore(out).keys("ok")) == 4

    again = equate_bench(task("Fast"), *words)
    assert again.exit_code == 2
    assert "add --resume" in again.stderr

    more = equate_bench(task("Fast"), *words, "--resume")
    assert more.exit_code == 0, more.output
    assert "0 done and 4 failed" in more.stdout
    assert "4 existed before" in more.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "equat"], "did you mean 'equate'"),
        (["--methods", ","], "no method is given"),
        (["--seeds", "0"], "--seeds 0: give a number from 1 to 10"),
        (["--every", "0"], "--every 0"),
        (["--noise", "some"], "--noise 'some'"),
        (["--noise", "-1"], "noise"),
        (["--memory", "0"], "--memory"),
        (["--engine", "grid"], "unknown engine 'grid'"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--device", "cuda:0,0"], "unknown device 'cuda:0,0'"),
        (["--device", "cuda:0,1", "--jobs", "3"], "one worker per device"),
        (["--engine", "slurm", "--slurm", "partition"], "KEY=VALUE"),
        (["--memory", "inf"], "--memory"),
        (["--noise", "-1"], "--noise -1.0: Input should be greater"),
        (["--max-time", "0"], "--max-time 0.0: Input should be greater"),
        (["--max-train", "1"], "--max-train 1: Input should be greater"),
    ],
)
def test__bench__bad_option__one_line(
    task: Tasks, tmp_path: Path, words: list[str], message: str
) -> None:
    """What a user can mend is said in one line, before any fit."""
    result = equate_bench(task("Fast"), "--out", tmp_path / "out", *words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test__bench__table_without_target__one_line_before_any_fit(tmp_path: Path) -> None:
    """A table of one's own is read before the fits, and the way out is named."""
    table = tmp_path / "mine.csv"
    table.write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["bench", str(table), "--out", str(out)])
    assert result.exit_code == 2
    assert "no column 'target'" in result.stderr
    assert "#COLUMN" in result.stderr
    assert not out.exists()


def test__bench__unknown_suite__one_line(tmp_path: Path) -> None:
    """A name that is no suite, folder or file."""
    result = CliRunner().invoke(app, ["bench", "feynmann", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "feynman" in result.stderr


def test__bench__missing_environment__made_before_any_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival that was asked for is installed; if that fails, nothing runs."""
    asked = []

    def fail(name: str, **_: object) -> None:
        asked.append(name)
        raise environments.InstallError(f"pip could not install {name}")

    monkeypatch.setenv("EQUATE_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setattr(environments, "install", fail)
    out = tmp_path / "out"
    words = ["bench", "quick", "--methods", "linear,itea,gplearn", "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "leave itea out" in result.stderr
    assert asked == ["itea"]
    assert not out.exists()


def test__bench__ctrl_c__rows_kept_exit_code_130(
    task: Tasks, tmp_path: Path, fits: Callable[[], list[int]], until: Callable[..., None]
) -> None:
    """Finished rows stay, running fits end, and the way to go on is printed."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from equate_srbench.cli.main import main; main()", "bench"]
    command += [task("Fast").suite, "--methods", "misbehaving:Fast,misbehaving:Hangs"]
    command += ["--jobs", "1", "--out", str(out)]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True,
        # a test run in the background of a shell hands on that Ctrl-C is to be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        until(lambda: len(fits()) == 2, 120)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=120)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 130
    assert "stopped with 1 fits to go" in said
    assert "--resume" in said
    assert len(RowStore(out).keys("ok")) == 1
    assert fits() == []

"""A fit may do what it wants: there is a row, and nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from equate_srbench.bench.execution import isolate
from equate_srbench.bench.execution.fork_server import GONE_WITHIN, MAX_PROCESSES
from equate_srbench.bench.execution.isolate import GIB, run_isolated
from equate_srbench.bench.rows import RowStore
from equate_srbench.bench.task import Task

Tasks = Callable[..., Task]
Alive = Callable[[], list[int]]
Until = Callable[..., None]


def running(process: psutil.Process) -> bool:
    """Whether it is there, and not merely unburied."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def my_processes() -> list[psutil.Process]:
    """Fork servers, watchers and fits of this process."""
    return psutil.Process().children(recursive=True)


def test__run_isolated__fit_that_works__its_row(task: Tasks, tmp_path: Path) -> None:
    """An ordinary fit gives the row that the protocol makes."""
    row = run_isolated(task("Fast", seed=7))
    assert (row["status"], row["seed"], row["n_train"]) == ("ok", 7, 30)
    RowStore(tmp_path / "run").write(row)


@pytest.mark.parametrize(
    ("method", "status", "error"),
    [
        ("Raises", "error", "RuntimeError: no fit today (misbehaving.py:"),
        ("Exits", "crash", "exit(3)"),
        ("Vanishes", "crash", "without a result, exit code 0; it printed: last words"),
        ("Segfaults", "crash", "SIGSEGV"),
        ("KillsItself", "killed", "SIGKILL"),
        ("NoSuchClass", "error", "NoSuchClass"),
    ],
)
def test__run_isolated__fit_that_dies__row_with_reason(
    task: Tasks, tmp_path: Path, method: str, status: str, error: str
) -> None:
    """However a fit ends, there is a valid row that says how."""
    row = run_isolated(task(method))
    assert row["status"] == status
    assert error in row["error"]
    RowStore(tmp_path / "run").write(row)


def test__run_isolated__segfault__says_where(task: Tasks) -> None:
    """The place in Python is what one needs to report a crash of a rival."""
    assert "in fit" in run_isolated(task("Segfaults"))["error"]


@pytest.mark.parametrize(("method", "limit"), [("Wants50GB", 4 * GIB), ("Grows", GIB)])
def test__run_isolated__too_much_memory__killed(task: Tasks, method: str, limit: int) -> None:
    """At once or bit by bit: the system refuses, or the watcher ends it."""
    row = run_isolated(task(method), memory_limit=limit)
    assert row["status"] == "killed"
    assert "memory" in row["error"]


def test__run_isolated__hangs__timeout_and_nothing_left(task: Tasks, fits: Alive) -> None:
    """Ignoring SIGTERM and detached processes do not help."""
    # the fork server was started by an earlier test, without the variable
    start = time.monotonic()
    row = run_isolated(task("Hangs"), time_limit=1.0, env={"FITS": os.environ["FITS"]})
    assert row["status"] == "timeout"
    assert "1 s" in row["error"]
    assert len(list(Path(os.environ["FITS"]).iterdir())) == 2
    assert fits() == []
    assert time.monotonic() - start < 60


def test__run_isolated__leaves_a_process__gone_with_the_row(task: Tasks, fits: Alive) -> None:
    """A fit that worked may not slow down the next one either."""
    row = run_isolated(task("LeavesChild"), env={"FITS": os.environ["FITS"]})
    assert row["status"] == "ok"
    assert fits() == []


def test__run_isolated__swarm__killed_to_the_last(task: Tasks, fits: Alive) -> None:
    """Processes without end, each in a session of its own."""
    row = run_isolated(task("Swarms"), time_limit=100.0, env={"FITS": os.environ["FITS"]})
    assert row["status"] == "killed"
    assert f"limit {MAX_PROCESSES}" in row["error"]
    assert len(list(Path(os.environ["FITS"]).iterdir())) > MAX_PROCESSES / 2
    assert fits() == []


def test__run_isolated__fork_server_killed__next_fit_has_a_new_one(task: Tasks) -> None:
    """Nothing in between needs to know."""
    run_isolated(task("Fast"))
    for process in my_processes():
        process.kill()
    assert run_isolated(task("Fast"))["status"] == "ok"


def test__run_isolated__watcher_killed__row_and_nothing_left(
    task: Tasks, fits: Alive, until: Until
) -> None:
    """The fit ends with the process that watches it."""
    rows: list[dict] = []
    env = {"FITS": os.environ["FITS"]}
    thread = threading.Thread(target=lambda: rows.append(run_isolated(task("Hangs"), env=env)))
    thread.start()
    until(lambda: len(fits()) == 2)
    fit = next(p for p in map(psutil.Process, fits()) if p.name() != "sleep")
    fit.parent().kill()
    thread.join(timeout=30)
    assert rows[0]["status"] == "killed"
    until(lambda: fit.pid not in fits())  # the row tells of the watcher's death, not of the fit's
    for pid in fits():  # a process that left the session of its dead watcher is nobody's
        os.kill(pid, signal.SIGKILL)


def test__stop__from_another_thread__fits_end(task: Tasks, fits: Alive, until: Until) -> None:
    """What Ctrl-C uses: every fit ends now, and gives a row to whoever waits."""
    env = {"FITS": os.environ["FITS"]}
    with ThreadPoolExecutor(2) as pool:
        rows = [pool.submit(run_isolated, task("Hangs", seed=s), env=env) for s in (1, 2)]
        until(lambda: len(fits()) == 4)
        isolate.stop()
        assert [r.result(30)["status"] for r in rows] == ["killed", "killed"]
    assert fits() == []


def test__run_isolated__four_threads__four_processes(task: Tasks, fits: Alive) -> None:
    """Every fit has a process of its own, and its own environment."""
    env = {"FITS": os.environ["FITS"]}
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(run_isolated, task("Fast", seed=s), env=env) for s in range(4)]
        rows = [job.result() for job in jobs]
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert len(list(Path(os.environ["FITS"]).iterdir())) == 4


def test__runner_killed__fits_and_fork_server_gone(
    task: Tasks, tmp_path: Path, fits: Alive, until: Until
) -> None:
    """``kill -9`` of the process that asked for a fit ends all of it within 5 seconds."""
    script = (
        "from equate_srbench.bench.execution.isolate import run_isolated\n"
        "from equate_srbench.bench.task import Task\n"
        f"run_isolated(Task.from_dict({task('Hangs').to_dict()!r}))\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: len(fits()) == 2, 120)
    family = psutil.Process(runner.pid).children(recursive=True)
    assert len(family) >= 3
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not any(map(running, family)) and fits() == [], GONE_WITHIN)

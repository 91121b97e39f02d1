"""What the tests of the runner share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from equate_srbench.bench.execution import isolate
from equate_srbench.bench.task import Task

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def methods_here() -> Iterator[None]:
    """Processes started from here can import the estimators that stand beside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        patch.setenv("PYTHONPATH", path)
        isolate.stop()
        yield
        isolate.stop()


@pytest.fixture
def task(methods_here: None, tmp_path: Path) -> Callable[..., Task]:
    """``task("Fast", seed=1)``: a fit of an estimator of ``misbehaving`` on a small table."""
    table = tmp_path / "line.csv"
    rows = "".join(f"{i},{2 * i + 1}\n" for i in range(40))
    table.write_text(f"x,target\n{rows}", encoding="utf-8")

    def make(method: str, **values: object) -> Task:
        return Task(str(table), "line", f"misbehaving:{method}", **{"max_time": 1.0, **values})

    return make


@pytest.fixture
def fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Processes that fits have noted and that are still there."""
    folder = tmp_path / "fits"
    folder.mkdir()
    monkeypatch.setenv("FITS", str(folder))

    def alive() -> list[int]:
        return [int(p.name) for p in folder.iterdir() if running(int(p.name))]

    return alive


def running(pid: int) -> bool:
    """Whether there is such a process, and it is not merely unburied."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(condition, seconds)``: wait for it, or fail."""

    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s"
            time.sleep(0.02)

    return wait

"""Engines carry calls to wherever fits run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from equate_srbench.bench.execution import isolate
from equate_srbench.bench.execution.engines import (
    EngineError,
    LocalEngine,
    make_engine,
    parse_devices,
    run_calls,
)
from equate_srbench.bench.execution.run import run
from equate_srbench.bench.rows import RowStore
from equate_srbench.bench.task import Task

Tasks = Callable[..., Task]
Until = Callable[..., None]


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("cpu", ("",)),
        ("auto", None),
        ("cuda", ("0",)),
        ("cuda:1", ("1",)),
        ("cuda:0,2", ("0", "2")),
    ],
)
def test__parse_devices__known__what_workers_see(text: str, devices: tuple | None) -> None:
    """One entry per worker."""
    assert parse_devices(text) == devices


@pytest.mark.parametrize("text", ["", "tpu", "cuda:", "cuda:x", "cuda:0,0", "cpu:1", "auto:0"])
def test__parse_devices__unknown__says_what_there_is(text: str) -> None:
    """Also for a device named twice: two workers would share it."""
    with pytest.raises(EngineError, match=r"use cpu, auto, cuda, or e\.g\. cuda:0,1"):
        parse_devices(text)


def test__make_engine__unknown_name__says_what_there_is() -> None:
    """The known ones are named."""
    with pytest.raises(EngineError, match="local, dask, slurm"):
        make_engine("grid")


def test__make_engine__no_jobs__refused() -> None:
    """At least one fit at a time."""
    with pytest.raises(EngineError, match="0 jobs"):
        make_engine("local", jobs=0)


def test__local__two_devices__one_worker_each(task: Tasks, tmp_path: Path) -> None:
    """Every fit sees the device of its worker and no other."""
    store = RowStore(tmp_path / "run")
    tasks = [task("TellsDevice", seed=s, settings={"seconds": 0.3}) for s in range(4)]
    with LocalEngine(2, ("0", "3")) as engine:
        run(tasks, store, engine)
    seen = {re.search(r"sees '(.*?)'", row["error"]).group(1) for row in store}  # type: ignore[union-attr]
    assert seen == {"0", "3"}


def test__local__cpu__gpus_hidden(task: Tasks, tmp_path: Path) -> None:
    """Comparisons on CPU are on CPU, whatever a method would choose by itself."""
    store = RowStore(tmp_path / "run")
    with make_engine("local") as engine:
        run([task("TellsDevice")], store, engine)
    assert "sees ''" in next(iter(store))["error"]


# -- SLURM -------------------------------------------------------------------------------------


def test__run_calls__one_raises__the_others_count() -> None:
    """A job goes on after a call that fails."""
    good, bad, last = run_calls([(int, ("1",)), (int, ("x",)), (int, ("3",))])
    assert (good, last) == ((1, None), (3, None))
    assert isinstance(bad[1], ValueError)


def test__slurm__no_sbatch__clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no SLURM, that is what is said."""
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="sbatch was not found"):
        make_engine("slurm", folder=tmp_path)


def test__slurm__refused_jobs__end_the_run_with_the_reason(
    task: Tasks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A partition that is not there ends the run; nothing waits for jobs that will never be."""
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    for name in ("sbatch", "srun"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'invalid partition specified' >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    engine = make_engine("slurm", folder=tmp_path / "jobs")
    with pytest.raises(EngineError, match=r"SLURM rejects the jobs: .*invalid partition"):
        run([task("Fast", seed=s) for s in range(3)], RowStore(tmp_path / "run"), engine)


def test__slurm__submitit_local__jobs_write_their_rows(task: Tasks, tmp_path: Path) -> None:
    """Jobs of several fits each, on submitit's stand-in for SLURM."""
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    store = RowStore(tmp_path / "run")
    tasks = [task("Fast", seed=s) for s in range(3)] + [task("Raises")]
    with make_engine("slurm", jobs=2, cluster="local", folder=tmp_path / "jobs") as engine:
        summary = run(tasks, store, engine)
    assert (summary.done, summary.failed) == (3, 1)
    assert len(store.keys()) == 4
    assert len(list((tmp_path / "jobs").glob("*/*result.pkl"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))),
    reason="needs Debian's slurm-wlm and munge",
)
def test__slurm__real_node__all_rows(task: Tasks, tmp_path: Path) -> None:
    """A real SLURM of one node, started for this test."""
    script = Path(__file__).with_name("one_node_slurm.sh")
    subprocess.run([script, "start", tmp_path / "slurm"], check=True, timeout=60)
    try:
        store = RowStore(tmp_path / "run")
        tasks = [task("Fast", seed=s) for s in range(6)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(tmp_path / "slurm" / "slurm.conf"))
            with make_engine("slurm", jobs=2, folder=tmp_path / "jobs") as engine:
                assert run(tasks, store, engine).done == 6
    finally:
        subprocess.run([script, "stop", tmp_path / "slurm"], check=True, timeout=60)


# -- Dask --------------------------------------------------------------------------------------


@contextmanager
def dask_processes(until: Until) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and two workers, processes of their own that talk TCP on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--port", address.rpartition(":")[2], "--no-dashboard"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    commands = [[*scheduler, "--host", "127.0.0.1"], worker, worker]
    started = [subprocess.Popen(command, **quiet) for command in commands]
    try:
        yield address, started[1:]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


@pytest.mark.slow
def test__dask__worker_killed__all_rows(
    task: Tasks, tmp_path: Path, fits: Callable[[], list[int]], until: Until
) -> None:
    """A scheduler and two workers over TCP; one dies in the middle of a fit."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    store = RowStore(tmp_path / "run")
    tasks = [task("Fast", seed=s, settings={"seconds": 0.5}) for s in range(16)]

    class KillsOne:
        """Kills a worker after the fourth row."""

        def begin(self, total, kept, running):
            self.rows = 0

        def row(self, row):
            self.rows += 1
            if self.rows == 4:
                workers[0].kill()

    with dask_processes(until) as (address, workers):
        with distributed.Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=120)
        with make_engine("dask", address=address) as engine:
            summary = run(tasks, store, engine, progress=KillsOne())
            assert workers[0].wait(10) == -9
    assert (summary.done, summary.failed) == (16, 0)
    assert len(store.keys("ok")) == 16
    assert fits() == []


@pytest.mark.slow
def test__dask__cluster_of_its_own__devices_and_rows(task: Tasks, tmp_path: Path) -> None:
    """Without an address workers are started here, one per device, and end with the engine."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    store = RowStore(tmp_path / "run")
    tasks = [task("TellsDevice", seed=s, settings={"seconds": 1.0}) for s in range(6)]
    isolate.stop()
    with make_engine("dask", jobs=2, devices=("1", "5")) as engine:
        run(tasks, store, engine)
    errors = " ".join(row["error"] for row in store)
    assert "sees '1'" in errors
    assert "sees '5'" in errors
    left = [" ".join(p.cmdline()) for p in psutil.Process(os.getpid()).children(recursive=True)]
    assert [line for line in left if "resource_tracker" not in line] == []  # multiprocessing's own


def test__dask__no_scheduler__clear_error() -> None:
    """An address where nobody answers."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    with pytest.raises(EngineError, match=r"no scheduler answers at 'tcp://127.0.0.1:9'"):
        make_engine("dask", address="tcp://127.0.0.1:9")

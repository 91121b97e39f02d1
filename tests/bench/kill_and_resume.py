"""Kill a benchmark again and again, resume it, and look whether a row was lost.

Run it as ``python tests/bench/kill_and_resume.py --kills 20``: 40 fits on two workers; at random
moments the runner, the process that fits are forked from, the process that watches a fit, a fit, or
everything at once gets SIGKILL. After every death of the runner all its processes must be gone
within 5 seconds, and a finished row must be there, unchanged, at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from equate_srbench.bench.execution.fork_server import GONE_WITHIN
from equate_srbench.bench.rows import RowStore

HERE = Path(__file__).parent
TARGETS = ("runner", "fork server", "watcher", "fit", "everything")
N_TABLES, N_SEEDS, JOBS = 4, 10, 2
FITS = N_TABLES * N_SEEDS
MOST_SECONDS = 1200.0


@dataclass
class Campaign:
    """A run that does not get to live long.

    Parameters
    ----------
    folder : Path
        For the tables and the rows.
    kills : int
    seed : int
        Of the moments and targets.
    """

    folder: Path
    kills: int
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    _finished: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._end = time.monotonic() + MOST_SECONDS
        self._tables, self._notes = self.folder / "tables", self.folder / "fits"
        self._store = RowStore(self.folder / "run")
        self._tables.mkdir()
        self._notes.mkdir()
        for i in range(N_TABLES):
            rows = "".join(f"{j},{j * i}\n" for j in range(40))
            (self._tables / f"t{i}.csv").write_text(f"x,target\n{rows}", encoding="utf-8")

    def fight(self) -> None:
        """Start, kill, resume, until all rows are there; AssertionError for a broken promise."""
        while len(self._store.keys("ok")) < FITS:
            runner = self._start()
            while runner.poll() is None:
                assert time.monotonic() < self._end, "no end"
                if self.killed.total() < self.kills:
                    self._wait_for_moment(runner)
                    self._kill_something(runner)
                else:
                    time.sleep(0.1)
            self._check_rows()

    def report(self) -> str:
        """What happened, in one line."""
        kills = ", ".join(f"{name} {n}" for name, n in sorted(self.killed.items()))
        begun = len(list(self._notes.iterdir()))
        return (
            f"{len(self._store.keys('ok'))} of {FITS} rows, {self.killed.total()} kills ({kills}), "
            f"{self.starts} starts, {begun} fits begun, {len(self._store.quarantined())} corrupt"
        )

    def check(self) -> None:
        """Every promise, at the end."""
        self._check_rows()
        rows = list(self._store)
        assert len(rows) == FITS
        assert {row["status"] for row in rows} == {"ok"}
        assert len({(row["dataset"], row["seed"]) for row in rows}) == FITS
        assert self._store.quarantined() == {}
        assert list(self._store.rows.glob(".*")) == [] or self.kills > 0  # of writers that died
        begun = len(list(self._notes.iterdir()))
        assert begun <= FITS + JOBS * self.kills, f"{begun} fits for {FITS} rows"

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "FITS": str(self._notes), "PYTHONPATH": os.pathsep.join(paths)}
        command = "from equate_srbench.cli.main import main; main()"
        words = ["bench", self._tables, "--methods", "misbehaving:Brief", "--seeds", N_SEEDS]
        words += ["--jobs", JOBS, "--resume", "--out", self._store.folder]
        with open(self.folder / "log.txt", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", command, *map(str, words)], env=env, stdout=log, stderr=log
            )

    def _wait_for_moment(self, runner: subprocess.Popen[bytes]) -> None:
        """Some rows further, or at any time of the start."""
        per_kill = 2 * FITS / max(self.kills, 1)
        rows = len(self._finished) + self._random.randint(0, max(1, round(per_kill)))
        while runner.poll() is None and len(list(self._store.rows.glob("*.json"))) < rows:
            if self._random.random() < 0.002:
                break
            time.sleep(0.01)
        time.sleep(self._random.uniform(0, 0.3))

    def _kill_something(self, runner: subprocess.Popen[bytes]) -> None:
        self._check_rows()
        if runner.poll() is not None:
            return
        target = self._random.choice(TARGETS)
        victims: list[psutil.Process] = []
        while not victims and runner.poll() is None:  # a fit may be between two
            family = psutil.Process(runner.pid).children(recursive=True)
            victims = self._victims(runner.pid, target, family)
        if not victims:
            return
        self.killed[target] += 1
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        if target in ("runner", "everything"):
            runner.wait()
            end = time.monotonic() + GONE_WITHIN
            while left := [p for p in family if _runs(p)]:
                assert time.monotonic() < end, f"there after {target} was killed: {_about(left)}"
                time.sleep(0.05)

    def _victims(
        self, runner: int, target: str, family: list[psutil.Process]
    ) -> list[psutil.Process]:
        if target == "runner":
            return [psutil.Process(runner)]
        if target == "everything":
            return [psutil.Process(runner), *family]
        depth = {"fork server": 1, "watcher": 2, "fit": 3}[target]
        there = [p for p in family if _depth(p, runner) == depth]
        return [self._random.choice(there)] if there else []

    def _check_rows(self) -> None:
        """Rows that had finished are there as they were; new ones are valid."""
        for key, content in self._finished.items():
            assert self._store.path(key).read_bytes() == content, f"{key} changed"
        for key in self._store.keys("ok"):
            self._finished.setdefault(key, self._store.path(key).read_bytes())


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _about(processes: list[psutil.Process]) -> list[str]:
    facts = ("pid", "ppid", "status", "create_time", "cpu_times", "cmdline")
    return [f"{process.as_dict(facts)} at {time.time():.1f}" for process in processes]


def _depth(process: psutil.Process, root: int) -> int | None:
    """Generations below ``root``; None if it is gone."""
    with suppress(psutil.NoSuchProcess):
        line = [parent.pid for parent in process.parents()]
        return line.index(root) + 1 if root in line else None
    return None


def main() -> None:
    """Entry point."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--seed", type=int, default=0)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), chosen.kills, chosen.seed)
        try:
            campaign.fight()
            campaign.check()
        finally:
            print(campaign.report(), flush=True)


if __name__ == "__main__":
    main()

"""Laws recovered by the families, and by edits in the same time, on one core.

Run: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/families.py [--laws 40]``

A law is recovered if the formula of least description length holds on ranges half as wide again,
to a relative error of 1e-6. ``EditSearch`` gets the wall-clock time that the families took on that
law.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from equate_srbench.edits.edit_search import EditSearch
from equate_srbench.problem.archive import Archive
from equate_srbench.refine import warm_up
from equate_srbench.runtime.clock import Deadline

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "families"))

from drawn_laws import KINDS, Drawn, holds, searched  # noqa: E402 - laws are those of the tests


def stamp(args: argparse.Namespace) -> str:
    """Commit, machine, date and what is drawn, for the head of the output."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"commit {commit or 'unknown'}, {platform.machine()}, load {os.getloadavg()[0]:.1f}, "
        f"NumPy {np.__version__}, {datetime.now(UTC):%Y-%m-%d}; {args.laws} laws of each kind, "
        f"{args.rows} rows, noise {args.noise:g}, seed {args.seed}"
    )


def edited(drawn: Drawn, X: np.ndarray, y: np.ndarray, seconds: float) -> Archive:
    """An archive after an edit search of ``seconds``."""
    archive = Archive(X, y, deadline=Deadline(seconds))
    columns = list(range(X.shape[1]))
    EditSearch(archive, columns, rng=np.random.default_rng(0)).run(archive.deadline)
    return archive


def compare(kind: str, args: argparse.Namespace) -> str:
    """One line of the table."""
    ours = theirs = 0
    wall, cpu = [], []
    for law in range(args.laws):
        rng = np.random.default_rng([args.seed + law, list(KINDS).index(kind)])
        drawn = KINDS[kind](rng)
        starts = time.perf_counter(), time.process_time()
        archive = searched(drawn, rng, n=args.rows, noise=args.noise)
        wall.append(time.perf_counter() - starts[0])
        cpu.append(time.process_time() - starts[1])
        ours += holds(archive, drawn, rng, args.limit)
        theirs += holds(edited(drawn, archive.X, archive.y, wall[-1]), drawn, rng, args.limit)
    ratio = f"{ours / theirs:.1f} x" if theirs else "none to divide by"
    return (
        f"{kind:<12}{ours / args.laws:>9.1%}{theirs / args.laws:>9.1%}  {ratio:<18}"
        f"{statistics.median(wall):>8.3f}{statistics.median(cpu):>8.3f}{max(cpu):>8.3f}"
    )


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--laws", type=int, default=40)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.0, help="share of the target's deviation")
    parser.add_argument("--limit", type=float, default=1e-6, help="relative error of a recovery")
    args = parser.parse_args()
    warm_up()
    print(stamp(args))
    X = np.random.default_rng(0).uniform(1.0, 2.0, (50, 2))
    edited(Drawn(lambda X: X[:, 0], X[0], X[1]), X, np.tan(X[:, 0]), 1.0)  # compiles
    print("recovered:    families    edits  ratio              s wall   s CPU  longest CPU")
    for kind in KINDS:
        print(compare(kind, args), flush=True)


if __name__ == "__main__":
    main()

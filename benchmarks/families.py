"""Laws recovered by the families: shares, processor time, noise, and what unsolved tables cost.

Run: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/families.py [--laws 25] [--kinds power]``

A law is recovered if the formula of least description length holds on ranges half as wide again,
to a relative error of 1e-6; under noise, once its constants are fitted to rows without noise.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from equate_srbench.families.family_search import FamilySearch
from equate_srbench.problem.archive import Archive
from equate_srbench.refine import warm_up
from equate_srbench.runtime.clock import Deadline

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "families"))

from drawn_laws import KINDS, has_the_terms, holds, searched  # noqa: E402 - those of the tests


def stamp(args: argparse.Namespace) -> str:
    """Commit, machine, date and what is drawn, for the head of the output."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"commit {commit or 'unknown'}, {platform.machine()}, load {os.getloadavg()[0]:.1f}, "
        f"NumPy {np.__version__}, {datetime.now(UTC):%Y-%m-%d}; {args.laws} laws of each kind, "
        f"{args.rows} rows, seed {args.seed}"
    )


def drawn_laws(kind: str, args: argparse.Namespace, noise: float) -> tuple[float, list[float]]:
    """Share of the laws that are recovered, and processor seconds of each."""
    found, seconds = 0, []
    for law in range(args.laws):
        rng = np.random.default_rng([args.seed + law, list(KINDS).index(kind)])
        drawn = KINDS[kind](rng)
        began = time.process_time()
        archive = searched(drawn, rng, n=args.rows, noise=noise)
        seconds.append(time.process_time() - began)
        found += (has_the_terms if noise else holds)(archive, drawn, rng)
    return found / args.laws, seconds


def unsolved(k: int, n: int, noise: float) -> float:
    """Processor seconds on a table of ``k`` columns that no family solves."""
    rng = np.random.default_rng(k)
    X = rng.uniform(0.5, 2.0, (n, k))
    y = np.sqrt(1.0 + X[:, 0] ** np.sin(3.0 * X[:, -1])) + np.log(X[:, 0] + np.exp(X[:, k // 2]))
    y = y + noise * rng.normal(size=n)
    archive = Archive(X, y, deadline=Deadline(60.0))
    began = time.process_time()
    FamilySearch(archive, list(range(k)), rng=np.random.default_rng(0)).run(archive.deadline)
    return time.process_time() - began


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--laws", type=int, default=25)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    args = parser.parse_args()
    warm_up()
    print(stamp(args))
    print(f"{'':<13}recovered  median s   p90 s  noise .01")
    for kind in args.kinds:
        share, seconds = drawn_laws(kind, args, 0.0)
        noisy, _ = drawn_laws(kind, args, 0.01)
        print(f"{kind:<13}{share:>9.1%}{np.median(seconds):>10.3f}"
              f"{np.quantile(seconds, 0.9):>8.3f}{noisy:>11.1%}", flush=True)  # fmt: skip
    for noise in (0.0, 0.05):
        cost = [unsolved(k, args.rows, noise) for k in (1, 2, 4, 10)]
        print(f"unsolved table, noise {noise:g}, 1, 2, 4 and 10 columns: "
              + " ".join(f"{c:.3f}" for c in cost) + " s")  # fmt: skip


if __name__ == "__main__":
    main()

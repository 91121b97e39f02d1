"""Formulas that a fit's edit search looks at and refines per second, against another commit.

    python benchmarks/search.py                       # the working tree against a787dbc
    python benchmarks/search.py --before HEAD~1 --seconds 10 --seeds 3

Each seed draws a hard law: a sum of three products of three wavy or rational factors, 1000 rows and
1 % noise, so that nothing is exact and populations end at 20 to 30 nodes with several constants.
The same tables go to both commits, each in a child process of its own, in turn. Per second of
processor time: formulas looked at (on some rows), formulas refined (on all search rows), and the
share of the time outside of compiled code, that is outside of the kernels and of the library's
matrix products. The working tree also runs with two threads: per second of wall-clock time, which
says something on a quiet machine only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLUMNS, NOISE = 1000, 4, 0.01
#: Where the child finds what it needs; the newest place first.
PLACES = {
    "Deadline": ("runtime.clock", "clock"),
    "Archive": ("problem.archive", "equate.archive"),
    "EditSearch": ("edits.edit_search", "equate.edits"),
    "Library": ("edits.library", "equate.library"),
}
#: Compiled functions by module, of any commit; of the library, those that are matrix products.
KERNELS = {
    "refine.kernel": ("_run_programs", "run"),
    "edits.breeding": ("breed",),
    "edits.population": ("_settle",),
    "edits.inversion_loops": ("propagate",),
}
PRODUCTS = ("match", "pairs", "sums")


def law(seed: int) -> tuple[Array, Array]:
    """Columns (rows, columns) and target of a drawn law."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.3, 3.0, (ROWS, COLUMNS))
    y = np.zeros(ROWS)
    for _ in range(3):
        term = np.full(ROWS, rng.uniform(0.5, 2.0))
        for j in rng.permutation(COLUMNS)[:3]:
            w, shift = rng.uniform(0.7, 2.5), rng.uniform(0.3, 2.0)
            factor = rng.integers(3)
            term *= (np.sin(w * X[:, j] + shift), 1.0 / (shift + X[:, j] ** 2),
                     (w + X[:, j]) / (shift + X[:, j]))[factor]  # fmt: skip
        y += term
    return X, y + NOISE * y.std() * rng.standard_normal(ROWS)


# -- in the child: one commit ---------------------------------------------------------------------


def found(name: str) -> Any:
    """What the package calls ``name``, from the first of its places that there is."""
    for place in PLACES[name]:
        with contextlib.suppress(ModuleNotFoundError):
            return getattr(importlib.import_module(f"equate_srbench.{place}"), name)
    raise SystemExit(f"no {name} in {' or '.join(PLACES[name])}: add its new place to PLACES")


class Meter:
    """Processor time inside of compiled functions, and what the fits of constants were given."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.formulas = self.nodes = self.constants = 0
        self._lock = threading.Lock()
        for place, names in KERNELS.items():
            with contextlib.suppress(ModuleNotFoundError):
                module = importlib.import_module(f"equate_srbench.{place}")
                name = next(name for name in names if hasattr(module, name))
                setattr(module, name, self._timed(getattr(module, name), place == "refine.kernel"))
        library = found("Library")
        for name in PRODUCTS:
            setattr(library, name, self._timed(getattr(library, name)))

    def _timed(self, function: Callable[..., Any], is_fit: bool = False) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            begun = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                spent = time.thread_time() - begun
                with self._lock:
                    self.seconds += spent
                    if is_fit:
                        code_at, constant_at, begin, end = args[3], args[5], args[6], args[7]
                        self.formulas += end - begin
                        self.nodes += int(code_at[end] - code_at[begin])
                        self.constants += int(constant_at[end] - constant_at[begin])

        return timed


def child(seed: int, seconds: float, n_jobs: int) -> None:
    """Run one fit's edit search and print its counts as JSON."""
    X, y = law(seed)
    options = {"n_jobs": n_jobs} if n_jobs > 1 else {}
    importlib.import_module("equate_srbench.refine").warm_up()
    meter, deadline_of = Meter(), found("Deadline")
    clock = time.monotonic if n_jobs > 1 else time.process_time
    deadline = deadline_of(seconds, clock=clock)
    archive = found("Archive")(X, y, deadline=deadline)
    search = found("EditSearch")(
        archive, list(range(COLUMNS)), rng=np.random.default_rng(seed), **options
    )
    begun, wall = time.process_time(), time.monotonic()
    search.run(deadline)
    tried = sum(getattr(i, "looked", 0) or i.tried for i in search.islands)
    refined = sum(getattr(i, "refined", 0) or i.tried for i in search.islands)
    print(json.dumps({
        "looked": tried, "refined": refined, "seconds": time.process_time() - begun,
        "wall": time.monotonic() - wall, "compiled": meter.seconds, "error": archive.error,
        "nodes": meter.nodes / meter.formulas, "constants": meter.constants / meter.formulas,
        "islands": len(search.islands),
    }))  # fmt: skip


# -- in the parent --------------------------------------------------------------------------------


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A folder with the commit's files, for a while."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "tree").resolve()
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(folder), commit], check=True,
                       capture_output=True)  # fmt: skip
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def measured(folder: Path, seed: int, seconds: float, n_jobs: int = 1) -> dict[str, float]:
    """Counts of one fit with the package in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    words = [sys.executable, __file__, "--child", str(seed), str(seconds), str(n_jobs)]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def line(label: str, rows: list[dict[str, float]], clock: str) -> dict[str, float]:
    """Print the sums of some fits; return what is compared."""
    spent = sum(row[clock] for row in rows)
    looked, refined = (sum(row[key] for row in rows) / spent for key in ("looked", "refined"))
    outside = 1.0 - sum(r["compiled"] for r in rows) / sum(r["seconds"] for r in rows)
    sizes = [float(np.mean([r[key] for r in rows])) for key in ("nodes", "constants", "islands")]
    print(
        f"{label:22} {looked:8.0f} looked at /s {refined:8.0f} refined /s  "
        f"{outside:5.1%} outside of compiled code, {sizes[0]:.1f} nodes, {sizes[1]:.1f} constants, "
        f"{sizes[2]:.1f} islands, unexplained {np.median([r['error'] for r in rows]):.2e}",
        flush=True,
    )
    return {"looked": looked, "refined": refined}


def main() -> None:
    """Compare the working tree with a commit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", default="a787dbc", help="commit")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(int(args.child[0]), float(args.child[1]), int(args.child[2]))
    print(f"{args.seeds} laws, {args.seconds:g} s each, load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")  # fmt: skip
    rows: dict[str, list[dict[str, float]]] = {"before": [], "after": [], "two": []}
    with checkout(args.before) as folder:
        for seed in range(args.seeds):
            rows["before"].append(measured(folder, seed, args.seconds))
            rows["after"].append(measured(ROOT, seed, args.seconds))
            rows["two"].append(measured(ROOT, seed, args.seconds, 2))
    before = line(args.before, rows["before"], "seconds")
    after = line("working tree", rows["after"], "seconds")
    two = line("the same, 2 threads", rows["two"], "wall")
    one = line("the same, wall clock", rows["after"], "wall")
    used = sum(r["seconds"] for r in rows["two"]) / sum(r["wall"] for r in rows["two"])
    print(
        f"looked at {after['looked'] / before['looked']:.1f} x, "
        f"refined {after['refined'] / before['refined']:.1f} x, "
        f"two threads {two['looked'] / one['looked']:.2f} x of one ({used:.2f} cores busy)"
    )


if __name__ == "__main__":
    main()

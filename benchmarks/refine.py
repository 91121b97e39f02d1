"""Formulas refined per second on one core, against ``scipy.optimize.least_squares`` one by one.

Run: ``OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/refine.py [--cold]``
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import least_squares

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BINARY, UNARY, Operator
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refined, Refiner, warm_up

Floats = NDArray[np.float64]

N_ROWS, N_COLUMNS = 200, 4
_BINARY_WEIGHTS = {"add": 4.0, "sub": 3.0, "mul": 4.0, "div": 2.0, "pow": 0.5}
_RARE = ("abs", "cube", "tan", "arcsin", "arccos", "arctan", "tanh")


def random_tree(rng: np.random.Generator, depth: int, constant_share: float = 0.16) -> Tree:
    """A random tree of at most ``depth`` levels; leaves are mostly variables."""
    if depth == 1 or rng.random() < 0.04:
        if rng.random() < constant_share:
            return Tree.constant(float(np.round(rng.normal(0.0, 2.0), 3)))
        return Tree.variable(int(rng.integers(N_COLUMNS)))
    binary = rng.random() < 0.62
    table: Sequence[Operator] = BINARY if binary else UNARY
    shares = [_BINARY_WEIGHTS[o.name] if binary else 0.3 if o.name in _RARE else 1.0 for o in table]
    op = table[rng.choice(len(table), p=np.array(shares) / sum(shares))]
    args = [random_tree(rng, depth - 1, constant_share) for _ in range(op.arity)]
    return Tree.apply(op.name, *args)


def problem(seed: int, n: int) -> tuple[Floats, Floats, list[Tree]]:
    """A fixed table, a target no tree fits exactly, and ``n`` distinct trees finite on it."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.2, 4.0, (N_ROWS, N_COLUMNS))
    y = X[:, 0] * np.exp(-0.5 * X[:, 1]) + np.sin(1.7 * X[:, 2]) * np.sqrt(X[:, 3])
    y += 0.05 * rng.standard_normal(N_ROWS)
    trees: dict[Tree, None] = {}
    while len(trees) < n:
        tree = random_tree(rng, int(rng.integers(3, 6)))
        if tree.size > 1 and np.isfinite(evaluate(tree, X)).all():
            trees[tree] = None
    return X, y, list(trees)


def one_by_one(tree: Tree, X: Floats, y: Floats) -> float:
    """Mean squared residual after SciPy fitted scale, offset and inner constants."""
    f = evaluate(tree, X)
    design = np.stack([f, np.ones_like(f)], axis=1)
    outer = np.linalg.lstsq(design, y, rcond=None)[0]
    if not np.isfinite(outer).all():
        return float("inf")

    def residual(p: Floats) -> Floats:
        values = p[0] * evaluate(tree.with_constants(tuple(p[2:])), X) + p[1] - y
        return np.where(np.isfinite(values), values, 1e10)

    start = np.concatenate([outer, tree.constants])
    if not tree.constants:
        return float(np.mean(residual(outer) ** 2))
    with np.errstate(all="ignore"):
        return float(2.0 * least_squares(residual, start).cost / len(y))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall seconds and CPU seconds of ``work()``."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def cold_start() -> None:
    """Print what a first call costs with an empty and with a filled cache of compiled code."""
    code = (
        "import time, numba; t, c = time.perf_counter(), time.process_time();"
        "from equate_srbench.refine import warm_up; i = time.perf_counter() - t; warm_up();"
        "print(f'import {i:.2f} s, ready after {time.perf_counter() - t:.2f} s wall, '"
        "f'{time.process_time() - c:.2f} s CPU')"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for label in ("empty cache", "second process"):
            print(f"{label}: ", end="", flush=True)
            subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def processor() -> str:
    """Name of the processor and number of cores."""
    lines = Path("/proc/cpuinfo")
    names = lines.read_text().splitlines() if lines.exists() else []
    name = next((n.split(":")[1].strip() for n in names if n.startswith("model name")), "")
    return f"{name or platform.processor()} ({platform.machine()}), {os.cpu_count()} cores"


def stamp(seed: int) -> str:
    """Commit, machine, date and versions, for the head of the output."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True
    ).stdout.strip()
    return (
        f"commit {commit or 'none'}, {processor()}, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"{datetime.date.today()}, seed {seed}"
    )


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trees", type=int, default=3000)
    parser.add_argument("--scipy", type=int, default=300, help="trees that SciPy fits too")
    parser.add_argument("--max-steps", type=int, default=40)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--cold", action="store_true", help="also time the first call")
    args = parser.parse_args()
    print(stamp(args.seed))
    if args.cold:
        cold_start()
    X, y, trees = problem(args.seed, args.trees)
    nodes, constants = np.mean([t.size for t in trees]), np.mean([len(t.constants) for t in trees])
    print(f"{len(trees)} trees, {nodes:.1f} nodes, {constants:.2f} constants, {N_ROWS} rows")
    warm_up()
    refiner = Refiner(X, y, backend=args.backend)
    refiner.fit(trees[:50])
    ours: Refined
    ours, wall, cpu = timed(lambda: refiner.fit(trees, max_steps=args.max_steps))
    print(
        f"refine: {len(trees) / wall:.0f}/s wall, {len(trees) / cpu:.0f}/s CPU "
        f"({refiner.backend}, <= {args.max_steps} steps)"
    )
    some = list(range(0, len(trees), max(1, len(trees) // args.scipy)))
    theirs, wall_2, cpu_2 = timed(lambda: [one_by_one(trees[i], X, y) for i in some])
    print(f"scipy:  {len(some) / wall_2:.0f}/s wall, {len(some) / cpu_2:.0f}/s CPU")
    ratio = (len(trees) / cpu) / (len(some) / cpu_2)
    agree = ours.loss[some] <= np.array(theirs) * (1 + 1e-6)
    with_constants = np.array([bool(trees[i].constants) for i in some])
    print(
        f"ratio {ratio:.0f} x (CPU); same or lower loss on {agree.mean():.1%} of {len(some)} "
        f"({agree[with_constants].mean():.1%} of the {with_constants.sum()} with constants)"
    )


if __name__ == "__main__":
    main()

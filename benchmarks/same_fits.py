"""Whether two commits find the same formulas: 24 tables, two seeds, compared bit for bit.

    python benchmarks/same_fits.py --before a787dbc --after HEAD
    python benchmarks/same_fits.py --before a787dbc --after .            # the working tree
    python benchmarks/same_fits.py --before HEAD~1 --after HEAD --constants 1e-9

Each commit is checked out into a temporary folder and its fits run in a child process, where time
is replaced by a count: every ``Deadline`` reads one counter, which moves on when a batch of
formulas has been refined, so the same work ends at the same place on any machine. Rows of a commit
are kept for the next comparison, those of a folder are not. Prints a line for each fit; exit code 1
if any differs.

Six Feynman, four Strogatz and six black-box sets of the shared data, and eight laws drawn here.
Run it on one core: ``taskset -c 0 python benchmarks/same_fits.py ...``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Table = tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.float64] | None]

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
CACHE = Path(tempfile.gettempdir()) / "equate-srbench-same-fits"

#: Where the child finds what it replaces; the newest place first.
PLACES = {
    "Deadline": ("equate_srbench.runtime.clock", "equate_srbench.clock"),
    "Refiner": ("equate_srbench.refine.refiner",),
    "simplify": ("equate_srbench.expr.sympy.simplify", "equate_srbench.expr.simplify"),
}
#: Counted seconds of a refined formula, and of a fit: some 4,000 formulas.
SECONDS_PER_FORMULA, MAX_TIME = 3e-4, 1.2
#: Looks at the clock without a refined formula after which a fit counts as stuck.
MOST_READS = 1_000_000
#: Real seconds for SymPy; a form that takes more than half of them would depend on the machine.
SYMPY_SECONDS = 120.0

SEEDS = (0, 1)
ROWS = 300
FEYNMAN = ("I_6_2b", "I_12_11", "I_37_4", "I_50_26", "II_6_15a", "III_10_19")
STROGATZ = ("bacres1", "glider1", "lv1", "vdp2")
BLACKBOX = (
    "192_vineyard", "229_pwLinear", "519_vinnie", "678_visualizing_environmental",
    "695_chatfield_4", "712_chscase_geyser1",
)  # fmt: skip
#: The published method with less work, which ends by count: it has no edits.
PAPER: dict[str, Any] = {
    "preset": "paper",
    "settings": {"n_subsets": 6, "samples": 2, "epochs": 3, "starts": 3, "steps": 6},
}

CANDIDATE = ("source", "complexity", "loss", "r2", "score", "equation")
PROPOSAL = (
    "source", "start", "step", "rung", "predicted_score", "score", "r2", "complexity", "equation",
)  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Fit:
    """One table, one seed, and what is not the default of the estimator.

    Attributes
    ----------
    name : str
        Of the set, with its suite.
    seed : int
        Of the rows and of the fit.
    n_columns, noise, weighted, unit :
        Of a drawn law; the noise as a share of the target's standard deviation.
    options : dict
        Parameters of the estimator.
    """

    name: str
    seed: int
    n_columns: int = 0
    noise: float = 0.0
    weighted: bool = False
    unit: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name and seed, as they are printed."""
        return f"{self.name}-{self.seed}"

    def table(self, data: Path) -> Table:
        """Columns, target, and weights or None."""
        if self.n_columns:
            return drawn(self)
        X, y = _loader(data).load(self.name.removeprefix("blackbox_"), n=ROWS, seed=self.seed)
        return X, y, None


def fits() -> list[Fit]:
    """The 24 tables, each with both seeds."""
    named: list[dict[str, Any]] = [{"name": f"feynman_{name}"} for name in FEYNMAN]
    named += [{"name": f"strogatz_{name}"} for name in STROGATZ]
    named += [{"name": f"blackbox_{name}"} for name in BLACKBOX]
    laws: list[dict[str, Any]] = [
        {"n_columns": 2},
        {"n_columns": 3, "noise": 0.1},
        {"n_columns": 3, "noise": 0.02, "weighted": True},
        {"n_columns": 12, "noise": 0.05},
        # without noise its answer has a pole whose place no row determines: the constants run along
        # a valley, and two solvers stop at different points of it
        {"n_columns": 2, "noise": 0.05, "options": PAPER},
        {"n_columns": 4, "noise": 0.1, "options": {"lam": "auto"}},
        {"n_columns": 3, "unit": 1e15, "options": {"select": "accurate"}},
        {"n_columns": 2, "noise": 0.2, "options": {"teacher": "auto"}},
    ]
    named += [{"name": f"drawn_{i}", **law} for i, law in enumerate(laws)]
    return [Fit(seed=seed, **options) for options in named for seed in SEEDS]


def drawn(fit: Fit) -> Table:
    """Rows of a random law: three products of functions of a column, by the fit's name and seed."""
    law = np.random.default_rng(list(fit.name.encode()))
    rng = np.random.default_rng(fit.seed)
    X = rng.uniform(0.3, 3.0, (200, fit.n_columns))
    functions: tuple[Callable[[Any], Any], ...] = (
        lambda x: x, np.square, np.sqrt, np.sin, lambda x: np.exp(-x), lambda x: 1.0 / (1.0 + x),
    )  # fmt: skip
    y = np.zeros(len(X))
    for _ in range(3):
        term = np.full(len(X), round(float(law.uniform(0.5, 3.0)), 2))
        for column in law.permutation(fit.n_columns)[:2]:
            inside = round(float(law.uniform(0.5, 2.0)), 1) * X[:, column]
            term = term * functions[int(law.integers(len(functions)))](inside)
        y += term
    y = fit.unit * (y + fit.noise * y.std() * rng.standard_normal(len(y)))
    weights = rng.integers(1, 4, len(y)).astype(float) if fit.weighted else None
    return pd.DataFrame(X, columns=[f"v{j}" for j in range(fit.n_columns)]), y, weights


def _loader(data: Path) -> Any:
    """The module beside the shared data that reads it."""
    if str(data) not in sys.path:
        sys.path.append(str(data))
    return importlib.import_module("load")


# -- in the child: one checkout -------------------------------------------------------------------


class Count:
    """Seconds by refined formulas."""

    def __init__(self) -> None:
        self.formulas = 0
        self._reads = 0

    def __call__(self) -> float:
        """What a clock would say."""
        self._reads += 1
        if self._reads > MOST_READS:
            raise RuntimeError("the fit looks at the clock and refines nothing: it would never end")
        return self.formulas * SECONDS_PER_FORMULA

    def advance(self, n: int) -> None:
        """Note ``n`` refined formulas."""
        self.formulas += n
        self._reads = 0


def found(name: str) -> Any:
    """What the package calls ``name``, from the first of its places that there is."""
    for place in PLACES[name]:
        with contextlib.suppress(ModuleNotFoundError):
            return getattr(importlib.import_module(place), name)
    raise SystemExit(f"no {name} in {' or '.join(PLACES[name])}: add its new place to PLACES")


def replace_time() -> Count:
    """Let deadlines count formulas, and SymPy have the time that it needs."""
    count = Count()
    deadline, refiner, simplify = map(found, ("Deadline", "Refiner", "simplify"))
    for function, name in ((deadline.__init__, "clock"), (simplify, "time_limit")):
        if name not in inspect.signature(function).parameters:
            raise SystemExit(
                f"{function.__qualname__} has no {name!r}: bring replace_time up to date"
            )
    begin, refine = deadline.__init__, refiner.fit

    @functools.wraps(begin)
    def counted(self: Any, *args: Any, **options: Any) -> None:
        given = inspect.signature(begin).bind(self, *args, **options)
        given.arguments["clock"] = count
        begin(*given.args, **given.kwargs)

    @functools.wraps(refine)
    def refined(self: Any, trees: Sequence[Any], **options: Any) -> Any:
        result = refine(self, trees, **options)
        if len(trees) > 1:  # one formula is a step of snapping, whoever fits it, not of the search
            count.advance(len(trees))
        return result

    @functools.wraps(simplify)
    def patient(*args: Any, time_limit: float = 1.0, **options: Any) -> Any:
        started = time.monotonic()
        limit = SYMPY_SECONDS if time_limit > 0.0 else 0.0
        result = simplify(*args, time_limit=limit, **options)
        if time.monotonic() - started > SYMPY_SECONDS / 2:
            raise RuntimeError("SymPy took so long that its time limit might decide")
        return result

    deadline.__init__, refiner.fit = counted, refined
    for name, module in list(sys.modules.items()):
        if name.startswith("equate_srbench") and getattr(module, "simplify", None) is simplify:
            module.simplify = patient  # type: ignore[attr-defined]
    return count


def rows_of(fit: Fit, data: Path, count: Count) -> dict[str, Any]:
    """Run a fit; what it found, as JSON takes it."""
    from equate_srbench import EquateRegressor

    X, y, weights = fit.table(data)
    started, before = time.perf_counter(), count.formulas
    est = EquateRegressor(
        max_time=MAX_TIME, device="cpu", random_state=fit.seed, **fit.options
    ).fit(X, y, weights)
    return {
        "table": hashlib.sha256(X.to_numpy(float).tobytes() + y.tobytes()).hexdigest(),
        "equation": str(est.equation_),
        "candidates": est.candidates_[list(CANDIDATE)].values.tolist(),
        "trajectory": est.trajectory_[list(PROPOSAL)].values.tolist(),
        "formulas": count.formulas - before,
        "seconds": time.perf_counter() - started,
    }


def child() -> None:
    """Run the fits that standard input names; one file each."""
    task = json.load(sys.stdin)
    import torch

    import equate_srbench.regressor

    torch.set_num_threads(1)
    if Path(task["folder"]) not in Path(equate_srbench.regressor.__file__).parents:
        raise SystemExit(f"{task['folder']} has no package: {equate_srbench.regressor.__file__}")
    count, data = replace_time(), Path(task["data"])
    warnings.simplefilter("ignore")
    for fit in fits():
        if fit.key not in task["fits"]:
            continue
        try:
            rows = rows_of(fit, data, count)
        except Exception:  # the parent finds no rows and counts it as a difference
            print(f"{fit.key} failed:", file=sys.stderr)
            traceback.print_exc()
            continue
        path = Path(task["out"], f"{fit.key}.json")
        part = path.with_suffix(f".{os.getpid()}.tmp")
        part.write_text(json.dumps(rows), encoding="utf-8")
        part.replace(path)
        print(f"  {fit.key}: {rows['formulas']} formulas, {rows['seconds']:.1f} s",
              file=sys.stderr, flush=True)  # fmt: skip


# -- in the parent: two checkouts -----------------------------------------------------------------


def git(*words: str) -> str:
    """What git says in this repository."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A folder with the commit's files, for a while."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "tree").resolve()
        git("worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))


def kept_at(commit: str, data: Path) -> Path:
    """Where rows of a commit are kept: other fits, libraries or data have other rows."""
    code = Path(__file__).read_text(encoding="utf-8").removeprefix(f'"""{__doc__}"""')
    facts = [code.partition("# -- in the parent")[0], sys.version, str(data)]
    facts += [version(name) for name in ("numpy", "numba", "torch", "scipy", "sympy", "pandas")]
    return CACHE / f"{commit}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}"


def run(folder: Path, wanted: Sequence[str], out: Path, data: Path, jobs: int) -> None:
    """Run fits with the package in ``folder``; a file each in ``out``."""
    threads = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "widgets")]),
        "PYTHONHASHSEED": "0",  # the order of SymPy's sets
        **{f"{name}_NUM_THREADS": "1" for name in threads},
    }
    children = []
    for part in range(min(jobs, len(wanted))):
        task = {
            "folder": str(folder), "data": str(data), "out": str(out), "fits": wanted[part::jobs],
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, __file__, "--child"],
            stdin=subprocess.PIPE, text=True, env=environment, cwd=folder,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(task))
        process.stdin.close()
        children.append(process)
    if any([process.wait() for process in children]):
        raise SystemExit(f"no rows of {folder}: see above")


def rows(
    source: str, wanted: Sequence[str], data: Path, *, jobs: int, keep: bool
) -> dict[str, dict[str, Any]]:
    """Rows of the fits that came to an end, by key; ``source`` is a commit or a folder."""
    is_folder = Path(source).is_dir()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commit = "" if is_folder else git("rev-parse", "--verify", f"{source}^{{commit}}")
        out = scratch if is_folder or not keep else kept_at(commit, data)
        out.mkdir(parents=True, exist_ok=True)
        missing = [key for key in wanted if not (out / f"{key}.json").is_file()]
        print(f"{source}: {len(missing)} fits to run, {len(wanted) - len(missing)} kept",
              file=sys.stderr, flush=True)  # fmt: skip
        if missing:
            folder = Path(source).resolve() if is_folder else stack.enter_context(checkout(commit))
            run(folder, missing, out, data, jobs)
        paths = {key: out / f"{key}.json" for key in wanted}
        return {
            key: json.loads(path.read_text(encoding="utf-8"))
            for key, path in paths.items()
            if path.is_file()
        }


# -- comparing ------------------------------------------------------------------------------------


def skeleton(equation: str) -> str:
    """The formula with ``#`` for every number; names keep their digits."""
    return _NUMBER.sub("#", equation)


def same(before: Any, after: Any, relative: float = 0.0, unit: float = 1.0) -> bool:
    """Whether two values agree: bit for bit; or formulas by skeleton, floats by ``relative``.

    Floats may differ by a share of ``relative`` of themselves or of ``unit``.
    """
    if before == after or (before != before and after != after):
        return True
    if not relative or type(before) is not type(after) or isinstance(before, int):
        return False
    if isinstance(before, str):
        return skeleton(before) == skeleton(after)
    return math.isclose(before, after, rel_tol=relative, abs_tol=relative * unit)


def moved(before: dict[str, Any], after: dict[str, Any], relative: float) -> int:
    """Number of candidates of one skeleton and loss whose constants differ by more.

    Such constants are not determined by the rows: a flat valley leads from one to the other.
    """
    pairs = zip(*(_ordered(side["candidates"], CANDIDATE) for side in (before, after)), strict=True)
    numbers = ([map(float, _NUMBER.findall(row[-1])) for row in pair] for pair in pairs)
    return sum(
        any(not same(a, b, relative, 0.0) for a, b in zip(*pair, strict=True)) for pair in numbers
    )


def difference(before: dict[str, Any], after: dict[str, Any], relative: float = 0.0) -> str | None:
    """The first difference of two fits in words; None if there is none.

    Candidates of one batch are found at the same count, so their order says nothing: rows are
    compared in the order of their skeletons.
    """
    if before["table"] != after["table"]:
        return "the tables differ"
    for part, columns in (("candidates", CANDIDATE), ("trajectory", PROPOSAL)):
        old, new = (_ordered(side[part], columns) for side in (before, after))
        for row, other in zip(old, new, strict=False):
            for i, name in enumerate(columns):
                unit = max(known[i] for known in old) if name == "loss" else 1.0
                if not same(row[i], other[i], relative, unit):
                    return f"{part}: {name} {row[i]} -> {other[i]} in {row[-1]:.60}"
        if len(old) != len(new):
            return f"{part}: {len(old)} -> {len(new)}"
    if not same(before["equation"], after["equation"], relative):
        return f"equation_: {before['equation']} -> {after['equation']}"
    return None


def _ordered(table: list[list[Any]], columns: Sequence[str]) -> list[list[Any]]:
    """Rows by everything but their numbers, then by those."""
    words = [i for i, name in enumerate(columns) if name in ("source", "start", "step", "rung")]

    def key(row: list[Any]) -> tuple[Any, ...]:
        numbers = [value if value == value else math.inf for value in row if type(value) is float]
        return (*(row[i] for i in words), skeleton(row[-1]), *numbers)

    return sorted(table, key=key)


def main() -> None:
    """Compare two commits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", default="a787dbc", help="commit or folder")
    parser.add_argument("--after", default="HEAD", help="commit or folder")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the shared data")
    parser.add_argument("--constants", type=float, default=0.0, metavar="REL",
                        help="losses and constants of equal skeletons may differ by this share; "
                        "where constants differ by more at equal loss, that is said")  # fmt: skip
    parser.add_argument("--only", default="", help="fits whose name has this in it")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--fresh", action="store_true", help="use no kept rows, and keep none")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child()
    if not (args.data / "load.py").is_file():
        parser.exit(2, f"nothing compared: no shared data in {args.data} (see --data)\n")
    wanted = [fit.key for fit in fits() if args.only in fit.key]
    if not wanted:
        parser.error(f"no fit has {args.only!r} in its name")
    data = args.data.resolve()
    before, after = (
        rows(source, wanted, data, jobs=args.jobs, keep=not args.fresh)
        for source in (args.before, args.after)
    )
    sys.exit(report(before, after, wanted, args.constants))


def report(
    before: dict[str, Any], after: dict[str, Any], wanted: Sequence[str], relative: float
) -> int:
    """Print a line for each fit and a summary; the exit code."""
    n_equal = 0
    for key in wanted:
        failed = [name for name, side in (("before", before), ("after", after)) if key not in side]
        if failed:
            said: str | None = f"failed {' and '.join(failed)}"
        else:
            said = difference(before[key], after[key], relative)
        if said is None:
            n_equal += 1
            n_moved = moved(before[key], after[key], relative) if relative else 0
            said = "equal"
            said += f", but for undetermined constants of {n_moved} candidates" if n_moved else ""
        print(f"{key:40} {said}")
    both = [key for key in wanted if key in before and key in after]
    n_candidates = sum(len(before[key]["candidates"]) for key in both)
    how = f"numbers within {relative:g}" if relative else "bit for bit"
    print(f"{n_equal} of {len(wanted)} fits equal ({n_candidates} candidates, {how})")
    return int(n_equal < len(wanted))


if __name__ == "__main__":
    main()

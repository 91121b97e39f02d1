"""Speed and equivalence of fits on a GPU: ten datasets, one page of figures.

    python benchmarks/gpu_check.py                  # with CUDA: all figures, to docs/results/gpu.md
    python benchmarks/gpu_check.py --device cpu     # CPU figures only; lists what is missing

Five Feynman and five Strogatz datasets. Two kinds of fit: ``fixed`` is the neural part with a fixed
amount of work and no edits, the same on all devices; ``default`` is the preset with a time limit. A
fit has one core. The page is written after every part, so that an interrupted run leaves its
measurements; parts that would start after ``--minutes`` are skipped and listed.
See "On a GPU" in docs/method.md for machines with few packages and no network.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: a fit is one core's work

import argparse
import copy
import datetime
import multiprocessing
import platform
import re
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from decode import commit
from refine import problem, processor

from equate_srbench import EquateRegressor
from equate_srbench.backbone import checkpoint
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.equate import pretrained
from equate_srbench.equate.alignment import Formulas
from equate_srbench.equate.quadruples import collect, draw_subsets, encode_bags
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.problem.archive import Archive
from equate_srbench.refine import Refiner
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.files import write_file
from equate_srbench.runtime.threads import full_precision

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "gpu.md"
ROWS = 400
#: The neural part without time limit and early stopping.
FIXED: dict[str, Any] = {
    "n_subsets": 4, "epochs": 3, "starts": 3, "steps": 6, "block": 3, "stop_r2": 2.0,
}  # fmt: skip
#: Tolerances of network scores (float32) and losses of refined constants (float64).
NETWORK_TOLERANCE, REFINE_TOLERANCE = 1e-5, 1e-10
PHASES = ("propose", "align", "ascend", "edit", "shorten")
REFINE_STEPS = 40
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d*)?(?:e[+-]?\d+)?")

Data = tuple[str, Any, Any]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def side_by_side(n: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Results of ``work(barrier, i, *args)`` in each of ``n`` processes.

    ``work`` waits at the barrier before and after the timed section.
    """
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(n), context.Queue()
    workers = [
        context.Process(target=_report, args=(results, work, barrier, i, *args)) for i in range(n)
    ]
    for worker in workers:
        worker.start()
    found = dict(results.get(timeout=600) for _ in workers)
    for worker in workers:
        worker.join()
    return [found[i] for i in range(n)]


def _report(results: Any, work: Callable[..., Any], barrier: Any, i: int, *args: Any) -> None:
    results.put((i, work(barrier, i, *args)))


# -- fits -----------------------------------------------------------------------------------


@dataclass
class Fit:
    """Cost and result of one fit.

    Attributes
    ----------
    dataset : str
    seconds : float
    phases : dict of str to float
        Seconds of wall clock.
    memory : float
        Peak in MiB: torch's allocations on a GPU, resident memory of the process on a CPU.
    r2 : float
    losses : dict of str to float
        Unexplained share of the candidates of backbone and ascent, by text without numbers.
    """

    dataset: str
    seconds: float
    phases: dict[str, float]
    memory: float
    r2: float
    losses: dict[str, float]


def sets(n: int, seed: int) -> list[Data]:
    """Name, X and y of ``n`` datasets spread over the suites, half of them Feynman."""
    out: list[Data] = []
    for name, count in (("feynman", (n + 1) // 2), ("strogatz", n // 2)):
        suite = load_suite(name)
        step = max(1, len(suite.datasets) // max(1, count))
        for chosen in suite.datasets[::step][:count]:
            data = suite.load(chosen, max_rows=ROWS, seed=seed)
            out.append((chosen, data.X, data.y))
    return out


def fit(kind: str, device: str, seconds: float, seed: int, data: Data) -> Fit:
    """Run one fit of a kind on a device."""
    phases: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    last: list[Any] = ["propose", 0.0]

    def note(progress: Any) -> None:
        now = time.perf_counter()
        phases[last[0]] += now - last[1]
        last[:] = progress.phase, now

    is_default = kind == "default"
    estimator = EquateRegressor(
        max_time=seconds if is_default else 1e4,
        preset="default" if is_default else "paper",
        settings=None if is_default else FIXED,
        device=device, on_progress=note, random_state=seed,
    )  # fmt: skip
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    start = last[1] = time.perf_counter()
    estimator.fit(data[1], data[2])
    end = time.perf_counter()
    phases[last[0]] += end - last[1]
    found = estimator.candidates_
    losses: dict[str, float] = {}
    for row in found[found["source"].isin(["backbone", "ascent"])].itertuples():
        text = _NUMBER.sub("#", row.equation)
        losses[text] = min(losses.get(text, np.inf), 1.0 - row.r2)
    return Fit(data[0], end - start, phases, peak_memory(device), float(found["r2"].max()), losses)


def peak_memory(device: str) -> float:
    """Peak memory in MiB: since the last reset on a GPU, of the process on a CPU."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return torch.cuda.max_memory_allocated() / 2**20


def warm_up(device: str, seed: int, data: Data) -> None:
    """Load libraries and weights."""
    fit("default", device, 2.0, seed, data)


def fits(kind: str, device: str, args: argparse.Namespace, data: Sequence[Data]) -> list[Fit]:
    """Fit all datasets: sequentially on a GPU, on half of the cores on a CPU."""
    common = (kind, device, args.seconds, args.seed)
    if device != "cpu":
        warm_up(device, args.seed, data[0])
        return [fit(*common, one) for one in data]
    jobs = min(len(data), max(1, cores() // 2))  # two threads of a core are no two cores
    shares = side_by_side(jobs, _some_fits, common, [data[i::jobs] for i in range(jobs)])
    by_name = {found.dataset: found for share in shares for found in share}
    return [by_name[name] for name, *_ in data]


def _some_fits(barrier: Any, i: int, common: Any, shares: Sequence[Sequence[Data]]) -> list[Fit]:
    warm_up(common[1], common[3], shares[i][0])
    barrier.wait(600)
    return [fit(*common, one) for one in shares[i]]


def crowd(barrier: Any, i: int, device: str, seed: int, few: Sequence[Data]) -> tuple[float, ...]:
    """One of several processes with the same fits; returns start and end time, and MiB."""
    warm_up(device, seed, few[0])
    barrier.wait(600)
    begin = time.time()
    memory = max(fit("fixed", device, 0.0, seed, one).memory for one in few)
    end = time.time()
    barrier.wait(600)  # nobody's memory is gone before all have looked
    if device != "cpu":
        free, total = torch.cuda.mem_get_info()
        memory = (total - free) / 2**20
    barrier.wait(600)
    return begin, end, memory


# -- equality -------------------------------------------------------------------------------


def network_scores(data: Data, device: str, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    """Log-probabilities and predicted scores of fixed formulas on one device."""
    X, y = np.asarray(data[1], dtype=np.float64), np.asarray(data[2], dtype=np.float64)
    network, modules = checkpoint.load("compact"), pretrained.load("compact")
    assert modules is not None
    settings, rng = EquateSettings(n_subsets=2, max_points=128), np.random.default_rng(seed)
    bags = encode_bags(network, X, y, draw_subsets(len(y), settings, rng))
    quadruples = collect(
        network, bags, Archive(X, y, deadline=Deadline()), settings,
        rng=rng, generator=torch.Generator().manual_seed(seed), deadline=Deadline(),
    )[:64]  # fmt: skip
    there, new = (copy.deepcopy(module).to(device, dtype) for module in (network, modules))
    formulas = Formulas.pack([q.ids for q in quadruples], network.vocabulary, torch.device(device))
    bag, mask = [q.bag for q in quadruples], bags.mask.to(device)
    points = torch.nan_to_num(bags.points).to(device, dtype)
    with torch.no_grad(), full_precision():
        memory, mask = there.encode(points, mask)[bag], mask[bag]
        logits = there.decode(formulas.tokens[:, :-1], memory, mask).log_softmax(-1)
        predicted = new.evaluator(new.embed(there, memory, mask, formulas), mask)
    targets = formulas.tokens[:, 1:]
    valid = targets != network.vocabulary.pad
    said = (logits.gather(2, targets[..., None])[..., 0] * valid).sum(1) / valid.sum(1)
    return {
        "log-probability of a formula, per token": said.double().cpu(),
        "score that the evaluator predicts": predicted.double().cpu(),
    }


def network_gaps(device: str, seed: int, data: Sequence[Data]) -> dict[str, float]:
    """Largest differences from float32 on the CPU; on a CPU those of float64."""
    dtype = torch.float64 if device == "cpu" else torch.float32
    largest: dict[str, float] = {}
    for one in data:
        ours = network_scores(one, "cpu", torch.float32, seed)
        for name, value in network_scores(one, device, dtype, seed).items():
            gap = float((value - ours[name]).abs().max())
            largest[name] = max(largest.get(name, 0.0), gap)
    return largest


def shared_candidates(one: Sequence[Fit], other: Sequence[Fit]) -> tuple[float, float]:
    """Fraction of formulas that both found, and fraction of those whose losses agree."""
    pairs = list(zip(one, other, strict=True))
    both = [(a.losses[k], b.losses[k]) for a, b in pairs for k in a.losses.keys() & b.losses.keys()]
    gaps = np.array([abs(a - b) for a, b in both])
    n = sum(len(a.losses.keys() | b.losses.keys()) for a, b in pairs)
    return len(both) / max(n, 1), float(np.mean(gaps <= REFINE_TOLERANCE))


# -- refinement -----------------------------------------------------------------------------


def many(seed: int, n: int) -> tuple[Any, Any, list[Any]]:
    """Table and trees of ``benchmarks/refine.py``, repeated beyond 10,000."""
    X, y, trees = problem(seed, min(n, 10_000))
    return X, y, (trees * (n // len(trees) + 1))[:n]


def refine_speed(n: int, backend: str, device: str, seed: int) -> tuple[float, Any]:
    """Formulas per second of one process, and their unexplained variance."""
    X, y, trees = many(seed, n)
    refiner = Refiner(X, y, backend=backend, device=device)
    refiner.fit(trees[:100], max_steps=REFINE_STEPS)
    start = time.perf_counter()
    fitted = refiner.fit(trees, max_steps=REFINE_STEPS)
    return n / (time.perf_counter() - start), fitted.unexplained


def refine_on_cores(n: int, seed: int) -> float:
    """Formulas per second of the CPU kernel on all cores, with the batch split."""
    spans = side_by_side(cores(), _refine_share, max(1, n // cores()), seed)
    return n / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def _refine_share(barrier: Any, i: int, n: int, seed: int) -> tuple[float, float]:
    X, y, trees = many(seed + i, n)
    refiner = Refiner(X, y)
    refiner.fit(trees[:100], max_steps=REFINE_STEPS)
    barrier.wait(600)
    begin = time.time()
    refiner.fit(trees, max_steps=REFINE_STEPS)
    return begin, time.time()


def agreement(one: Any, other: Any) -> tuple[float, float]:
    """Fraction of equal values (inf equals inf), and the median gap."""
    both = np.isfinite(one) & np.isfinite(other)
    gaps = np.where(np.isinf(one) & np.isinf(other), 0.0, np.inf)
    gaps[both] = np.abs(one[both] - other[both])
    return float(np.mean(gaps <= REFINE_TOLERANCE)), float(np.median(gaps))


# -- the page -------------------------------------------------------------------------------


class Page:
    """Measures the parts in sequence and builds the page, with a list of missing figures."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, args.device
        self.gpu = args.device != "cpu"
        self.end = time.monotonic() + 60.0 * args.minutes
        self.data = sets(args.sets, args.seed)
        self.lines: list[str] = []
        self.owed: list[str] = []
        self.fits: dict[tuple[str, str], list[Fit]] = {}

    def run(self) -> None:
        """Run all parts; the page is printed part by part, and written if a file is given."""
        self._say(*self._head())
        for part in (
            self._fixed, self._default, self._crowds, self._networks, self._candidates,
            self._refinement,
        ):  # fmt: skip
            if time.monotonic() < self.end:
                part()
            else:
                title = (part.__doc__ or "").rstrip(".")
                self.owed.append(f"{title} (the run's {self.args.minutes:g} minutes were over)")
            self._write()
        for line in self._missing():
            print(line)

    def _say(self, *lines: str) -> None:
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        line = "| " + " | ".join("---" for _ in head) + " |"
        self._say("| " + " | ".join(head) + " |", line,
                  *("| " + " | ".join(row) + " |" for row in rows), "")  # fmt: skip

    def _write(self) -> None:
        if self.args.out is not None:
            write_file(self.args.out, "\n".join([*self.lines, *self._missing()]) + "\n")

    def _missing(self) -> list[str]:
        if not self.owed:
            return []
        return ["## Still owed", "", *(f"- {what}" for what in self.owed)]

    def _head(self) -> list[str]:
        a, where = self.args, "no GPU"
        if self.gpu:
            where = f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
        return [
            "# Fits on a GPU", "",
            f"Made by `python benchmarks/gpu_check.py` at commit {a.commit}, "
            f"{datetime.date.today()}, seed {a.seed}: {where}; {processor()}; "
            f"Python {platform.python_version()}, torch {torch.__version__}, "
            f"NumPy {np.__version__}.", "",
            f"{len(self.data)} sets of at most {ROWS} rows: "
            f"{', '.join(name for name, *_ in self.data)}. A fit has one core. `fixed`: the neural "
            f"part with a fixed amount of work, no edits; `default`: that preset with "
            f"{a.seconds:g} s.", "",
        ]  # fmt: skip

    def _devices(self) -> list[str]:
        return ["cpu", self.device] if self.gpu else ["cpu"]

    def _fits(self, kind: str) -> None:
        for device in self._devices():
            self.fits[kind, device] = fits(kind, device, self.args, self.data)
        if not self.gpu:
            self.owed.append(f"{kind} fits on a GPU: time, peak memory, share of time per phase")
        self._say(f"## Fits, {kind}", "")
        head = ["device", "s, median", "s, all", *(f"{p} %" for p in PHASES), "peak MiB",
                "R2 > .99"]  # fmt: skip
        rows = []
        for device in self._devices():
            found = self.fits[kind, device]
            total = sum(f.seconds for f in found)
            shares = [100 * sum(f.phases[p] for f in found) / total for p in PHASES]
            rows.append([
                device, f"{median(f.seconds for f in found):.2f}", f"{total:.1f}",
                *(f"{share:.0f}" for share in shares), f"{max(f.memory for f in found):.0f}",
                f"{sum(f.r2 > 0.99 for f in found)} of {len(found)}",
            ])  # fmt: skip
        self._table(head, rows)
        if self.gpu:
            one, other = (self.fits[kind, device] for device in self._devices())
            ratio = median(a.seconds / b.seconds for a, b in zip(one, other, strict=True))
            self._say(f"CPU over GPU, median of the sets: {ratio:.2f}.", "")
        self._say("Memory is torch's own on a GPU, the whole process on a CPU.", "")

    def _fixed(self) -> None:
        """Fits with fixed work."""
        self._fits("fixed")

    def _default(self) -> None:
        """Fits of preset default."""
        self._fits("default")

    def _crowds(self) -> None:
        """Several fits at once."""
        few = self.data[:: max(1, len(self.data) // 4)][:4]
        self._say("## Several fits at once", "", f"Processes that each do {len(few)} fixed fits.",
                  "")  # fmt: skip
        rows = []
        for device in self._devices():
            for n in self.args.jobs if device != "cpu" or not self.gpu else self.args.jobs[:1]:
                found = side_by_side(n, crowd, device, self.args.seed, few)
                seconds = max(f[1] for f in found) - min(f[0] for f in found)
                memory = max(f[2] for f in found) if device != "cpu" else sum(f[2] for f in found)
                rate = 60 * n * len(few) / seconds
                rows.append([device, str(n), f"{rate:.1f}", f"{memory:.0f}"])
        self._table(["device", "processes", "fits a minute", "memory in use, MiB"], rows)
        if not self.gpu:
            jobs = ", ".join(map(str, self.args.jobs))
            self.owed.append(f"fits a minute and memory with {jobs} processes on one GPU")

    def _networks(self) -> None:
        """Equal scores of the networks."""
        what = "GPU and CPU, float32" if self.gpu else "float32 and float64 on the CPU"
        self._say("## Equal scores", "", f"Largest difference between {what}:", "")
        gaps = network_gaps(self.device, self.args.seed, self.data)
        rows = [
            [name, f"{gap:.1e}", "yes" if gap <= NETWORK_TOLERANCE else "no"]
            for name, gap in gaps.items()
        ]
        self._table(["", "difference", f"within {NETWORK_TOLERANCE:g}"], rows)
        if not self.gpu:
            self.owed.append("network scores of GPU against CPU")

    def _candidates(self) -> None:
        """Equal candidates."""
        if not self.gpu:
            self.owed.append(
                "candidates of fixed fits that GPU and CPU both find, and their losses"
            )
            return
        one, other = (self.fits["fixed", device] for device in self._devices())
        shared, equal = shared_candidates(one, other)
        self._say(
            f"Fixed fits with one seed: {shared:.1%} of all formulas were found on both devices; "
            f"{equal:.1%} of those with losses within {REFINE_TOLERANCE:g}.", "",
        )  # fmt: skip

    def _refinement(self) -> None:
        """Refinement, formulas a second."""
        device = self.device
        self._say("## Refinement", "",
                  f"Formulas a second, 200 rows, at most {REFINE_STEPS} steps.", "")  # fmt: skip
        where = "torch, GPU" if self.gpu else "torch, CPU (one core)"
        head = ["batch", "kernel, one core", f"kernel, {cores()} cores", where,
                f"losses within {REFINE_TOLERANCE:g}", "median gap"]  # fmt: skip
        rows = []
        for n in self.args.trees:
            kernel, ours = refine_speed(n, "numba", "cpu", self.args.seed)
            torch_speed, theirs = refine_speed(n, "torch", device, self.args.seed)
            equal, gap = agreement(ours, theirs)
            rows.append([f"{n:,}", f"{kernel:,.0f}", f"{refine_on_cores(n, self.args.seed):,.0f}",
                         f"{torch_speed:,.0f}", f"{equal:.2%}", f"{gap:.0e}"])  # fmt: skip
        self._table(head, rows)
        if not self.gpu:
            self.owed.append("formulas a second of the GPU path, batches of "
                             + ", ".join(f"{n:,}" for n in self.args.trees))  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add("--sets", type=int, default=10)
    add("--seconds", type=float, default=6.0, help="of a default fit (default: 6)")
    add("--jobs", type=int, nargs="+", default=[1, 2, 4], help="fits at once")
    add("--trees", type=int, nargs="+", default=[1000, 10_000, 100_000], help="batches to refine")
    add("--minutes", type=float, default=7.0, help="no part starts later (default: 7)")
    add("--seed", type=int, default=0)
    add("--commit", default=commit(), help="shown on the page; required without git")
    add("--out", type=Path, help=f"default: {RESULT.relative_to(ROOT)} with CUDA, else no file")
    args = parser.parse_args()
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device here: use --device cpu")
    if args.out is None and args.device == "cuda":
        args.out = RESULT
    Page(args).run()


if __name__ == "__main__":
    main()

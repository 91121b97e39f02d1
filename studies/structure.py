"""Composed laws, drawn by seed: how well their structure is read, and what that recovers.

    python studies/structure.py laws --seeds 0:30
    python studies/structure.py detect --seeds 0:30 --noise 0,0.01,0.1 --out detect.csv
    python studies/structure.py recover --seeds 0:20 --seconds 20 --out recover.csv
    python studies/structure.py summary detect.csv recover.csv

A law has 4 to 9 columns and 15 to 40 nodes: products and sums, two or three levels deep, of parts
with one to three columns, some of which are functions of one combination of columns. No law is from
a list. Ranges are uniform or log-uniform, rows 300 to 1000, and one law in six has a column that
does nothing. What belongs together is not taken from the drawing but computed from the law, by
differences on its exact values.

``recover`` counts processor time, so that a busy machine does not change the results, and runs each
fit in a child process: families, library and edits, with and without structure between the edits.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.bench.recovery import Law, judge
from equate_srbench.bench.suites.drawing import Range, draw_rows
from equate_srbench.edits.edit_search import EditSearch
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equation import Equation
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.pipeline import FitPipeline, PipelineOptions
from equate_srbench.structure.detectors import read
from equate_srbench.structure.structure_search import StructureSearch
from equate_srbench.structure.surrogate import MAX_ROWS

Array = NDArray[np.float64]
Partition = frozenset[frozenset[int]]

RANGES = (
    Range(1, 5), Range(1, 3), Range(0.5, 2), Range(0.1, 2), Range(0.2, 1), Range(1, 10),
    Range(-2, 2), Range(0.1, 10, log=True), Range(0.5, 20, log=True), Range(1, 100, log=True),
)  # fmt: skip
COLUMNS, NODES, ROWS = (4, 9), (15, 40), (300, 1000)
IDLE = 1 / 6
#: Difference of an exact law, relative to its size, below which two columns do not interact.
NO_INTERACTION = 1e-7


# -- drawing ---------------------------------------------------------------------------------------


def number(r: Random) -> str:
    """A constant of a law: mostly whole or a half, else two digits."""
    return r.choice(("1", "2", "3", "0.5", "4")) if r.random() < 0.6 else f"{r.uniform(0.1, 5):.2g}"


def function(r: Random, u: str) -> str:
    """A function of one argument."""
    c = number(r)
    return r.choice((
        f"exp(-{u})", f"exp(-{c}*{u})", f"sin({u})", f"cos({c}*{u})", f"sqrt({c} + ({u})**2)",
        f"log({c} + ({u})**2)", f"1/({c} + ({u})**2)", f"({u})**2", f"tanh({u})",
        f"(1 - exp(-{u}))", f"({c} + ({u})**2)",
    ))  # fmt: skip


def combination(r: Random, a: str, b: str) -> str:
    """One combination of two columns."""
    return r.choice((f"({a} - {b})", f"({a} + {b})", f"{a}*{b}", f"{a}/{b}", f"({a}**2 + {b}**2)"))


def part(r: Random, names: list[str]) -> str:
    """A part of one to three columns."""
    a, b, c = (names + names[-1:] * 2)[:3]
    if len(names) == 1:
        return r.choice((a, a, f"{a}**2", f"sqrt({a})", function(r, a), f"({a} + {number(r)})"))
    if len(names) == 2:
        return r.choice((
            function(r, combination(r, a, b)), function(r, combination(r, a, b)),
            f"({a} + {number(r)}*{b})", f"{a}/({b} + {number(r)})", f"{a}*{function(r, b)}",
            f"sqrt({a}**2 + {b}**2)", f"({a} - {b})**2", f"{a}*{b}", f"{a}/{b}",
        ))  # fmt: skip
    return r.choice((
        f"({a}*{b} + {c})", f"{a}/({b} + {c})", f"{a}*{function(r, combination(r, b, c))}",
        f"({a} + {function(r, combination(r, b, c))})", function(r, f"{a}*{b}/{c}"),
        f"sqrt({a}**2 + {b}**2 + {c}**2)", f"{a}*{b}/({number(r)} + {c})",
        f"(({a} - {b})**2 + {c}**2)",
    ))  # fmt: skip


def joined(r: Random, names: list[str], depth: int, how: str) -> str:
    """A product or a sum of parts over groups of the columns, alternating by level."""
    if len(names) == 1 or depth == 0:
        return part(r, names[:3]) if len(names) <= 3 else joined(r, names, 1, how)
    groups = split(r, names, r.choice((2, 2, 3)))
    other = "sum" if how == "product" else "product"
    parts = [joined(r, g, depth - 1, other) for g in groups]
    if how == "sum":
        terms = [f"{number(r)}*{p}" if r.random() < 0.4 else p for p in parts]
        return "(" + "".join(f" {r.choice('++-')} {t}" for t in terms)[3:] + ")"
    out = parts[0]
    for p in parts[1:]:
        out += f"{r.choice('***/')}({p})"
    return out


def split(r: Random, names: list[str], n: int) -> list[list[str]]:
    """At most ``n`` groups that are not empty."""
    cuts = sorted(r.sample(range(1, len(names)), min(n - 1, len(names) - 1)))
    return [names[a:b] for a, b in zip([0, *cuts], [*cuts, len(names)], strict=True)]


def composed(r: Random) -> tuple[str, dict[str, Range]]:
    """The formula of a law, and the ranges of its columns."""
    n = r.randint(*COLUMNS)
    idle = r.random() < IDLE and n > COLUMNS[0]
    names = [f"x{j}" for j in range(n)]
    used = names[:-1] if idle else list(names)
    r.shuffle(used)
    text = joined(r, used, r.choice((1, 2, 2, 2)), r.choice(("product", "product", "sum")))
    u = r.random()
    if u < 0.08:
        text = f"sqrt({text})"
    elif u < 0.16:
        text = f"1/({text})"
    elif u < 0.22:
        text = f"{text} + {number(r)}"
    return text, {name: r.choice(RANGES) for name in names}


@dataclass(frozen=True)
class Drawn:
    """A law with its rows."""

    law: Law
    tree: Tree
    X: Array
    y: Array

    def noisy(self, noise: float, seed: int) -> Array:
        """The target with noise, as a share of its root mean square."""
        errors = np.random.default_rng([seed, 1]).normal(0.0, 1.0, len(self.y))
        return self.y + noise * float(np.sqrt(np.mean(self.y**2))) * errors


def drawn(seed: int) -> Drawn:
    """The law of a seed; those without a usable table, or of another size, are drawn again."""
    r = Random(f"composed {seed}")  # noqa: S311
    while True:
        text, ranges = composed(r)
        rows = r.randint(*ROWS)
        try:
            tree = parse(text, list(ranges))
            if not NODES[0] <= complexity(tree) <= NODES[1]:
                continue
            X, y = draw_rows(tree, ranges, rows, np.random.default_rng(seed))
        except (ValueError, ArithmeticError):
            continue
        spread = float(np.std(y))
        tame = spread > 1e-3 * np.abs(y).max() and np.abs(y - y.mean()).max() < 20 * spread
        if tame and np.abs(y).max() < 1e6 and judge(text, Law(text, ranges)).recovered:
            return Drawn(Law(text, ranges), tree, X.to_numpy(), y)


# -- what belongs together, from the law itself ----------------------------------------------------

VIEWS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda y: y,
    "log": lambda y: np.log(np.abs(y)),
    "square": np.square,
    "inverse": lambda y: 1.0 / y,
}


def interactions(law: Drawn, view: str) -> NDArray[np.bool_]:
    """Which columns interact in a view of the exact law, and on the diagonal: which act at all."""
    f = VIEWS[view]
    rng = np.random.default_rng(0)
    a, b = rng.permutation(len(law.X))[:100], rng.permutation(len(law.X))[:100]
    X, Z = law.X[a], law.X[b]
    p = X.shape[1]

    def at(*columns: int) -> Array:
        mixed = X.copy()
        mixed[:, columns] = Z[:, columns]
        with np.errstate(all="ignore"):
            return f(evaluate(law.tree, mixed))

    base, single = at(), [at(j) for j in range(p)]
    out = np.zeros((p, p), bool)
    scale = np.nanstd(base)
    for i in range(p):
        out[i, i] = np.nanmax(np.abs(single[i] - base)) > NO_INTERACTION * scale
        for j in range(i):
            mixed = at(i, j) - single[i] - single[j] + base
            size = np.abs(base) + np.abs(single[i]) + np.abs(single[j]) + scale
            out[i, j] = out[j, i] = np.nanmax(np.abs(mixed) / size) > NO_INTERACTION
    return out


def partition(act: NDArray[np.bool_]) -> Partition:
    """Groups of columns that hang together by interactions; idle columns are in none."""
    left = {j for j in range(len(act)) if act[j, j]}
    groups = set()
    while left:
        group, todo = set(), [min(left)]
        while todo:
            i = todo.pop()
            group.add(i)
            todo += [j for j in left - group if act[i, j]]
        groups.add(frozenset(group))
        left -= group
    return frozenset(groups)


def truth(law: Drawn) -> dict[str, Partition]:
    """The finest partition in each view in which the law falls apart."""
    found = {view: partition(interactions(law, view)) for view in VIEWS}
    return {view: groups for view, groups in found.items() if len(groups) > 1}


# -- measuring -------------------------------------------------------------------------------------


def show_laws(seeds: range) -> None:
    """Print laws and their groups."""
    for seed in seeds:
        law = drawn(seed)
        words = {v: written(groups) for v, groups in truth(law).items()}
        print(seed, len(law.y), complexity(law.tree), law.law.formula, words)


def written(groups: Partition) -> str:
    """Groups as text, such as ``012 34``."""
    return " ".join(sorted("".join(map(str, sorted(g))) for g in groups))


def detect(seed: int, noise: float) -> dict[str, Any]:
    """One reading of a law: whether a finding is its finest partition, and the pairs it separates.

    ``found`` is among all findings, ``first`` for the first of them. ``separated`` counts the pairs
    of columns that the first finding puts into different groups, ``right`` those of them that do
    not interact in its view, ``apart`` the pairs that do not interact there.
    """
    law = drawn(seed)
    y = law.noisy(noise, seed)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))[:MAX_ROWS]
    begun = time.process_time()
    reading = read(law.X[rows], y[rows], range(law.X.shape[1]), rng)
    seconds = time.process_time() - begun
    known = truth(law)
    hits, pairs = [], (0, 0, 0)
    for place, finding in enumerate(reading.findings):
        view = "log" if finding.kind == "product" else finding.link.name
        groups = frozenset(frozenset(g) for g in finding.groups)
        hits.append(known.get(view) == groups)
        if place == 0:
            act = interactions(law, view)
            lines = [
                (any(i in g and j in g for g in groups), act[i, j])
                for i, j in combinations(sorted(set().union(*groups)), 2)
            ]
            split = [not act_ for together, act_ in lines if not together]
            pairs = len(split), sum(split), sum(not act_ for _, act_ in lines)
    return {
        "law": law.law.formula, "columns": law.X.shape[1], "rows": len(y),
        "truth": json.dumps({view: written(groups) for view, groups in known.items()}),
        "separable": bool(known), "found": any(hits), "first": bool(hits and hits[0]),
        "separated": pairs[0], "right": pairs[1], "apart": pairs[2],
        "reading": json.dumps([f"{f.kind} {f.link.name} {f.groups} {f.gain:.0f}"
                               for f in reading.findings]),
        "cpu": round(seconds, 2),
    }  # fmt: skip


class StructuredPipeline(FitPipeline):
    """With structure after a share of the edits; the others start from what there is then."""

    edits_first, structure_share = 0.3, 0.8

    def _edit_last(self, edits: EditSearch, tick: Callable[[str], None]) -> None:
        archive, deadline = self.archive, self.archive.deadline
        first = deadline.within(self.edits_first * deadline.left())
        self._edit(edits, first, self._best_of("family", "library"), tick)
        if archive.law is None:
            structure = StructureSearch(archive, list(range(archive.X.shape[1])), rng=self.rng)
            structure.run(
                deadline.within(self.structure_share * deadline.left()),
                tick=lambda: tick("structure"),
            )
            self._shorten_exact(tick)
        if archive.law is None:
            rest = deadline.within(max(deadline.left() - 0.12 * self._total, 0.0))
            self._edit(edits, rest, self._best_of("structure", "edit"), tick)


PIPELINES = {"without": FitPipeline, "with": StructuredPipeline}


def recover(seed: int, noise: float, seconds: float, search: str) -> dict[str, Any]:
    """One fit of a law, judged."""
    law = drawn(seed)
    y = law.noisy(noise, seed)
    deadline = Deadline(seconds, clock=time.process_time)
    archive = Archive(law.X, y, deadline=deadline)
    options = PipelineOptions(
        "", EquateSettings(sources=("families", "library", "edits")), "cpu", False, False
    )
    begun = time.process_time()
    pipeline = PIPELINES[search](archive, np.random.default_rng(seed), options)
    pipeline.run(lambda phase: None)
    spent = time.process_time() - begun
    chosen = pipeline.choose("best")
    found = str(Equation(chosen.tree, list(law.law.ranges)))
    judged = judge(found, law.law, (law.X, law.y) if noise else None)
    clean = float(np.mean((evaluate(chosen.tree, law.X) - law.y) ** 2) / np.var(law.y))
    return {
        "law": law.law.formula, "nodes": complexity(law.tree), "found": found,
        "found_nodes": complexity(chosen.tree), "error": clean, "recovered": judged.recovered,
        "short": judged.short, "source": archive.best.source, "cpu": round(spent, 2),
        "tried": sum(archive.tried.values()),
    }  # fmt: skip


def rows_of(
    part: str, seeds: range, noises: Sequence[float], seconds: float, searches: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Keys of all rows, each with the function that makes it."""
    for noise, seed in product(noises, seeds):
        if part == "detect":
            yield {"seed": seed, "noise": noise}, partial(detect, seed, noise)
            continue
        for search in searches:
            key = {"seed": seed, "noise": noise, "seconds": seconds, "search": search}
            yield key, partial(recover, seed, noise, seconds, search)


def make(args: argparse.Namespace, part: str) -> None:
    """Make the rows that a file does not have yet, each in a child process."""
    out = Path(args.out or f"{part}.csv")
    first, last = map(int, args.seeds.split(":"))
    noises = [float(word) for word in args.noise.split(",")]
    wanted = rows_of(part, range(first, last), noises, args.seconds, args.search.split(","))
    context = multiprocessing.get_context("fork")
    for key, job in wanted:
        if out.exists():
            done = pd.read_csv(out)
            if (done[list(key)] == pd.Series(key)).all(axis=1).any():
                continue
        here, there = context.Pipe()
        process = context.Process(target=child, args=(job, there))
        process.start()
        there.close()
        row = key | here.recv()
        process.join()
        pd.DataFrame([row]).to_csv(out, mode="a", header=not out.exists(), index=False)
        print(json.dumps(row), flush=True)


def child(job: Callable[[], dict[str, Any]], pipe: Any) -> None:
    """Send a row; an error ends the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.send(job())


def summary(path: str) -> str:
    """Shares by noise, and by search."""
    rows = pd.read_csv(path)
    if "search" in rows:
        groups = rows.groupby(["noise", "seconds", "search"])
        shares = groups[["recovered", "short", "cpu"]].mean()
        return str(pd.concat([groups.size().rename("laws"), shares], axis=1).round(3))
    rows = rows[rows["separable"]]
    groups = rows.groupby("noise")
    sums = groups[["separated", "right", "apart"]].sum()
    table = groups[["found", "first", "cpu"]].mean()
    table["precision"] = sums["right"] / sums["separated"]
    table["recall"] = sums["right"] / sums["apart"]
    return str(pd.concat([groups.size().rename("laws"), table], axis=1).round(3))


def main() -> None:
    """Draw, measure or summarise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("laws", "detect", "recover", "summary"))
    parser.add_argument("files", nargs="*", help="of rows, to be summarised")
    parser.add_argument("--seeds", default="0:30", help="first:last, the last one left out")
    parser.add_argument("--noise", default="0", help="shares of the target's RMS")
    parser.add_argument("--seconds", type=float, default=20.0, help="of processor time")
    parser.add_argument("--search", default="without,with")
    parser.add_argument("--out", help="file of rows; default: the part's name")
    args = parser.parse_args()
    if args.part == "laws":
        show_laws(range(*map(int, args.seeds.split(":"))))
    elif args.part == "summary":
        for path in args.files:
            print(summary(path))
    else:
        make(args, args.part)


if __name__ == "__main__":
    main()

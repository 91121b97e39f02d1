"""Recovery of laws that are drawn here: what search and choice may be tuned on.

    python benchmarks/drawn_laws.py --kind textbook --seeds 0:40 --seconds 10 --out laws.csv
    python benchmarks/drawn_laws.py --kind science --seeds 0:40 --noise 0.01 \
        --settings '{"sources": ["families", "edits"]}'
    python benchmarks/drawn_laws.py --summary laws.csv

``textbook``: one or two columns on a narrow range, with the functions that textbook problems of
symbolic regression have. ``science``: one to six columns, from the families of the training corpus
(``pretrain.corpus.natural``). No law of a public suite is in either by more than chance.

Seconds are counted in processor time, so that a busy machine does not change the results; each fit
is a child process. Rows that a file has already (same kind, seed, seconds, noise, rows, label) are
not made again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.bench.recovery import Law, judge
from equate_srbench.bench.suites.drawing import Range, draw_rows
from equate_srbench.equation import Equation
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.text.parser import parse
from equate_srbench.pretrain.corpus import natural

KEY = ["kind", "seed", "seconds", "noise", "rows", "label"]
#: Ranges of textbook problems.
RANGES = ((-1, 1), (-1, 1), (0, 1), (0, 2), (0, 4), (-3, 3), (1, 5), (0.05, 6), (0, 10), (-5, 5))
POSITIVE = ((0, 1), (0, 2), (0, 4), (1, 5), (0.05, 6), (0, 10))
SCIENCE = ((1, 5), (1, 5), (0.1, 2), (0, 1), (1, 10), (0.5, 20), (-2, 2))


def _number(r: Random) -> str:
    """A coefficient: mostly none, sometimes whole, sometimes with two digits."""
    u = r.random()
    if u < 0.55:
        return "1"
    if u < 0.75:
        return str(r.choice((2, 3, 4, 5, 0.5)))
    return f"{r.uniform(0.1, 8):.2g}"


def _polynomial(r: Random, x: str, degree: int) -> str:
    """A sum of some powers of one column up to a degree."""
    powers = [k for k in range(1, degree) if r.random() < 0.6]
    return " + ".join(f"{_number(r)}*{x}**{k}" for k in [*reversed(powers), degree][::-1])


def _inside(r: Random, columns: list[str]) -> str:
    """An argument of a function."""
    x = r.choice(columns)
    u = r.random()
    if u < 0.35:
        return f"{_number(r)}*{x}"
    if u < 0.55:
        return f"{x}**{r.choice((2, 2, 3))}"
    if u < 0.7:
        return f"({x} + {x}**2)"
    if u < 0.85 and len(columns) > 1:
        return f"({columns[0]} {r.choice('+-*')} {columns[1]})"
    return f"({x} + {_number(r)})"


def _function(r: Random, columns: list[str], positive: bool) -> str:
    """A function of one argument, or a power of a column."""
    names = ["sin", "cos", "exp", "power", "power"] + ["log", "sqrt"] * positive
    name = r.choice(names)
    if name == "power":
        return f"{r.choice(columns)}**{r.choice((1, 2, 3, 4))}"
    inside = _inside(r, columns)
    if name == "exp" and r.random() < 0.6:
        inside = f"-({inside})"
    if name == "log":
        return f"log({inside} + {r.choice((1, 2))})"
    return f"{name}({inside})"


def textbook(r: Random) -> tuple[str, dict[str, Range]]:
    """A formula of one or two columns on a narrow range."""
    columns = ["x0", "x1"][: r.choice((1, 1, 2))]
    low, high = r.choice(RANGES)
    positive = low >= 0
    x, y = columns[0], columns[-1]
    u = r.random()
    if u < 0.2:
        text = _polynomial(r, x, r.randint(2, 6))
        if y != x:
            text += r.choice((f" + {_polynomial(r, y, 3)}", f" - {x}*{y}", f" + {x}**2*{y}"))
    elif u < 0.4:
        text = f"{_function(r, columns, positive)}*{_function(r, [y], positive)}"
    elif u < 0.6:
        text = f"{_function(r, columns, positive)} + {_number(r)}*{_function(r, [y], positive)}"
    elif u < 0.75:
        below = f"({y}**{r.choice((2, 4))} + {_number(r)})"
        text = f"({_polynomial(r, x, r.randint(1, 4))} + {_number(r)})/{below}"
    elif u < 0.85 and positive:
        text = r.choice((
            f"{x}**({_number(r)}*{y})", f"sqrt({_polynomial(r, x, 3)})",
            f"log({x} + 1) + log({_polynomial(r, y, 2)} + 1)", f"{x}**{r.uniform(.2, 3):.2g}",
            f"{x}**{r.uniform(.2, 3):.2g}*{y}",
        ))  # fmt: skip
    else:
        text = f"{_function(r, columns, positive)}*({_function(r, [y], positive)} + {_number(r)})"
    if r.random() < 0.3:
        text += r.choice((" - 1", " + 1", " + 2.5", " - 0.7"))
    return text, {name: Range(low, high) for name in columns}


def science(r: Random) -> tuple[str, dict[str, Range]]:
    """A formula of the families of the training corpus, with columns beside it."""
    expression, n_columns = natural.draw(r)
    names = [f"x{j}" for j in range(n_columns)]
    text = str(Equation(normal.to_tree(expression), names))
    return text, {name: Range(*r.choice(SCIENCE)) for name in names}


KINDS = {"textbook": textbook, "science": science}


def law(kind: str, seed: int, rows: int) -> tuple[Law, pd.DataFrame, Any]:
    """The law of a seed and its rows; laws without a usable table are drawn again."""
    r = Random(f"{kind} {seed}")  # noqa: S311
    while True:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                text, ranges = KINDS[kind](r)
                tree = parse(text, list(ranges))
                X, y = draw_rows(tree, ranges, rows, np.random.default_rng(seed))
            except (ValueError, ArithmeticError):
                continue
        spread = float(np.std(y))
        tame = np.isfinite(spread) and np.abs(y).max() < 1e6 and spread > 1e-3 * np.abs(y).max()
        if tame and tree.columns and np.abs(y - y.mean()).max() < 30 * spread:
            return Law(text, ranges), X, y


def fit(kind: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One fit, judged."""
    from equate_srbench import EquateRegressor
    from equate_srbench.runtime.clock import Deadline

    if args.clock == "cpu":
        seconds, parent, _ = Deadline.__init__.__defaults__
        Deadline.__init__.__defaults__ = (seconds, parent, time.process_time)
    found, X, y = law(kind, seed, args.rows)
    clean = y.copy()
    noise = np.random.default_rng([seed, 1]).normal(0.0, 1.0, len(y))
    y = y + args.noise * np.sqrt(np.mean(y**2)) * noise
    names = list(found.ranges)
    given: dict[str, Any] = {"settings": json.loads(args.settings)} if args.settings else {}
    given |= json.loads(args.params) if args.params else {}
    est = EquateRegressor(max_time=args.seconds, random_state=seed, **given)
    begun, wall = time.process_time(), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, y)
    spent, waited = time.process_time() - begun, time.monotonic() - wall
    judged = judge(str(est.equation_), found, (X.to_numpy(), clean) if args.noise else None)
    frame = est.candidates_
    front = est.equations_
    on_front = any(judge(str(e), found).recovered for e in front["equation"])
    best = frame.loc[frame["loss"].idxmin(), "source"]
    residual = est.equation_.predict(X.to_numpy()) - clean
    return {
        "law": found.formula, "found": str(est.equation_), "nodes": est.equation_.complexity,
        "law_nodes": complexity(parse(found.formula, names)),
        "error": float(np.mean(residual**2) / np.var(clean)), "recovered": judged.recovered,
        "short": judged.short, "on_front": on_front, "source": best,
        "cpu": round(spent, 2), "wall": round(waited, 2),
        "tried": sum(est.diagnostics_["tried"].values()),
    }  # fmt: skip


def child(kind: str, seed: int, args: argparse.Namespace, pipe: Any) -> None:
    """Send a row, or what went wrong."""
    try:
        pipe.send(fit(kind, seed, args))
    except Exception:  # a fit that fails is a row too
        pipe.send({"error": float("inf"), "found": traceback.format_exc(limit=-3)[-300:]})


def run(args: argparse.Namespace) -> pd.DataFrame:
    """Make the missing rows and append each to the file."""
    out = Path(args.out)
    done = set()
    if out.exists():
        done = set(map(tuple, pd.read_csv(out)[KEY].astype(str).to_numpy()))
    first, last = map(int, args.seeds.split(":"))
    context = multiprocessing.get_context("fork")
    import equate_srbench.regressor  # noqa: F401 - compiled once, before the children

    for kind in args.kind.split(","):
        for seed in range(first, last):
            key = dict(zip(KEY, (kind, seed, args.seconds, args.noise, args.rows, args.label),
                           strict=True))  # fmt: skip
            if tuple(map(str, key.values())) in done:
                continue
            here, there = context.Pipe()
            process = context.Process(target=child, args=(kind, seed, args, there))
            process.start()
            there.close()
            row = {**key, **here.recv()}
            process.join()
            columns = [*KEY, "law", "law_nodes", "found", "nodes", "error", "recovered", "short",
                       "on_front", "source", "cpu", "wall", "tried"]  # fmt: skip
            frame = pd.DataFrame([row]).reindex(columns=columns)
            frame.to_csv(out, mode="a", header=not out.exists(), index=False)
            word = "short" if row.get("short") else "recovered" if row.get("recovered") else "-"
            print(f"{kind} {seed}: {word}, {row.get('cpu')} s, {row.get('law_nodes')} -> "
                  f"{row.get('nodes')} nodes, error {row['error']:.1e}  {row.get('law')}  ->  "
                  f"{str(row.get('found'))[:120]}", flush=True)  # fmt: skip
    return pd.read_csv(out)


def summary(rows: pd.DataFrame) -> str:
    """Shares and medians by kind and label."""
    rows = rows.astype({"recovered": float, "short": float, "on_front": float})
    groups = rows.groupby(["kind", "label", "seconds", "noise", "rows"], dropna=False)
    shares = groups[["recovered", "short", "on_front"]].mean()
    medians = groups[["cpu", "nodes", "law_nodes"]].median()
    return str(pd.concat([groups.size().rename("laws"), shares, medians], axis=1).round(3))


def main() -> None:
    """Run or summarise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", default="textbook,science")
    parser.add_argument("--seeds", default="0:20", help="first:last, the last one left out")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--noise", type=float, default=0.0, help="share of the target's RMS")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--settings", help="of the estimator, as JSON")
    parser.add_argument("--params", help="other parameters of the estimator, as JSON")
    parser.add_argument("--label", default="default")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--out", default="drawn_laws.csv")
    parser.add_argument("--summary", metavar="FILE")
    args = parser.parse_args()
    print(summary(pd.read_csv(args.summary) if args.summary else run(args)))


if __name__ == "__main__":
    main()

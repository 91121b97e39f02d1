"""Ours beside the rivals on the Feynman and Strogatz suites: runs, rows and table.

Needs the folder with the rivals' runner and rows (``--peers``; not part of the package).

    python studies/peers.py run --peers ../shared/peers --core 1 default
    python studies/peers.py run --peers ../shared/peers --core 1 default-119 noise paper e2e
    python studies/peers.py table --peers ../shared/peers

Every fit is a child process of the rivals' own runner, pinned to one core with one thread, with
the split, the noise and the scoring that the rivals had. Rows that are there are not made again;
the table states commit, machine, date and seed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "docs" / "results" / "peers_rows.csv"
TABLE = ROOT / "docs" / "results" / "peers.md"
#: Where and when the rows were made.
MADE = ROOT / "docs" / "results" / "peers_made.json"
SEED = 23654

EQUATE, E2E = "equate_srbench:EquateRegressor", "equate_srbench:E2ERegressor"
#: name -> (estimator, label, parameters, extra arguments of the runner)
RUNS: dict[str, tuple[str, str, dict[str, object], list[str]]] = {
    "default": (EQUATE, "equate", {"max_time": 10}, ["--every", "4"]),
    "default-119": (EQUATE, "equate", {"max_time": 10}, []),
    "noise": (EQUATE, "equate", {"max_time": 10}, ["--every", "4", "--noise", "0.1"]),
    "paper": (EQUATE, "equate-paper", {"max_time": 10, "preset": "paper"}, ["--every", "4"]),
    "e2e": (E2E, "e2e", {"max_time": 10}, ["--every", "4"]),
    "fast": (EQUATE, "equate-fast", {"max_time": 10, "preset": "fast"}, ["--every", "4"]),
}
PEERS = ("rils-rols", "operon", "operon-mse", "itea")


def run(names: list[str], peers: Path, core: int, stop_at: float) -> None:
    """Run the named configurations through the rivals' runner."""
    note()
    for name in names:
        estimator, label, params, extra = RUNS[name]
        command = [
            sys.executable, str(peers / "run_peers.py"), "--estimator", estimator,
            "--path", str(ROOT), "--label", label, "--params", json.dumps(params),
            "--budget", "10", "--suite", "strogatz,feynman", "--core", str(core),
            "--clock", "wall", "--seed", str(SEED), "--out", str(ROWS),
            "--stop-at", str(stop_at), *extra,
        ]  # fmt: skip
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def note() -> None:
    """Add today's commit, date and machine to those that rows were made with."""
    commit = _git("describe", "--always")
    if _git("status", "--porcelain", "--", "equate_srbench"):
        commit += " with changes"
    machine = f"{platform.machine()} with {os.cpu_count()} cores"
    now = {"commit": commit, "date": f"{date.today():%Y-%m-%d}", "machine": machine}
    made = json.loads(MADE.read_text()) if ROWS.exists() and MADE.exists() else {}
    made = {what: sorted({*made.get(what, []), value}) for what, value in now.items()}
    MADE.write_text(json.dumps(made, indent=2) + "\n")


def block(rows: pd.DataFrame, names: set[str]) -> list[str]:
    """Lines of a Markdown table: one method a line, over exactly the given data sets."""
    lines = [
        "| method | sets | R2 > .99 | R2 > .999 | 1 - R2 < 1e-9 | median nodes | median s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method, group in rows[rows.dataset.isin(names)].groupby("method", sort=False):
        if set(group.dataset) != names:
            continue
        r2 = group.r2_test.fillna(-np.inf)
        lines.append(
            f"| {method} | {len(group)} | {100 * (r2 > 0.99).mean():.1f} % ({(r2 > 0.99).sum()}) "
            f"| {100 * (r2 > 0.999).mean():.1f} % ({(r2 > 0.999).sum()}) "
            f"| {100 * (r2 > 1 - 1e-9).mean():.1f} % ({(r2 > 1 - 1e-9).sum()}) "
            f"| {group.complexity.median():g} | {group.train_time_s.median():.1f} |"
        )
    return lines


def _git(*words: str) -> str:
    """What git says about this checkout."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def table(peers: Path) -> str:
    """The comparison as Markdown, block by block."""
    ours = pd.read_csv(ROWS, dtype={"setting": str})
    theirs = pd.read_csv(peers / "peers.csv", dtype={"setting": str})
    theirs = theirs[theirs.method.isin(PEERS) & theirs.setting.str.fullmatch("10s")]
    rows = pd.concat([ours, theirs], ignore_index=True)
    feynman = sorted(theirs[(theirs.suite == "feynman") & (theirs.noise == 0)].dataset.unique())
    quarter = set(
        ours[(ours.suite == "feynman") & (ours.noise == 0.1) & (ours.method == "equate")].dataset
    ) or set(ours[(ours.suite == "feynman") & (ours.method == "equate-paper")].dataset)
    strogatz = set(theirs[theirs.suite == "strogatz"].dataset)
    made = {what: ", ".join(values) for what, values in json.loads(MADE.read_text()).items()}
    lines = [
        "# Feynman and Strogatz, 10 seconds a fit",
        "",
        f"Made by `python studies/peers.py` at commit {made['commit']}, {made['date']}, on "
        f"{made['machine']} (CPU); one core and one thread a fit, 75/25 split with seed {SEED}, "
        "at most 1000 training rows, R2 on held-out rows without noise, nodes counted by SymPy on "
        "the printed formula.",
        "Rivals: their rows of the same runner, split and kind of machine. Seconds of ours include "
        "loading torch and the weights.",
        "",
    ]
    for title, noise, names in (
        ("Feynman, all 119", 0.0, set(feynman)),
        ("Feynman, every 4th", 0.0, quarter),
        ("Strogatz", 0.0, strogatz),
        ("Feynman, every 4th, target noise .1", 0.1, quarter),
        ("Strogatz, target noise .1", 0.1, strogatz),
    ):
        part = block(rows[rows.noise == noise], names)
        if len(part) > 2:
            lines += [f"## {title}", "", *part, ""]
    return "\n".join([*lines, *pooled(rows, quarter, strogatz)])


def pooled(rows: pd.DataFrame, quarter: set[str], strogatz: set[str]) -> list[str]:
    """What adaptation and ascent add to the backbone: pairs on the sets of both suites."""
    rows = rows[(rows.noise == 0) & rows.dataset.isin(quarter | strogatz)]
    r2 = rows.pivot_table(index="dataset", columns="method", values="r2_test", dropna=False)
    if not {"equate-paper", "e2e"} <= set(r2.columns):
        return []
    r2 = r2[["equate-paper", "e2e"]].fillna(-np.inf)
    better = (r2["equate-paper"] > r2["e2e"] + 1e-6).sum()
    worse = (r2["equate-paper"] < r2["e2e"] - 1e-6).sum()
    shares = 100 * (r2 > 0.99).mean()
    return [
        "## What adaptation and ascent add to the backbone",
        "",
        f"Both suites together, {len(r2)} sets without noise: R2 > .99 on "
        f"{shares['equate-paper']:.1f} % (`paper`) against {shares['e2e']:.1f} % (`E2ERegressor`); "
        f"test R2 better on {better} sets, worse on {worse}, equal to 1e-6 on "
        f"{len(r2) - better - worse}.",
        "",
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("names", nargs="*", choices=[*RUNS, []], default=[])
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--core", type=int, default=0, help="core to pin to, -1: none")
    parser.add_argument("--stop-at", type=float, default=0, help="epoch second to stop at")
    args = parser.parse_args()
    if args.what == "run":
        run(args.names or list(RUNS), args.peers, args.core, args.stop_at)
    else:
        TABLE.write_text(table(args.peers))
        print(TABLE.read_text())


if __name__ == "__main__":
    main()

"""Recovery of laws in ``docs/results``: all suites, three budgets, three levels of noise.

    python studies/recovery.py run --out runs/recovery --core 0
    python studies/recovery.py run --suites classic,srsd --budgets 10 --noise 0 --rivals ""
    python studies/recovery.py publish --out runs/recovery

``run`` calls ``equate bench`` part by part and can be stopped and started again at any time: rows
that are there are not made again. All sets are fitted by ``equate``, every 4th also by the rivals.
With ``--hours`` no part is started after that time. Suites whose tables cannot be had are named
and left out. ``publish`` writes ``docs/results/recovery.md``, the rows as Parquet and the table of
the README from whatever rows there are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from equate_srbench.bench.suites.loading import SuiteError, load_suite
from equate_srbench.report.comparison import published_overlay
from equate_srbench.report.comparison.compare_page import conditions, read_rows, write_rows
from equate_srbench.report.tables import compare

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
OURS = "equate"
RIVALS = "equate-paper,e2e,tpsr,itea,operon"
RIVALS_EVERY = 4
#: Suites with a law behind every set; noise is added to these only.
LAWS = ("strogatz", "feynman", "srsd", "srsd_dummy", "fastsrb", "classic")
TABLES = ("firstprinciples", "srbench2025")
MARKS = ("<!-- recovery: made by studies/recovery.py -->\n", "<!-- end -->")


def parts(
    suites: list[str], budgets: list[str], noise: list[str], rivals: str, every: int
) -> list[list[str]]:
    """Arguments of ``equate bench``, part by part: what decides most comes first."""
    calls = []
    for level in noise:
        for budget in budgets:
            for suite in suites:
                if float(level) and suite in TABLES:
                    continue
                one = [suite, "--noise", level, "--max-time", budget]
                calls.append([*one, "--methods", OURS, "--every", str(every)])
                if rivals:
                    sparse = str(every * RIVALS_EVERY)
                    calls.append([*one, "--methods", rivals, "--every", sparse])
    return calls


def run(calls: list[list[str]], out: Path, core: int | None, hours: float) -> None:
    """Make the rows that are missing, one fit at a time, one thread each."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    main = "from equate_srbench.cli.main import main; main()"
    end = time.monotonic() + 3600.0 * hours
    for i, call in enumerate(calls):
        if time.monotonic() > end:
            print(f"stopped after {hours:g} hours with {len(calls) - i} parts to go: start again")
            return
        print("equate bench", *call, flush=True)
        subprocess.run(
            [*pinned, sys.executable, "-c", main, "bench", *call, "--out", str(out), "--resume",
             "--jobs", "1"],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def available(suites: list[str]) -> list[str]:
    """The suites whose tables can be had."""
    kept = []
    for name in suites:
        suite = load_suite(name)
        try:
            suite.load(suite.datasets[0], max_rows=10)
        except SuiteError as error:
            print(f"without {name}: {error}", file=sys.stderr)
        else:
            kept.append(name)
    return kept


# -- the page -----------------------------------------------------------------------------------


def page(frame: pd.DataFrame) -> str:
    """The results as Markdown."""
    frame = frame.assign(suite=frame["suite"].map(lambda suite: Path(suite).name))
    lines = ["# Recovery of laws", "", *_said(frame), ""]
    for noise, rows in frame.groupby("noise"):
        lines += [f"## {_title(float(noise))}", "", *_overview(rows), ""]
    lines += ["## Beside other methods", ""]
    for (suite, noise), rows in frame.groupby(["suite", "noise"]):
        for budget, part in rows.groupby("max_time"):
            (block,) = compare.blocks(part)
            if block.pairs and len(block.methods) > 1:
                sets = block.rows["dataset"].nunique()
                lines += [f"### {suite}, {_title(noise).lower()}, {budget:g} s: {_sets(sets)}", ""]
                lines += [compare.to_markdown(compare.summary(block))]
    return "\n".join([*lines, *_published(frame)])


def _title(noise: float) -> str:
    return f"Target noise {noise:g}" if noise else "Without noise"


def _sets(n: int) -> str:
    return f"{n} set" if n == 1 else f"{n} sets"


def _said(frame: pd.DataFrame) -> list[str]:
    by_commit = frame.groupby("commit")["date"].agg(["min", "max"])
    commits = "; ".join(
        f"{commit} ({first[:10]} to {last[:10]})" for commit, first, last in by_commit.itertuples()
    )
    told = "; ".join(f"{name}: {value}" for name, value in conditions(frame).items())
    return [
        "Made by `python studies/recovery.py`; `recovery_rows.parquet` has a row per fit.",
        "*Recovered*: the formula also holds on ranges half as wide again, under noise with its",
        "constants refitted to noise-free rows; *short*: with at most 1.5 times the law's nodes or",
        "6 more; *single*: error on test rows below single precision, FastSRB's measure; *exact*:",
        "1 - R² below 1e-9. Shares in %, with 95 % bootstrap intervals over data sets. Definitions",
        "and the protocol of each suite: [docs/benchmark.md](../benchmark.md).",
        "",
        f"{told}.",
        "",
        f"Rows by commit: {commits}.",
    ]


def _overview(rows: pd.DataFrame) -> list[str]:
    """One line per suite and budget: our method on all sets that were run."""
    lines = [
        "| suite | s a fit | fits (failed) | recovered | and short | R² > .999 | exact | single | "
        "median R² | median nodes | median s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = rows[rows["method"] == OURS]
    for (suite, budget), part in rows.groupby(["suite", "max_time"]):
        (block,) = compare.blocks(part)
        line = compare.summary(block).loc[OURS]
        cells = [
            str(suite), f"{budget:g}",
            f"{line['fits']}" + (f" ({line['failed']})" if line["failed"] else ""),
            *(_share(line, name) for name in ("recovered", "short", "r2_999", "exact", "single")),
            f"{line['r2']:.4f}", f"{line['nodes']:.0f}", f"{line['seconds']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _share(line: pd.Series, name: str) -> str:
    """A share in %, with its interval if there is one."""
    if pd.isna(line[name]):
        return "-"
    low, high = line.get(f"{name}_low"), line.get(f"{name}_high")
    interval = "" if pd.isna(low) else f" ({100 * low:.0f}-{100 * high:.0f})"
    return f"{100 * line[name]:.1f}{interval}"


def _published(frame: pd.DataFrame) -> list[str]:
    """Published results beside ours on all sets, suite by suite."""
    lines = ["## Published results", ""]
    lines += ["From other machines and budgets, and by the judgement of their authors.", ""]
    head = "| measure | method | value | nodes | sets | time | machine | source |"
    for (suite, noise), rows in frame[frame["method"] == OURS].groupby(["suite", "noise"]):
        blocks = [compare.blocks(part)[0] for _, part in rows.groupby("max_time")]
        table = pd.concat(map(published_overlay.beside, blocks)).drop_duplicates()
        if table.empty:
            continue
        table = table.sort_values(["measure", "is_published"], kind="stable")
        lines += [f"### {suite}, {_title(float(noise)).lower()}", "", head]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
        for line in table.to_dict("records"):
            name = line["name"] if line["is_published"] else f"**{line['name']}**"
            nodes = "-" if pd.isna(line["nodes"]) else f"{line['nodes']:.0f}"
            bounds = "" if pd.isna(line["low"]) else f" ({line['low']:.3g}-{line['high']:.3g})"
            lines.append(
                f"| {line['measure']} | {name} | {line['value']:.4g}{bounds} | {nodes} | "
                f"{line['n_datasets']} | {line['budget']} | {line['machine']} | {line['source']} |"
            )
        lines.append("")
    return lines


def table(frame: pd.DataFrame) -> str:
    """The table of the README: our method without noise, suite by suite."""
    lines = [
        "| suite (sets) | s a fit | recovered, short | recovered | R² > .999 | median nodes, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = frame[(frame["method"] == OURS) & (frame["noise"] == 0) & frame["suite"].isin(LAWS)]
    for (suite, budget), part in rows.groupby(["suite", "max_time"], sort=False):
        (block,) = compare.blocks(part)
        line = compare.summary(block).loc[OURS]
        shares = (f"{100 * line[name]:.1f} %" for name in ("short", "recovered", "r2_999"))
        lines.append(
            f"| {suite} ({part['dataset'].nunique()}) | {budget:g} | {' | '.join(shares)} | "
            f"{line['nodes']:.0f}, {line['seconds']:.1f} |"
        )
    days = sorted({str(date)[:10] for date in rows["date"]})
    commits = ", ".join(rows["commit"].unique())
    lines += ["", f"One core, one seed; {' to '.join(dict.fromkeys((days[0], days[-1])))}; "
              f"commit {commits}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def into_readme(text: str, made: str) -> str:
    """The README with the table between its marks."""
    before, rest = text.split(MARKS[0])
    after = rest[rest.index(MARKS[1]) :]
    return f"{before}{MARKS[0]}{made}{after}"


def publish(outs: list[Path], results: Path) -> None:
    """Write the page, the rows, and, where it is the project's page, the table of the README."""
    frame = pd.concat([read_rows(out) for out in outs], ignore_index=True)
    results.mkdir(parents=True, exist_ok=True)
    write_rows(frame, results / "recovery_rows.parquet")
    (results / "recovery.md").write_text(page(frame), encoding="utf-8")
    if results == RESULTS:
        readme = ROOT / "README.md"
        text = into_readme(readme.read_text(encoding="utf-8"), table(frame))
        readme.write_text(text, encoding="utf-8")
    print(results / "recovery.md")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "publish"))
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[ROOT / "runs" / "recovery"],
        help="folder of rows; publish takes several",
    )  # fmt: skip
    parser.add_argument("--suites", default=",".join((*LAWS, *TABLES)))
    parser.add_argument("--budgets", default="10,2,60", help="seconds a fit")
    parser.add_argument("--noise", default="0,.01,.1")
    parser.add_argument("--rivals", default=RIVALS, help="methods on every 4th set; empty for none")
    parser.add_argument("--every", type=int, default=1, help="use every k-th set")
    parser.add_argument("--core", type=int, help="pin to this core")
    parser.add_argument("--hours", type=float, default=float("inf"), help="start no part after")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to publish to")
    args = parser.parse_args()
    if args.action == "publish":
        publish(args.out, args.results)
        return
    suites = available(args.suites.split(","))
    budgets, noise = args.budgets.split(","), args.noise.split(",")
    calls = parts(suites, budgets, noise, args.rivals, args.every)
    run(calls, args.out[0], args.core, args.hours)


if __name__ == "__main__":
    main()

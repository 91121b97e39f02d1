"""The comparison in ``docs/results``: which fits, and how tables and pictures are made of them.

    python studies/comparison.py run --out runs/comparison --blackbox FOLDER --core 0
    python studies/comparison.py publish --out runs/comparison

``run`` calls ``equate bench`` and can be stopped and started again at any time: rows that are there
are not made again. ``FOLDER`` holds tables of PMLB and UCI in PMLB's layout (``NAME/NAME.tsv.gz``).
``publish`` writes ``docs/results/comparison.md``, its pictures, the rows as Parquet, and the table
and the picture of the README.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.report.comparison.compare_page import (
    CAPTIONS,
    conditions,
    read_rows,
    write_rows,
)
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.figures.rendering import draw_images
from equate_srbench.report.tables import compare
from equate_srbench.runtime.files import publish as publish_files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
RIVALS = "e2e,tpsr,itea,operon"
MARKS = ("<!-- comparison: made by studies/comparison.py -->\n", "<!-- end -->")
PICTURES = ("triple", "trade_off", "profile", "ranks", "data_sets")


def commands(out: Path, blackbox: Path | None) -> list[list[str]]:
    """Arguments of ``equate bench``, call by call."""
    common = ["--out", str(out), "--resume", "--jobs", "1", "--max-time", "10"]
    both = f"equate,equate-paper,{RIVALS}"
    calls = [[suite, "--methods", both, *common] for suite in ("strogatz", "feynman")]
    noisy = ["--noise", ".01,.1", "--methods", "equate,e2e,itea", *common]
    calls += [["strogatz", *noisy], ["feynman", "--every", "4", *noisy]]
    if blackbox is not None:
        methods = f"equate,{RIVALS},hgb"
        calls.append([str(blackbox), "--every", "4", "--methods", methods, *common])
    return calls


def run(out: Path, blackbox: Path | None, core: int | None) -> None:
    """Make the rows that are missing, one fit at a time, one thread each."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    main = "from equate_srbench.cli.main import main; main()"
    for call in commands(out, blackbox):
        subprocess.run(
            [*pinned, sys.executable, "-c", main, "bench", *call],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def publish(out: Path) -> None:
    """Tables, pictures and rows into ``docs/results``."""
    frame = read_rows(out)
    frame["suite"] = frame["suite"].map(lambda suite: Path(suite).name)
    files: dict[str, str | bytes] = {}
    lines = ["# Comparison, 10 seconds a fit", "", *_conditions(frame), ""]
    for block in compare.blocks(frame):
        if not block.pairs:
            continue
        n_sets = block.rows["dataset"].nunique()
        lines += [f"## {block.title}: {n_sets} data sets", ""]
        lines += [compare.to_markdown(compare.summary(block))]
        lines += [*_paired(block), ""]
        figures = compare_figures.draw(block)
        for kind in PICTURES:
            if kind in figures and (kind == "triple" or not block.noise):
                name = f"{block.suite}-{block.noise:g}-{kind}.svg"
                files[name] = draw_images(figures[kind])[0]
                lines += [f"![{CAPTIONS[kind]}](comparison/{name})", ""]
    shutil.rmtree(RESULTS / "comparison", ignore_errors=True)
    publish_files(RESULTS / "comparison", files)
    write_rows(frame, RESULTS / "comparison_rows.parquet")
    (RESULTS / "comparison.md").write_text("\n".join(lines), encoding="utf-8")

    headline(compare.blocks(frame), frame)


def headline(blocks: list[compare.Block], frame: pd.DataFrame) -> None:
    """The table and the picture of the README."""
    chosen = [block for block in blocks if block.pairs and not block.noise]
    chosen.sort(key=lambda block: -block.rows["dataset"].nunique())
    picture = draw_images(compare_figures.headline(chosen))[0]
    (ROOT / "docs" / "pictures" / "comparison.svg").write_text(picture, encoding="utf-8")
    methods = in_order({m for block in chosen for m in block.methods})
    head = [f"{block.title} ({block.rows['dataset'].nunique()})" for block in chosen]
    lines = ["| method | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
    for method in methods:
        cells = [_cell(compare.summary(block), method) for block in chosen]
        lines.append(f"| {spec(method).label} | " + " | ".join(cells) + " |")
    commits = ", ".join(sorted(set(frame["commit"])))
    lines += ["", f"One seed; {frame['date'].max()[:10]}; commits {commits}."]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1], 1)[1]
    whole = before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + after
    (ROOT / "README.md").write_text(whole, encoding="utf-8")


def _cell(table: pd.DataFrame, method: str) -> str:
    """Accuracy and size of one method in one block."""
    if method not in table.index:
        return "-"
    row = table.loc[method]
    laws = table["r2_99"].max() >= compare_figures.LAWS
    accuracy = f"{100 * row['r2_999']:.1f} %" if laws else f"{row['r2']:.3f}"
    return accuracy if pd.isna(row["nodes"]) else f"{accuracy}, {row['nodes']:.0f}"


def _conditions(frame: pd.DataFrame) -> list[str]:
    said = "; ".join(f"{name}: {value}" for name, value in conditions(frame).items())
    by_commit = frame.groupby("commit")["method"].agg(lambda m: ", ".join(sorted(set(m))))
    return [
        "Made by `python studies/comparison.py`; `comparison_rows.parquet` has a row per fit.",
        "Test rows carry no noise and take no part in a fit. Shares in %, with 95 % bootstrap",
        "intervals over data sets; *exact* is 1 - R² below 1e-9, *solved* a symbolic match with",
        "the formula behind the data, of the fits where that could be decided; nodes as SRBench",
        "counts them. What differs from SRBench: [docs/benchmark.md](../benchmark.md).",
        "",
        said + ".",
        "",
        "Rows by commit: " + "; ".join(f"{c}: {methods}" for c, methods in by_commit.items()) + ".",
    ]


def _paired(block: compare.Block) -> list[str]:
    pairs = compare.paired(block)
    if pairs.empty:
        return []
    best = spec(pairs["a"][0]).label
    told = [
        f"{spec(p.b).label} {p.wins}/{p.ties}/{p.losses} (p {p.p_holm:.2g})"
        for p in pairs.itertuples()
    ]
    return [f"{best} better/equal/worse, set by set (Wilcoxon, Holm): {', '.join(told)}."]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "publish"))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "comparison")
    parser.add_argument("--blackbox", type=Path, help="folder of black-box tables")
    parser.add_argument("--core", type=int, help="pin to this core")
    args = parser.parse_args()
    if args.action == "run":
        run(args.out, args.blackbox, args.core)
    else:
        publish(args.out)


if __name__ == "__main__":
    main()

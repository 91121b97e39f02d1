"""What ``lam="auto"`` is worth on measured data: ``docs/results/lam.md``.

    python studies/lam.py run --blackbox FOLDER --out runs/lam --core 0
    python studies/lam.py publish --out runs/lam

``FOLDER`` holds the black-box tables of ``studies/comparison.py`` in PMLB's layout; every fourth
of them is fitted, as there. ``run`` can be stopped and started again at any time: rows that are
there are not made again. All values do equal work, whatever the machine is busy with: preset
``paper`` with smaller counts, which goes on until the fit is exact.

The rule, stated before the first run: on a data set, ``auto`` is no worse than a fixed value if
the mean of its test R2 (clipped at 0) over the seeds is at most .01 lower. The fixed value is the
one of the largest mean over all sets, or, more strictly, the best one of each set; both are known
only afterwards, ``auto`` sees fit rows alone.

``publish`` writes table, picture and rows; what stands between the marks in the page (the reading
of its figures) is kept.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from ablation import (
    COMMON,
    MOST_SECONDS,
    N_SEEDS,
    RESULTS,
    command_line,
    make_rows,
    mean,
)
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from readings import kept

from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.report.comparison.compare_page import (
    conditions,
    read_rows,
    write_rows,
)
from equate_srbench.report.figures.rendering import STYLE, draw_images
from equate_srbench.report.formatting import setting_text
from equate_srbench.report.tables import compare
from equate_srbench.runtime.files import publish as publish_files

AUTO = "auto"
VALUES: tuple[float | str, ...] = (0.0, 0.1, 0.5, 1.0, AUTO)
#: As in the published comparison.
EVERY = 4
#: Largest loss of mean test R2 on a data set that still counts as no worse.
MARGIN = 0.01
#: Smaller still than the ablation's, so that a fit takes about this many seconds of a free core.
COUNTS = {**COMMON, "n_subsets": 4, "epochs": 2, "steps": 6, "block": 3}
SECONDS = 4.0
#: Least range of R2 that the picture shows, so that chance does not look like a mountain.
LEAST_SPAN = 0.05


def tasks(blackbox: str, *, seeds: int = N_SEEDS, sets: int | None = None) -> list[Task]:
    """All fits, data set by data set, so that a stopped run compares all values."""
    return [
        Task(suite=blackbox, dataset=dataset, method="equate-paper", seed=seed,
             settings={"lam": value, "settings": COUNTS}, max_time=MOST_SECONDS)
        for seed in SEEDS[:seeds]
        for dataset in load_suite(blackbox).datasets[::EVERY][:sets]
        for value in VALUES
    ]  # fmt: skip


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of these fits with their value as ``lam`` and clipped test R2 as ``clipped``."""
    settings = [json.loads(text) for text in frame["settings"]]
    ours = [given.get("settings") == COUNTS and given.get("lam") in VALUES for given in settings]
    values = pd.Series([given.get("lam") for given in settings], index=frame.index, dtype=object)
    clipped = frame["r2_test"].astype(float).fillna(0.0).clip(lower=0.0)
    frame = frame.assign(lam=values, clipped=clipped)
    return frame[ours].reset_index(drop=True)


def judged(frame: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Mean clipped R2 by data set and value, and the best fixed value over all sets.

    Only data sets and seeds take part that have rows of all values.
    """
    table = frame.pivot_table(index=["dataset", "seed"], columns="lam", values="clipped")
    table = table.reindex(columns=list(VALUES)).dropna().groupby("dataset").mean()
    return table, float(table.drop(columns=AUTO).mean().idxmax())


def no_worse(table: pd.DataFrame, value: float | str, than: pd.Series) -> str:
    """Share of data sets on which a value is no worse, with its interval."""
    share = (table[value] - than >= -MARGIN).to_numpy(float)
    low, high = compare.interval(share)
    ends = "" if np.isnan(low) else f" ({100 * low:.0f}-{100 * high:.0f})"
    return f"{100 * share.mean():.0f}{ends}"


def publish(out: Path, results: Path = RESULTS) -> None:
    """Table, picture and rows into ``docs/results``."""
    frame = labelled(read_rows(out))
    table, best = judged(frame)
    page = results / "lam.md"
    lines = [
        "# The weight of simplicity, given or chosen", "",
        f"Made by `python studies/lam.py` from `lam_rows.parquet`: {len(table)} black-box "
        f"sets, {frame['seed'].nunique()} seeds, preset `paper` with smaller counts (see the "
        "script). R² is that of test rows, clipped at 0, mean over data sets with a 95 % bootstrap "
        f"interval; *no worse* is a mean over the seeds at most {MARGIN:g} lower, in % of the data "
        f"sets: than the fixed value of the largest mean over all sets (here {best:g}), and than "
        "the best fixed value of each set. Both are known only afterwards, and the best of four "
        "values is partly the luckiest: the lines of the fixed values say how far that goes.", "",
        "; ".join(f"{name}: {value}" for name, value in conditions(frame).items()) + ".", "",
        "| lam | fits (failed) | mean R² | median nodes | mean nodes | median s "
        f"| no worse than {best:g} | no worse than the set's best |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    per_set_best = table.drop(columns=AUTO).max(axis=1)
    for value in VALUES:
        rows = frame[frame["lam"] == value]
        failed = int((rows["status"] != "ok").sum())
        lines.append(
            f"| {setting_text(value)} | {len(rows)}{f' ({failed})' if failed else ''} "
            f"| {mean(rows['clipped'], rows['dataset'], 3)} | {rows['complexity'].median():.0f} "
            f"| {rows['complexity'].mean():.1f} | {rows['fit_seconds'].median():.1f} "
            f"| {no_worse(table, value, table[best])} | {no_worse(table, value, per_set_best)} |"
        )
    lines += ["", _chosen(frame), "", "![Accuracy against size, and set by set](lam/lam.svg)", "",
              *kept(page, "lam"), ""]  # fmt: skip
    publish_files(results / "lam", {"lam.svg": draw_images(picture(frame, table, best))[0]})
    write_rows(frame.drop(columns="lam"), results / "lam_rows.parquet")
    page.write_text("\n".join(lines), encoding="utf-8")


def _chosen(frame: pd.DataFrame) -> str:
    """What ``auto`` stood for."""
    told = [json.loads(text) or {} for text in frame.loc[frame["lam"] == AUTO, "diagnostics"]]
    used = [record["lam"] for record in told if "lam" in record]
    low, first, middle, third, high = np.quantile(used, [0.0, 0.25, 0.5, 0.75, 1.0])
    return (
        f"auto used {low:.2g} to {high:.2g}: median {middle:.2g}, the middle half {first:.2g} to "
        f"{third:.2g}."
    )


def picture(frame: pd.DataFrame, table: pd.DataFrame, best: float) -> Figure:
    """Left, accuracy against size, a point per value; right, ``auto`` set by set."""
    nodes = frame.groupby("lam")["complexity"].mean()
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(9.2, 0.22 * len(table) + 1.6), layout="constrained")
        left, right = fig.subplots(1, 2)
        fixed = [value for value in VALUES if value != AUTO]
        left.plot(nodes[fixed], table[fixed].mean(), "o-", color="#0072B2", linewidth=1.2)
        left.plot(nodes[AUTO], table[AUTO].mean(), "D", color="#D55E00", markersize=8)
        for value in VALUES:
            beside = (7, -13) if value == AUTO else (7, 5)
            left.annotate(setting_text(value), (nodes[value], table[value].mean()), beside,
                          textcoords="offset points")  # fmt: skip
        middle = (table.mean().min() + table.mean().max()) / 2
        span = max(np.ptp(table.mean()), LEAST_SPAN)
        left.set(xlabel="size (nodes), mean", ylabel="test R², clipped at 0, mean",
                 ylim=(middle - 0.7 * span, middle + 0.7 * span))  # fmt: skip
        left.margins(x=0.2)
        gap = (table[AUTO] - table[best]).sort_values()
        colours = np.where(gap >= -MARGIN, "#0072B2", "#D55E00")
        right.axvspan(-MARGIN, MARGIN, color="#dddddd", alpha=0.6, linewidth=0)
        right.axvline(0.0, color="#888888", linewidth=0.8)
        right.scatter(gap, range(len(gap)), c=list(colours), s=24, zorder=3)
        right.set_yticks(range(len(gap)), list(gap.index), fontsize=7.5)
        right.xaxis.set_major_locator(MaxNLocator(5))
        right.set(xlabel=f"test R² with auto minus with {best:g} (grey: at most {MARGIN:g} apart)")
    return fig


def main() -> None:
    """Make the fits, or publish them."""
    parser = command_line(__doc__, "lam")
    parser.add_argument("--blackbox", help="folder of black-box tables; needed for run")
    args = parser.parse_args()
    if args.action == "publish":
        publish(args.out, args.results)
        return
    if args.blackbox is None:
        parser.error("run needs --blackbox FOLDER")
    wanted = tasks(args.blackbox, seeds=args.seeds, sets=args.sets)
    print(f"{len(wanted)} fits, about {len(wanted) * SECONDS / 3600:.2f} core-hours")
    raise SystemExit(make_rows(wanted, args.out, args.core))


if __name__ == "__main__":
    main()

"""Figures that compare methods, drawn from the rows of a benchmark."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from equate_srbench.baselines.methods import spec
from equate_srbench.bench import stats
from equate_srbench.report.figures.fit_figures import nines
from equate_srbench.report.figures.point_labels import label_points
from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.tables.compare import EXACT, Block, interval, scores, summary

#: Number of data sets above which a row for each would not be readable.
MAX_DATASET_ROWS = 45
#: Share of fits with R2 > .99 above which the data sets are taken to follow exact laws.
MIN_LAW_SHARE = 0.05
_TOP = 10.0  # position of exact formulas
_TICKS = {0.0: "≤ 0", 1.0: "0.9", 2.0: "0.99", 3.0: "0.999", 4.0: "0.9999", 6.0: "1 - 1e-6",
          8.0: "1 - 1e-8", _TOP: "exact"}  # fmt: skip


def triple(block: Block) -> Figure:
    """Accuracy, size and time of each method: medians over data sets with 95 % intervals.

    The summary figure of SRBench. Methods are sorted by their share of R2 > .999; where hardly any
    fit exceeds .99, as on measured data, accuracy is the median R2 instead.
    """
    table = summary(block)
    laws = _has_laws(block)
    table = table.sort_values(["r2_999", "r2_99"] if laws else "r2")
    fig = Figure(figsize=(9.2, 1.3 + 0.36 * len(table)), layout="constrained")
    axes = fig.subplots(1, 3, sharey=True)
    places = [float(i) for i in range(len(table))]
    for place, method in zip(places, table.index, strict=True):
        look = spec(method)
        row = table.loc[method]
        per_set = block.rows[block.rows["method"] == method].groupby("dataset")
        medians = [(axes[1], "complexity"), (axes[2], "fit_seconds")]
        if laws:
            for name, face in (("r2_99", "white"), ("r2_999", look.colour)):
                shares = (float(row[f"{name}_low"]), float(row[f"{name}_high"]))
                _point(axes[0], place, float(row[name]), shares, look.colour, look.marker, face)
        else:
            medians.append((axes[0], "accuracy"))
        for ax, column in medians:
            values = per_set[column].median().to_numpy(float, na_value=np.nan)
            if np.isfinite(values).any():
                ends = interval(values, "median")
                middle = float(np.nanmedian(values))
                _point(ax, place, middle, ends, look.colour, look.marker, look.colour)
    label = "share of R² > .99 (open), > .999 (filled)" if laws else "test R², median"
    axes[0].set(xlabel=label, xlim=(-0.03, 1.03))
    axes[1].set(xlabel="size (nodes), median", xscale="log")
    axes[2].set(xlabel="time of a fit (s), median", xscale="log")
    axes[0].set_yticks(places, [spec(m).label for m in table.index])
    for ax in axes[1:]:
        _plain_decades(ax)
    fig.suptitle(_caption(block), fontsize=10)
    return fig


def _point(ax: Axes, y: float, x: float, ends: Any, colour: str, marker: str, face: str) -> None:
    low, high = ends
    if low == low:
        ax.plot([low, high], [y, y], color=colour, linewidth=1.6, alpha=0.55, zorder=2)
    edge: dict[str, Any] = {} if marker in "12" else {"markerfacecolor": face}
    ax.plot(x, y, marker, color=colour, markersize=7, zorder=3, **edge)


def trade_off(block: Block) -> Figure:
    """Mean rank of accuracy against mean rank of size; the line joins non-dominated methods."""
    ranks = {
        "accuracy": stats.ranks(scores(block)),
        "size": block.table("complexity").astype(float).rank(axis=1, na_option="bottom"),
    }
    points = pd.DataFrame({name: table.mean() for name, table in ranks.items()})
    fig = Figure(figsize=(5.2, 4.2), layout="constrained")
    ax = fig.add_subplot()
    front = nondominated(points)
    ax.plot(points.loc[front, "size"], points.loc[front, "accuracy"], color="#bbbbbb", zorder=1)
    for method, point in points.iterrows():
        look = spec(str(method))
        ax.plot(point["size"], point["accuracy"], look.marker, color=look.colour, markersize=9)
    ax.margins(0.18)
    ax.invert_yaxis()
    ax.set(xlabel="mean rank of size (left: short)", ylabel="mean rank of test R² (up: accurate)")
    fig.suptitle(_caption(block), fontsize=10)
    labels = [spec(str(method)).label for method in points.index]
    label_points(ax, points[["size", "accuracy"]].to_numpy(), labels)
    return fig


def headline(blocks: list[Block]) -> Figure:
    """Accuracy against size, one panel per block; up and left is better."""
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.1 * len(blocks), 3.0), layout="constrained")
        for ax, block in zip(np.atleast_1d(fig.subplots(1, len(blocks))), blocks, strict=True):
            laws = _has_laws(block)
            table = summary(block).dropna(subset="nodes")
            places = table[["nodes", "r2_999" if laws else "r2"]].to_numpy()
            looks = [spec(str(method)) for method in table.index]
            for look, (x, y) in zip(looks, places, strict=True):
                ax.plot(x, y, look.marker, color=look.colour, markersize=8)
            ax.set(
                xlabel="size (nodes), median",
                xlim=(0.0, 1.3 * table["nodes"].max()),
                ylabel="share of R² > .999" if laws else "test R², median",
                ylim=(-0.03, 1.06),
                title=_caption(block),
            )
            label_points(ax, places, [look.label for look in looks])
        return fig


def nondominated(points: pd.DataFrame) -> list[Any]:
    """Labels of the Pareto-optimal rows (lower is better), sorted by the last column."""
    values = points.to_numpy(float)
    keep = [
        not any((other <= row).all() and (other < row).any() for other in values) for row in values
    ]
    return list(points[keep].sort_values(list(points.columns)[::-1]).index)


def r2_by_dataset(block: Block) -> Figure:
    """Test R2 of every method on each data set, the hardest at the top."""
    scale = _R2Scale(_has_laws(block))
    table = block.table("accuracy")
    table = table.iloc[np.argsort(-scale.place(table).mean(axis=1), kind="stable")]
    fig = Figure(figsize=(9.2, 1.2 + 0.19 * len(table)), layout="constrained")
    ax = fig.add_subplot()
    spread = np.linspace(-0.22, 0.22, len(table.columns)) if len(table.columns) > 1 else [0.0]
    for shift, method in zip(spread, table.columns, strict=True):
        look = spec(method)
        ax.plot(
            scale.place(table[method]), np.arange(len(table)) + shift, look.marker,
            color=look.colour, markersize=5, alpha=0.85, linestyle="", label=look.label,
        )  # fmt: skip
    ax.set_yticks(np.arange(len(table)), list(table.index), fontsize=7.5)
    ax.set_ylim(-0.6, len(table) - 0.4)
    scale.label(ax)
    _legend(ax)
    return fig


def profile(block: Block) -> Figure:
    """Performance profile: share of data sets on which a method reaches at least a given R2."""
    scale = _R2Scale(_has_laws(block))
    table = block.table("accuracy")
    fig = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = fig.add_subplot()
    for method in table.columns:
        look = spec(method)
        heights = np.sort(scale.place(table[method]))
        share = 1.0 - np.arange(len(heights)) / len(heights)
        ax.step(
            [0.0, *heights, scale.top],
            [1.0, *share, 0.0 if heights[-1] < scale.top else share[-1]],
            where="pre", color=look.colour, label=look.label, linewidth=1.5,
        )  # fmt: skip
    ax.set(ylabel="share of data sets", ylim=(0.0, 1.03))
    scale.label(ax, "test R² of at least")
    _legend(ax)
    return fig


def convergence(block: Block) -> Figure | None:
    """Share of fits whose best formula so far has R2 > .99 on the fit rows, over time.

    None if no method records when its best formula improved.
    """
    traced = block.rows[block.rows["trace"].notna() & (block.rows["trace"] != "null")]
    if traced.empty:
        return None
    longest = float(block.rows["max_time"].max())
    grid = np.geomspace(0.01 * longest, longest, 200)
    fig = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = fig.add_subplot()
    for method in block.methods:
        rows = traced[traced["method"] == method]
        if rows.empty:
            continue
        reached = []
        for trace in rows["trace"]:
            times = [s for s, r2 in json.loads(trace) if r2 > 0.99]
            reached.append(min(times, default=np.inf))
        look = spec(method)
        share = [(np.array(reached) <= t).mean() for t in grid]
        ax.plot(grid, share, color=look.colour, label=look.label, linewidth=1.5)
    ax.set(xscale="log", xlabel="seconds of the fit", ylim=(-0.02, 1.03),
           ylabel="share with fit R² > .99")  # fmt: skip
    _plain_decades(ax)
    _legend(ax)
    return fig


def critical_difference(block: Block) -> Figure | None:
    """Critical difference diagram: mean ranks of test R2, bars join methods that do not differ.

    Friedman test in the title, pairwise Wilcoxon tests with Holm's correction for the bars; None
    for fewer than three methods or six data sets, where the tests have no power.
    """
    import scikit_posthocs

    table = scores(block)
    if table.shape[1] < 3 or len(table) < 6:
        return None
    table = table.rename(columns=lambda m: spec(m).label)
    ranks = stats.average_ranks(table)
    p = pd.DataFrame(1.0, index=ranks.index, columns=ranks.index)
    for pair in stats.wilcoxon_holm(table).itertuples():
        p.loc[pair.a, pair.b] = p.loc[pair.b, pair.a] = pair.p_holm
    fig = Figure(figsize=(7.0, 0.9 + 0.28 * len(ranks)), layout="constrained")
    ax = fig.add_subplot()
    colours = {spec(m).label: spec(m).colour for m in block.methods}
    scikit_posthocs.critical_difference_diagram(
        ranks, p, ax=ax, color_palette=colours, label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
    )  # fmt: skip
    ax.grid(visible=False)
    fig.suptitle(f"Friedman's test: p = {stats.friedman(table):.2g}", fontsize=10)
    return fig


def draw(block: Block) -> dict[str, Figure]:
    """All figures of a block, by name."""
    with mpl.rc_context(STYLE):
        figures = {
            "triple": triple(block),
            "trade_off": trade_off(block),
            "profile": profile(block),
            "convergence": convergence(block),
            "ranks": critical_difference(block),
        }
        if block.rows["dataset"].nunique() <= MAX_DATASET_ROWS:
            figures["data_sets"] = r2_by_dataset(block)
    return {name: figure for name, figure in figures.items() if figure is not None}


# -- parts -------------------------------------------------------------------------------------


def _caption(block: Block) -> str:
    n_seeds = block.rows["seed"].nunique()
    seeds = f", {n_seeds} seeds" if n_seeds > 1 else ""
    return f"{block.title}: {block.rows['dataset'].nunique()} data sets{seeds}"


def _has_laws(block: Block) -> bool:
    """Whether the data sets seem to follow exact laws: a method exceeds R2 = .99 on some."""
    correct = block.rows.groupby("method")["correct99"].mean()
    return bool(correct.max() >= MIN_LAW_SHARE)


@dataclass(frozen=True)
class _R2Scale:
    """Scale of an R2 axis: number of nines for exact laws, linear for measured data.

    Attributes
    ----------
    laws : bool
        Whether the data sets follow exact laws.
    top : float
        Upper end of the axis.
    """

    laws: bool

    @property
    def top(self) -> float:
        return _TOP if self.laws else 1.0

    def place(self, r2: pd.DataFrame | pd.Series) -> np.ndarray:
        """Positions of R2 values; negative values are drawn at 0, exact ones at the top."""
        plain: np.ndarray = np.maximum(np.asarray(r2, dtype=float), 0.0)
        if not self.laws:
            return plain
        height = nines(plain)
        return np.where(height > -np.log10(EXACT), _TOP, height)

    def label(self, ax: Axes, text: str = "test R²") -> None:
        """Set ticks, limits and label of the horizontal axis."""
        if self.laws:
            ax.set_xticks(list(_TICKS), list(_TICKS.values()), fontsize=8)
        ax.set(xlabel=text, xlim=(-0.03 * self.top, 1.03 * self.top))


def _plain_decades(ax: Axes) -> None:
    """Label a logarithmic axis with plain numbers, at least two of them however short it is."""
    low, high = ax.get_xlim()
    for digits in ((1,), (1, 2, 5), range(1, 10), np.arange(1.0, 10.0, 0.1)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [float(d) * 10.0**k for k in decades for d in digits]
        ticks = [t for t in ticks if low <= t <= high]
        if len(ticks) > 1:
            break
    ax.xaxis.set_major_locator(FixedLocator(ticks, nbins=8))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _legend(ax: Axes) -> None:
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.2, fontsize=8,
        handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip

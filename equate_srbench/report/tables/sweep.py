"""One setting at several values: what accuracy it costs or buys, and what size."""

from __future__ import annotations

import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.report.figures.compare_figures import STYLE
from equate_srbench.report.figures.point_labels import name_points
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block

_LINE = "#0072B2"


def by_setting(rows: pd.DataFrame, setting: str) -> pd.DataFrame:
    """One line per value of a setting of one method.

    Parameters
    ----------
    rows : DataFrame
        As ``RowStore.frame`` gives it, of one method, suite and noise level.
    setting : str
        Parameter of the method; rows that do not set it are left out.

    Returns
    -------
    DataFrame
        ``value`` and the columns of ``compare.summary``, by value; words behind numbers.
    """
    lines = []
    for value, part in rows.groupby(_values(rows, setting), sort=True):
        line = compare.summary(compare.blocks(part)[0]).iloc[0]
        lines.append({"value": value, **line})
    return pd.DataFrame(lines)


def _values(rows: pd.DataFrame, setting: str) -> pd.Series:
    """The setting of every row: numbers and words side by side."""
    return rows["settings"].map(lambda text: json.loads(text).get(setting)).astype(object)


def spelled(value: float | str) -> str:
    """A value of a setting as text."""
    return value if isinstance(value, str) else f"{value:g}"


def in_words(table: pd.DataFrame, name: str) -> list[str]:
    """What the sweep says: the most accurate and the shortest value."""
    accurate = table.loc[[table["r2_99"].idxmax()]].iloc[0]
    short = table.loc[[table["nodes"].idxmin()]].iloc[0]
    most, least = spelled(accurate["value"]), spelled(short["value"])
    said = [
        f"The share of data sets with R² > .99 is largest at {name} = {most}: "
        f"{100 * accurate['r2_99']:.1f} % with a median of {accurate['nodes']:.0f} nodes."
    ]
    if short["value"] == accurate["value"]:
        said.append("No other value gives shorter formulas.")
    else:
        said.append(
            f"The shortest formulas come at {name} = {least}: {short['nodes']:.0f} nodes, "
            f"R² > .99 on {100 * short['r2_99']:.1f} %."
        )
    spread = table["r2_99"].max() - table["r2_99"].min()
    nodes = table["nodes"].max() - table["nodes"].min()
    said.append(
        f"Over the whole sweep the share moves by {100 * spread:.1f} points and the median size by "
        f"{nodes:.0f} nodes."
    )
    return said


def chosen_in_words(rows: pd.DataFrame, setting: str, name: str) -> list[str]:
    """Which values ``auto`` stood for, as the fits' diagnostics have them; nothing without it."""
    rows = rows[_values(rows, setting) == "auto"]
    told = [json.loads(text) or {} for text in rows["diagnostics"]]
    used = [record[setting] for record in told if setting in record]
    if not used:
        return []
    low, middle, high = np.quantile(used, [0.0, 0.5, 1.0])
    return [f"auto chose {name} from {low:.2g} to {high:.2g}, with a median of {middle:.2g}."]


def curve(table: pd.DataFrame, name: str) -> Figure:
    """Share of R2 > .99 against median size: a point per value, numbers joined in their order."""
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(6.4, 4.0), layout="constrained")
        ax = fig.add_subplot()
        is_word = table["value"].map(lambda value: isinstance(value, str))
        for part, kind in ((table[~is_word], "o-"), (table[is_word], "D")):
            ax.plot(part["nodes"], part["r2_99"], kind, color=_LINE, linewidth=1.2, markersize=7)
        for _, line in table.iterrows():
            if np.isfinite(line["r2_99_low"]):
                ends = [line["r2_99_low"], line["r2_99_high"]]
                ax.plot([line["nodes"]] * 2, ends, color=_LINE, alpha=0.35, linewidth=3)
        ax.set(xlabel="size (nodes), median", ylabel="share of data sets with test R² > .99",
               ylim=(-0.03, 1.06))  # fmt: skip
        ax.margins(x=0.25)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        names = [f"{name} = {spelled(value)}" for value in table["value"]]
        name_points(ax, table[["nodes", "r2_99"]].to_numpy(), names, size=9.0)
    return fig


def per_data_set(rows: pd.DataFrame, setting: str) -> Figure:
    """Size of the formula of each data set at each value: one line per data set."""
    sizes = rows.assign(value=_values(rows, setting)).pivot_table(
        index="value", columns="dataset", values="complexity", aggfunc="median"
    )
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(6.4, 4.0), layout="constrained")
        ax = fig.add_subplot()
        places = range(len(sizes))
        ax.plot(places, sizes.to_numpy(float), "-", color="#b9c0cc", linewidth=1.0)
        ax.plot(places, sizes.median(axis=1), "o-", color=_LINE, linewidth=2.0, label="median")
        ax.set_xticks(places, [spelled(value) for value in sizes.index])
        ax.set(xlabel=setting, ylabel="size (nodes)")
        ax.legend(loc="upper right")
    return fig


def noise_levels(blocks: list[Block]) -> pd.DataFrame:
    """``compare.summary`` of every noise level, with the level as a column."""
    parts = [compare.summary(b).reset_index().assign(noise=b.noise) for b in blocks if b.pairs]
    return pd.concat(parts, ignore_index=True)


def noise_figure(table: pd.DataFrame) -> Figure:
    """Accuracy on clean test rows, and size, over the noise of the training target."""
    levels = sorted(table["noise"].unique())
    place: dict[Any, int] = {level: i for i, level in enumerate(levels)}
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(9.2, 3.9), layout="constrained")
        left, right = fig.subplots(1, 2)
        methods = in_order(set(table["method"]))
        for number, method in enumerate(methods):
            part, look = table[table["method"] == method], spec(method)
            x = part["noise"].map(place) + 0.05 * (number - (len(methods) - 1) / 2)
            for ax, column in ((left, "r2_99"), (right, "nodes")):
                ax.plot(x, part[column], look.marker + "-", color=look.colour, label=look.label,
                        linewidth=1.3)  # fmt: skip
            ends = part[["r2_99_low", "r2_99_high"]].to_numpy(float).T
            left.vlines(x, *ends, color=look.colour, alpha=0.35, linewidth=3)
        left.set(ylabel="share of data sets with test R² > .99", ylim=(-0.03, 1.03))
        left.yaxis.set_major_formatter(PercentFormatter(1.0))
        right.set(ylabel="size (nodes), median", yscale="log")
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter("")
        for ax in (left, right):
            ax.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
            ax.set_xlabel("noise of the training target (share of its RMS)")
        handles = left.get_legend_handles_labels()
        fig.legend(*handles, loc="outside upper left", ncols=6, fontsize=8.5)
    return fig


def noise_words(table: pd.DataFrame) -> list[str]:
    """How much accuracy each method keeps at the largest noise."""
    low, high = table["noise"].min(), table["noise"].max()
    said = []
    for method in in_order(set(table["method"])):
        part = table[table["method"] == method].set_index("noise")
        first, last = part.loc[low], part.loc[high]
        said.append(
            f"{spec(method).label}: R² > .99 on {100 * first['r2_99']:.1f} % of the data sets at "
            f"noise {low:g} and {100 * last['r2_99']:.1f} % at {high:g}; median size "
            f"{first['nodes']:.0f} and {last['nodes']:.0f} nodes."
        )
    return said

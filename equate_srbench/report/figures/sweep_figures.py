"""Figures of sweeps over a setting or a noise level; see ``tables.sweep``."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.report.figures.point_labels import label_points
from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.formatting import setting_text
from equate_srbench.report.tables.sweep import setting_values

_LINE = "#0072B2"


def accuracy_size(table: pd.DataFrame, name: str) -> Figure:
    """Share of R2 > .99 against median size: one point per value, numbers joined in order.

    Parameters
    ----------
    table : DataFrame
        From ``sweep.by_setting``.
    name : str
        Of the setting, for the labels.
    """
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
        names = [f"{name} = {setting_text(value)}" for value in table["value"]]
        label_points(ax, table[["nodes", "r2_99"]].to_numpy(), names, size=9.0)
    return fig


def size_by_dataset(rows: pd.DataFrame, setting: str) -> Figure:
    """Formula size at each value of a setting: one line per data set, and their median."""
    sizes = rows.assign(value=setting_values(rows, setting)).pivot_table(
        index="value", columns="dataset", values="complexity", aggfunc="median"
    )
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(6.4, 4.0), layout="constrained")
        ax = fig.add_subplot()
        places = range(len(sizes))
        ax.plot(places, sizes.to_numpy(float), "-", color="#b9c0cc", linewidth=1.0)
        ax.plot(places, sizes.median(axis=1), "o-", color=_LINE, linewidth=2.0, label="median")
        ax.set_xticks(places, [setting_text(value) for value in sizes.index])
        ax.set(xlabel=setting, ylabel="size (nodes)")
        ax.legend(loc="upper right")
    return fig


def noise(table: pd.DataFrame) -> Figure:
    """Accuracy on clean test rows, and formula size, against the noise of the training target."""
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

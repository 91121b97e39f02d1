"""Figures of one fit as inline SVG in the light or dark colours of the page.

Matplotlib draws with placeholder colours, which CSS variables then replace; text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from equate_srbench.report.figures.colours import LIGHT
from equate_srbench.report.formatting import axis_label
from equate_srbench.report.tables.record import SOURCES, Array, FitRecord

P = ParamSpec("P")
Height = Callable[[Any], Array]

#: CSS variable -> placeholder colour that matplotlib draws with.
_INK = {
    name: f"#0102{i:02x}"
    for i, name in enumerate(("ink", "muted", "grid", "paper", "train", "test", "accent", *SOURCES))
}
_MARKERS = dict(zip(SOURCES, ("*", "o", "^", "s", "D", "x", "P"), strict=True))
_RC: dict[Any, Any] = {  # matplotlib types its keys one by one
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.edgecolor": _INK["muted"],
    "axes.labelcolor": _INK["ink"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _INK["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": _INK["muted"],
    "ytick.color": _INK["muted"],
    "text.color": _INK["ink"],
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.parse_math": False,  # a column called "$x$" is a name, not a formula
}
_MAX_NINES = 16.0  # doubles carry no more digits
_MAX_POINTS = 1500  # in one scatter plot: an SVG holds each of them as text


def _styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Run ``draw`` under this module's matplotlib settings, and restore the user's afterwards."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> str:
        with mpl.rc_context(_RC):
            return draw(*args, **kwargs)

    return styled


def nines(r2: Any) -> Array:
    """R2 as a number of nines: 0 -> 0, .9 -> 1, .99 -> 2, exact -> 16; NaN stays NaN."""
    error = np.clip(1.0 - np.asarray(r2, dtype=np.float64), 10.0**-_MAX_NINES, 1.0)
    return np.asarray(np.abs(np.log10(error)))


def front(record: FitRecord) -> str:
    """Accuracy against size: candidates, Pareto front, and a ring around the chosen formula."""
    table = record.ranking()
    return accuracy_size(record.candidates, record.front, table[table["chosen"]].head(1))


@_styled
def accuracy_size(cloud: pd.DataFrame, steps: pd.DataFrame, chosen: pd.DataFrame) -> str:
    """Accuracy against size of a cloud of candidates and of their Pareto front.

    Parameters
    ----------
    cloud, steps : DataFrame
        ``candidates_`` and ``equations_``.
    chosen : DataFrame
        Row to mark with a ring, with ``complexity`` and ``r2``; may be empty.
    """
    fig, ax = _canvas(9.2, 4.2)
    marked = pd.concat([steps[["complexity", "r2"]], chosen[["complexity", "r2"]]])
    height = _r2_axis(ax, marked["r2"])
    cloud = cloud[cloud["complexity"] <= 1.3 * marked["complexity"].max() + 2]
    _by_source(ax, cloud, "complexity", height, size=10, alpha=0.6)
    steps = steps.sort_values("complexity")
    ax.step(
        steps["complexity"], height(steps["r2"]), where="post", marker=".", markersize=6,
        color=_INK["ink"], linewidth=1.2, label="front", zorder=4,
    )  # fmt: skip
    if len(chosen):
        ax.plot(
            chosen["complexity"], height(chosen["r2"]), "o", markersize=11, markerfacecolor="none",
            markeredgecolor=_INK["accent"], markeredgewidth=2, label="chosen", zorder=6,
        )  # fmt: skip
    ax.set_xlabel("size (nodes)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(ax)
    return _svg(fig, "Accuracy against size of the formulas tried")


@_styled
def search(record: FitRecord) -> str:
    """R2 of each proposal over time by source, and the best so far."""
    fig, ax = _canvas(9.2, 3.4)
    every = record.candidates.sort_values("seconds", kind="stable")
    height = _r2_axis(ax, every["r2"])
    # a fit that ends before its search begins has no steps but has candidates
    steps = record.trajectory if len(record.trajectory) else every
    _by_source(ax, steps, "seconds", height, size=12, alpha=0.55)
    best = np.fmax.accumulate(every["r2"].to_numpy(np.float64))
    ax.step(
        [*every["seconds"], record.seconds], height([*best, *best[-1:]]), where="post",
        color=_INK["ink"], linewidth=1.2, label="best so far", zorder=4,
    )  # fmt: skip
    ax.set_xlabel("seconds since the start")
    _legend(ax)
    return _svg(fig, "R2 of each proposal of the search over time")


@_styled
def fitted(record: FitRecord) -> str:
    """Predicted against actual values of fit and test rows."""
    fig, ax = _canvas(4.4, 3.9)
    for name, rows in record.parts():
        _points(ax, rows.y, _predict(record, rows.X), name)
    values = np.concatenate([rows.y for _, rows in record.parts()])
    ends = np.array([values.min(), values.max()])
    ax.plot(ends, ends, color=_INK["muted"], linewidth=0.9, zorder=1)
    if _decades(values) >= 2:
        _logarithmic(ax, "x")
        _logarithmic(ax, "y")
    ax.set_xlabel(f"actual {axis_label(record.target)}")
    ax.set_ylabel("predicted")
    _legend(ax)
    return _svg(fig, "Predicted against actual values")


@_styled
def residuals(record: FitRecord) -> str:
    """Residuals against predicted values."""
    fig, ax = _canvas(4.4, 3.9)
    everything = []
    for name, rows in record.parts():
        predicted = _predict(record, rows.X)
        _points(ax, predicted, rows.y - predicted, name)
        everything.append(predicted)
    ax.axhline(0.0, color=_INK["muted"], linewidth=0.9, zorder=1)
    if _decades(np.concatenate(everything)) >= 2:
        _logarithmic(ax, "x")
    ax.set_xlabel(f"predicted {axis_label(record.target)}")
    ax.set_ylabel("actual - predicted")
    _legend(ax)
    return _svg(fig, "Residuals against predicted values")


@_styled
def curve(record: FitRecord) -> str:
    """The formula as a curve through the rows, for a single feature column.

    Raises
    ------
    ValueError
        If there is more than one feature column.
    """
    if len(record.features) != 1:
        raise ValueError(f"a curve needs one feature, got {len(record.features)}")
    fig, ax = _canvas(9.2, 3.6)
    column = record.features[0]
    x = np.concatenate([rows.X[column].to_numpy(np.float64) for _, rows in record.parts()])
    y = np.concatenate([rows.y for _, rows in record.parts()])
    if _decades(x) >= 1 and _decades(y) >= 2:
        _logarithmic(ax, "x")
        _logarithmic(ax, "y")
        grid = np.geomspace(x.min(), x.max(), 400)
    else:
        grid = np.linspace(x.min(), x.max(), 400)
    for name, rows in record.parts():
        _points(ax, rows.X[column].to_numpy(np.float64), rows.y, name)
    values = _predict(record, pd.DataFrame({column: grid}))
    ax.plot(grid, values, color=_INK["accent"], linewidth=1.6, label="formula", zorder=2)
    ax.set_xlabel(axis_label(column))
    ax.set_ylabel(axis_label(record.target))
    _legend(ax)
    return _svg(fig, "The formula and the rows")


@_styled
def formula(latex: str) -> str:
    """Typeset a formula as SVG paths; an empty string if matplotlib cannot typeset it.

    Parameters
    ----------
    latex : str
        Without dollar signs.
    """
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${latex}$")
    except ValueError:  # a LaTeX command that matplotlib does not know
        return ""
    fig = Figure(figsize=(0.1, 0.1))
    fig.text(0, 0, f"${latex}$", fontsize=18, parse_math=True, math_fontfamily="cm")
    return _svg(fig, "The formula", {"svg.fonttype": "path"}, bbox_inches="tight", pad_inches=0.03)


@_styled
def trajectory(steps: pd.DataFrame) -> str:
    """R2 of the proposals of a search in chronological order, and the best so far.

    Parameters
    ----------
    steps : DataFrame
        Columns ``source`` and ``r2`` (NaN where undefined) of ``trajectory_``.
    """
    fig, ax = _canvas(9.2, 3.4)
    steps = steps.assign(order=np.arange(1.0, len(steps) + 1))
    height = _r2_axis(ax, steps["r2"])
    _by_source(ax, steps, "order", height, size=12, alpha=0.55)
    best = np.fmax.accumulate(steps["r2"].to_numpy(np.float64))
    ax.step(
        steps["order"], height(best), where="post", color=_INK["ink"], linewidth=1.2,
        label="best so far", zorder=4,
    )  # fmt: skip
    ax.set_xlabel("proposals in the order they were made")
    _legend(ax)
    return _svg(fig, "R2 of the proposals of the search")


def standalone(svg: str) -> str:
    """Make a figure independent of the page's colours: light, on an opaque background."""
    style = f"<style>svg {{ {LIGHT} background: var(--card); }}</style>"
    end = svg.index(">") + 1
    return svg[:end] + style + svg[end:]


# -- parts -------------------------------------------------------------------------------------


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of ``width`` x ``height`` inches, without pyplot state."""
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.add_subplot()


def _svg(
    fig: Figure, alt: str, style: Mapping[Any, Any] = MappingProxyType({}), **save: Any
) -> str:
    """Render a figure as one ``<svg>`` element that scales with its container."""
    buffer = io.StringIO()
    # the salt makes ids unique among the figures of a page, and reproducible
    with mpl.rc_context({"svg.hashsalt": alt, **style}):
        no_date = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        fig.savefig(buffer, format="svg", transparent=True, metadata=no_date, **save)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # matplotlib repeats the ids of its groups in every figure, but ids of a page must be unique
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: m.group() if m[1] in used else "", text)
    for name, placeholder in _INK.items():
        text = text.replace(placeholder, f"var(--{name})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)


def _predict(record: FitRecord, X: pd.DataFrame) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(record.equation.predict(X), dtype=np.float64)


def _points(ax: Axes, x: Array, y: Array, name: str) -> None:
    """Plot rows as points, every k-th of them if there are very many."""
    keep = slice(None, None, 1 + len(x) // _MAX_POINTS)
    colour = _INK["train" if name == "fit" else "test"]
    ax.plot(
        x[keep], y[keep], "o" if name == "fit" else "D", markersize=4, alpha=0.75, color=colour,
        markeredgewidth=0, label=f"{name} rows", zorder=3,
    )  # fmt: skip


def _by_source(
    ax: Axes, rows: pd.DataFrame, across: str, height: Height, *, size: float, alpha: float
) -> None:
    """Plot R2 of formulas against the column ``across``, one colour and marker per source."""
    rows = thinned(rows.astype({"r2": np.float64, across: np.float64}), across)
    for source in (*SOURCES, *sorted(set(rows["source"]) - set(SOURCES))):
        part = rows[rows["source"] == source]
        if len(part):
            ax.scatter(
                part[across], height(part["r2"]), s=size, alpha=alpha, label=source,
                marker=_MARKERS.get(source, "o"), color=_INK.get(source, _INK["constant"]),
                linewidths=0.8 if source == "constant" else 0,
            )  # fmt: skip


def thinned(rows: pd.DataFrame, across: str) -> pd.DataFrame:
    """Drop rows that would overlap in the figure; of each grid cell the best row stays."""
    rows = rows[np.isfinite(rows["r2"])].sort_values("r2", ascending=False, kind="stable")
    x = np.floor(100 * rows[across] / max(float(rows[across].max()) if len(rows) else 0.0, 1e-9))
    y = np.floor(8 * nines(rows["r2"]))
    spots = pd.DataFrame({"x": x, "y": y, "source": rows["source"]})
    return rows[~spots.duplicated()].head(_MAX_POINTS)


def _r2_axis(ax: Axes, r2: pd.Series) -> Height:
    """Choose and label the vertical scale of R2 values; returns the map from R2 to height.

    Linear if all values are below .9, otherwise the number of nines.
    """
    ax.set_ylabel("R²")
    best = float(np.nanmax(nines(r2), initial=0.0))
    if best < 1.0:
        ax.set_ylim(-0.04, 1.04)
        return lambda values: np.clip(np.asarray(values, dtype=np.float64), 0.0, 1.0)
    top = max(int(np.ceil(best)), 2)
    step = 1 if top <= 5 else 2 if top <= 10 else 4
    ticks = {float(tick): _r2_label(tick) for tick in range(0, top + 1, step)}
    if top <= 4:
        ticks[float(nines(0.5))] = "0.5"
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_ylim(-0.04 * top, 1.06 * top)
    return nines


def _r2_label(count: int) -> str:
    """Tick label of the R2 with ``count`` nines."""
    if count == 0:
        return "≤ 0"
    if count == _MAX_NINES:
        return "exact"
    return f"{1 - 10.0**-count:.{count}f}" if count <= 5 else f"1 - 1e-{count}"


def _legend(ax: Axes) -> None:
    handles = ax.get_legend_handles_labels()[0]
    if len(handles) > 1:
        # above the axes: covers no point, and needs no search for a free place
        ax.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles), borderaxespad=0.2,
            handletextpad=0.4, columnspacing=1.4,
        )  # fmt: skip


def _decades(values: Array) -> float:
    """Orders of magnitude that the values span; 0 if not all are positive."""
    low, high = float(values.min()), float(values.max())
    return float(np.log10(high / low)) if low > 0 and np.isfinite(high) else 0.0


def _logarithmic(ax: Axes, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at the decades."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    ax.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())

"""Figures of smooth teachers: the effect of the penalty on a network and on its student."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from equate_srbench.baselines.methods import spec
from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.tables.distillation import ALPHA, R2_FLOOR
from equate_srbench.teacher.smooth import SmoothTeacher, train_grid

_SMOOTH, _PLAIN = "#0072B2", "#D55E00"
#: Penalty strengths of the examples: none, about right, too strong.
_EXAMPLES = (0.0, 0.05, 0.5)
_SEED = 4


def r2_by_strength(rows: pd.DataFrame) -> Figure | None:
    """Test R2 of student and teacher against the strength, one thin line per data set.

    Parameters
    ----------
    rows : DataFrame
        As returned by ``labelled``; rows without a single strength are left out.

    Returns
    -------
    Figure or None
        None if there are fewer than two strengths.
    """
    fixed = rows[rows["variant"].isin(["standard", "fixed"]) & rows["jacobian"].notna()]
    fixed = fixed.assign(teacher_r2=fixed["teacher_r2"].clip(lower=R2_FLOOR))
    strengths = sorted(fixed["jacobian"].unique())
    if len(strengths) < 2:
        return None
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(8.6, 3.7), layout="constrained")
        panels = fig.subplots(1, 2, sharey=True)
        for ax, value, title in zip(
            panels, ("score", "teacher_r2"), ("student", "teacher"), strict=True
        ):
            lines = fixed.pivot_table(
                index="jacobian", columns="dataset", values=value, aggfunc="median"
            )
            places = range(len(lines))
            ax.plot(places, lines.to_numpy(float), "-", color="#b9c0cc", linewidth=1.0)
            ax.plot(places, lines.mean(axis=1), "o-", color=_SMOOTH, linewidth=2.0, label="mean")
            if value == "score":
                best = lines.to_numpy(float).argmax(axis=0)
                tops = lines.to_numpy(float).max(axis=0)
                ax.plot(best, tops, ".", color=_PLAIN, label="best strength of a data set")
            ax.set_xticks(places, [f"{s:g}" for s in strengths])
            ax.set(xlabel="strength of the Jacobian penalty", title=title)
            ax.legend(loc="lower left")
        panels[0].set_ylabel("test R²")
    return fig


def slices(
    ticks: NDArray[np.float64],
    curves: Sequence[tuple[str, NDArray[np.float64]]],
    truth: NDArray[np.float64],
) -> Figure:
    """Predictions of teachers along one column, the other columns fixed at the values of some rows.

    Parameters
    ----------
    ticks, truth : ndarray of shape (n_ticks,)
    curves : sequence of (str, ndarray of shape (n_slices, n_ticks))
        Label and predictions of each teacher; the first one has no penalty.
    """
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.4 * len(curves), 3.1), layout="constrained")
        panels = np.atleast_1d(fig.subplots(1, len(curves), sharey=True))
        for number, (ax, (label, values)) in enumerate(zip(panels, curves, strict=True)):
            colour = _SMOOTH if number else _PLAIN
            first, *_ = ax.plot(ticks, values.T, color=colour, linewidth=1.1, alpha=0.8)
            (wanted,) = ax.plot(ticks, truth, "--", color="#222222", linewidth=1.6)
            ax.set(title=label, xlabel="x0")
            ax.legend([first, wanted], ["slices of the network", "truth"], loc="upper left")
        panels[0].set_ylabel("y")
        panels[0].set_ylim(*(f([f(v) for _, v in curves]) * 1.25 for f in (np.min, np.max)))
    return fig


def contour_maps(
    points: NDArray[np.float64],
    grids: tuple[NDArray[np.float64], NDArray[np.float64]],
    maps: Sequence[tuple[str, NDArray[np.float64]]],
    names: tuple[str, str] = ("x0", "x1"),
) -> Figure:
    """Predictions of teachers over two columns as contour maps with a shared colour scale.

    Parameters
    ----------
    points : ndarray of shape (n_rows, 2)
        Training rows.
    grids : tuple of 2 ndarrays
        Grid points of the two columns.
    maps : sequence of (str, ndarray of shape (n_second, n_first))
    names : tuple of 2 str
    """
    low, high = (f([f(values) for _, values in maps]) for f in (np.min, np.max))
    levels = np.linspace(low, high, 13)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        fig = Figure(figsize=(3.6 * len(maps) + 0.6, 3.3), layout="constrained")
        panels = np.atleast_1d(fig.subplots(1, len(maps), sharey=True))
        for ax, (label, values) in zip(panels, maps, strict=True):
            drawn = ax.contourf(*grids, values, levels=levels, cmap="viridis")
            ax.contour(*grids, values, levels=levels, colors="white", linewidths=0.4)
            ax.plot(*points.T, ".", color="black", markersize=2, alpha=0.5)
            ax.set(title=label, xlabel=names[0])
        panels[0].set_ylabel(names[1])
        fig.colorbar(drawn, ax=list(panels), shrink=0.9)
    return fig


def differences(table: pd.DataFrame) -> Figure | None:
    """Change of the student's test R2 when strengths are chosen, by data set.

    Parameters
    ----------
    table : DataFrame
        As returned by ``by_dataset``.

    Returns
    -------
    Figure or None
        None for an empty table.
    """
    if table.empty:
        return None
    students = list(dict.fromkeys(table.index.get_level_values("student")))
    names = sorted(set(table.index.get_level_values("dataset")))
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(7.6, 1.2 + 0.24 * len(names)), layout="constrained")
        ax = fig.add_subplot()
        for number, student in enumerate(students):
            part = table.loc[student].reindex(names)
            look = spec(student)
            height = np.arange(len(names)) + 0.2 * (number - (len(students) - 1) / 2)
            sure = (part["p_holm"] < ALPHA).to_numpy()
            ax.plot(part["difference"], height, look.marker, color=look.colour, label=look.label,
                    markersize=5, fillstyle="none")  # fmt: skip
            ax.plot(part["difference"].to_numpy()[sure], height[sure], look.marker,
                    color=look.colour, markersize=5)  # fmt: skip
        ax.axvline(0.0, color="#444444", linewidth=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel("change of the student's test R² (filled: significant)")
        fig.legend(loc="outside upper left", ncols=3)
    return fig


# -- examples ----------------------------------------------------------------------------------


def example_slices() -> Figure:
    """Three penalty strengths on 80 noisy rows of a sine wave in the first of four columns."""
    rng = np.random.default_rng(_SEED)
    X, ticks = rng.uniform(-2.5, 2.5, (80, 4)), np.linspace(-2.5, 2.5, 200)
    y = np.sin(1.3 * X[:, 0]) + 0.3 * rng.standard_normal(80)
    points = np.repeat(X[:6, None], len(ticks), axis=1)  # (slice, tick, column)
    points[..., 0] = ticks
    curves = [(_label(t), t.predict(points.reshape(-1, 4)).reshape(6, -1)) for t in _trained(X, y)]
    return slices(ticks, curves, np.sin(1.3 * ticks))


def example_map() -> Figure:
    """Three penalty strengths on 80 noisy rows of a hill and a valley over two columns."""

    def hill(X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(X[:, 0] * np.exp(-(X**2).sum(axis=1) / 2))

    rng = np.random.default_rng(_SEED)
    X, ticks = rng.uniform(-2.5, 2.5, (80, 2)), np.linspace(-2.5, 2.5, 60)
    y = hill(X) + 0.15 * rng.standard_normal(80)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    found = _trained(X, y)
    maps = [("truth", hill(points)), *((_label(t), t.predict(points)) for t in found)]
    return contour_maps(X, (ticks, ticks), [(said, v.reshape(60, 60)) for said, v in maps])


def _trained(X: NDArray[np.float64], y: NDArray[np.float64]) -> list[SmoothTeacher]:
    # no early stopping: it smooths as well, and would hide the effect of the penalty
    teacher = SmoothTeacher(max_steps=1000, validation_fraction=0.0, random_state=_SEED)
    return train_grid(teacher, X, y, jacobian=_EXAMPLES, lipschitz=(0.0,))


def _label(teacher: SmoothTeacher) -> str:
    return f"strength {teacher.jacobian:g}" if teacher.jacobian else "no penalty"

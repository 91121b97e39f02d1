"""Figures of the search steps of many fits; see ``tables.trajectories``."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.tables.trajectories import (
    ASCENT_KEYS,
    SuiteTrajectories,
    score_changes,
    source_shares,
    spearman,
)

#: Colours of the sources, as on the pages of single fits.
SOURCE_COLOURS = {
    "backbone": "#2f6fdb", "ascent": "#d97706", "edit": "#0f8a6d", "shorten": "#8b4fd6",
    "family": "#0e8fb3", "library": "#b3368f", "constant": "#8a8f98",
}  # fmt: skip
_TRUE, _PREDICTED = "#0072B2", "#D55E00"
_MAX_LINES = 60
_MAX_POINTS = 4000


def steps(table: pd.DataFrame) -> Figure | None:
    """R2 and scores per gradient step: medians over all ascents with quartiles; None if empty."""
    if table.empty:
        return None
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(9.2, 3.9), layout="constrained")
        left, right = fig.subplots(1, 2)
        for _, line in list(table.groupby(ASCENT_KEYS))[:_MAX_LINES]:
            left.plot(line["step"], np.clip(line["r2"], 0, 1), color="#c3c9d3", linewidth=0.6)
        _median(left, table, "r2", _TRUE, "best of the step", "o-", clip=True)
        _median(left, table, "best_r2", "#1c2430", "best so far", "s--", clip=True)
        _median(right, table, "score", _TRUE, "true score", "o-")
        _median(right, table, "predicted", _PREDICTED, "predicted score", "^--")
        left.set(ylabel="fit R² (below 0 drawn at 0)", ylim=(-0.03, 1.03))
        right.set(ylabel="score: clip(R²) + λ·simplicity")
        for ax in (left, right):
            ax.set_xlabel("gradient step (0: the start itself)")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return fig


def _median(
    ax: mpl.axes.Axes, table: pd.DataFrame, column: str, colour: str, label: str, mark: str, *,
    clip: bool = False,
) -> None:  # fmt: skip
    values = table[column].clip(0, 1) if clip else table[column]
    parts = values.groupby(table["step"]).quantile([0.25, 0.5, 0.75]).unstack()
    ax.fill_between(parts.index, parts[0.25], parts[0.75], color=colour, alpha=0.13, linewidth=0)
    ax.plot(parts.index, parts[0.5], mark, color=colour, markersize=4.5, label=label)


def new_skeletons(table: pd.DataFrame) -> Figure | None:
    """Share of ascents that decode a new skeleton, and that improve, per gradient step."""
    later = table[table["step"] > 0]
    if later.empty:
        return None
    gained = table.groupby(ASCENT_KEYS)["best_score"].diff() > 1e-12
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(6.4, 3.4), layout="constrained")
        ax = fig.add_subplot()
        for values, label, colour, mark in (
            (later["flipped"], "some skeleton is new", "#009E73", "o-"),
            (gained[later.index], "the line's best score improves", "#CC79A7", "s--"),
        ):
            share = values.groupby(later["step"]).mean()
            ax.plot(share.index, share, mark, color=colour, markersize=5, label=label)
        ax.set(xlabel="gradient step", ylabel="share of lines", ylim=(-0.03, 1.03))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return fig


def sources(found: SuiteTrajectories) -> Figure:
    """Share of each source that first reached the accuracy of the final formula, as one bar."""
    table = source_shares(found.fits)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(9.2, 1.5), layout="constrained")
        ax = fig.add_subplot()
        left = 0.0
        for _, row in table.iterrows():
            colour = SOURCE_COLOURS.get(row["source"], "#999999")
            ax.barh([0], [row["share"]], left=left, color=colour, edgecolor="white")
            ax.text(left + row["share"] / 2, 0, f"{row['source']}\n{row['fits']}", ha="center",
                    va="center", color="white", fontsize=9, clip_on=True)  # fmt: skip
            left += row["share"]
        ax.set(xlabel="share of the answers", xlim=(0, 1), yticks=[])
        ax.grid(visible=False)
    return fig


def predicted_against_true(table: pd.DataFrame) -> Figure | None:
    """Change of the score against the change that the evaluator predicted; None if empty."""
    pairs = score_changes(table)
    if pairs.empty:
        return None
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(5.2, 4.4), layout="constrained")
        ax = fig.add_subplot()
        points = ax.scatter(
            pairs["predicted_change"], pairs["true_change"], c=pairs["step"], s=16, alpha=0.75,
            cmap="viridis", linewidths=0,
        )  # fmt: skip
        ax.axhline(0, color="#98a2b3", linewidth=0.8)
        ax.axvline(0, color="#98a2b3", linewidth=0.8)
        fig.colorbar(points, label="gradient step")
        ax.set(xlabel="predicted change of the score", ylabel="true change of the score")
        fig.suptitle(f"Spearman {spearman(table):.2f}, {len(pairs)} steps", fontsize=10)
    return fig


def embedding_map(found: SuiteTrajectories) -> Figure | None:
    """Joint embeddings in two dimensions, coloured by R2: PCA, and UMAP if installed.

    None if no fit has embeddings.
    """
    known = np.isfinite(found.embeddings).all(axis=1) & (found.embeddings.shape[1] > 1)
    if known.sum() < 3:
        return None
    keep = np.flatnonzero(known)
    keep = keep[:: 1 + len(keep) // _MAX_POINTS]
    r2 = found.steps["r2"].to_numpy(float)[keep]
    maps = {"PCA": _pca(found.embeddings[keep])}
    umap = _umap(found.embeddings[keep])
    if umap is not None:
        maps["UMAP"] = umap
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(4.8 * len(maps) + 0.8, 4.4), layout="constrained")
        grid = np.atleast_1d(fig.subplots(1, len(maps)))
        for ax, (name, at) in zip(grid, maps.items(), strict=True):
            order = np.argsort(np.nan_to_num(r2, nan=-1.0))
            ax.scatter(
                *at[order].T, c=np.clip(r2[order], 0, 1), s=9, cmap="viridis", vmin=0, vmax=1,
                linewidths=0, rasterized=True, plotnonfinite=True,
            )  # fmt: skip
            ax.set(xlabel=f"{name} 1", ylabel=f"{name} 2", xticks=[], yticks=[])
        bar = ScalarMappable(Normalize(0, 1), "viridis")
        fig.colorbar(bar, ax=list(grid), label="fit R² (below 0 drawn at 0)")
    return fig


def _pca(points: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    projected = PCA(2, svd_solver="full").fit_transform(points.astype(np.float64))
    return np.asarray(projected)


def _umap(points: NDArray[np.float32]) -> NDArray[np.float64] | None:
    try:
        import umap
    except ModuleNotFoundError:
        return None
    return np.asarray(umap.UMAP(random_state=0).fit_transform(points), dtype=np.float64)

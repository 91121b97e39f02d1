"""Measured rows beside SRBench's published results, which come from other machines and budgets."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.baselines.published import LABEL, published
from equate_srbench.report.figures.rendering import STYLE

_PUBLISHED_COLOUR, _INK = "#8a8f98", "#1c2430"
#: Metric of SRBench -> (column, factor that makes it a share).
_GROUND_TRUTH = {
    "accuracy_solution_mean": ("accuracy", 1.0),
    "symbolic_solution_rate_pct_mean": ("solved", 0.01),
}


@dataclass(frozen=True)
class PublishedOverlay:
    """Measured and published results on one group of data sets.

    Attributes
    ----------
    group : str
        ``Feynman`` or ``Strogatz``.
    noise : float
    table : DataFrame
        Columns ``name``, ``method`` (key, empty if published), ``is_published``, ``accuracy``
        (share of R2 > .999), ``solved`` (share of symbolic solutions), ``n_datasets``.
    """

    group: str
    noise: float
    table: pd.DataFrame

    @property
    def measured(self) -> pd.DataFrame:
        """Methods that were run here."""
        return self.table[~self.table["is_published"]]

    @property
    def caption(self) -> str:
        """Caption of the figure."""
        return (
            f"{self.group}: filled markers were measured here, hollow ones are published results "
            "on all data sets of the group."
        )

    @property
    def sentence(self) -> str:
        """Where the best method that was run here would rank; of equals, the first one."""
        lines = self.measured
        if lines.empty:
            return ""
        best = lines.loc[lines["accuracy"].idxmax()]
        others = self.table[self.table["is_published"]]
        ahead = int((others["accuracy"] > best["accuracy"]).sum())
        most = int(others["n_datasets"].max())
        return (
            f"{self.group}{f', noise {self.noise:g}' if self.noise else ''}: {best['name']} has "
            f"R² > .999 on {100 * best['accuracy']:.1f} % of {int(best['n_datasets'])} data sets; "
            f"{ahead} of {len(others)} published methods (on {most} data sets, {LABEL}) have more."
        )


def overlays(rows: pd.DataFrame) -> list[PublishedOverlay]:
    """Combine rows on ground-truth data sets with SRBench's published results.

    Parameters
    ----------
    rows : DataFrame
        As returned by ``RowStore.frame``; the names of the data sets tell the group.

    Returns
    -------
    list of PublishedOverlay
        One per group and noise level with both rows and published results.
    """
    known = published("ground-truth", edition=2021)
    group = rows["dataset"].str.split("_").str[0].str.capitalize()
    found: list[PublishedOverlay] = []
    for (name, noise), part in rows.groupby([group, rows["noise"]], sort=True):
        reference = known[(known["data_group"] == name) & (known["target_noise"] == noise)]
        if len(reference):
            table = pd.concat([_measured(part), _published(reference)], ignore_index=True)
            found.append(PublishedOverlay(str(name), float(noise), table))
    return found


def _measured(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for method in in_order(set(rows["method"])):
        own = rows[rows["method"] == method]
        decided = own["solved"].dropna()
        lines.append(
            {
                "name": spec(method).label, "method": method, "is_published": False,
                "accuracy": float(own["acc999"].mean()),
                "solved": float(decided.astype(float).mean()) if len(decided) else float("nan"),
                "n_datasets": own["dataset"].nunique(),
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _published(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.pivot_table(index="algorithm", columns="metric", values="value")
    out = pd.DataFrame({"name": wide.index, "method": "", "is_published": True})
    for metric, (column, factor) in _GROUND_TRUTH.items():
        out[column] = wide[metric].to_numpy() * factor
    return out.assign(n_datasets=int(rows["n_datasets"].max()))


def draw(overlay: PublishedOverlay) -> Figure:
    """Shares of accurate and of symbolically solved fits: measured filled, published hollow."""
    table = overlay.table.sort_values(["accuracy", "solved"]).reset_index(drop=True)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(8.6, 1.2 + 0.24 * len(table)), layout="constrained")
        left, right = fig.subplots(1, 2, sharey=True)
        for ax, column, label in (
            (left, "accuracy", "share of fits with test R² > .999"),
            (right, "solved", "share with the symbolic solution"),
        ):
            for place, line in table.iterrows():
                look = spec(line["method"])
                hollow = bool(line["is_published"])
                ax.plot(
                    line[column], place, "o" if hollow else look.marker, markersize=6,
                    color=_PUBLISHED_COLOUR if hollow else look.colour,
                    markerfacecolor="white" if hollow else look.colour,
                )  # fmt: skip
            ax.set(xlabel=label, xlim=(-0.03, 1.03), ylim=(-0.7, len(table) - 0.3))
        left.set_yticks(range(len(table)), list(table["name"]))
        for tick, hollow in zip(left.get_yticklabels(), table["is_published"], strict=True):
            tick.set(**{"color": "#667085"} if hollow else {"color": _INK, "weight": "bold"})
        marks = [
            Line2D([], [], marker="o", linestyle="", color=colour, mfc=face, label=label)
            for colour, face, label in (
                (_INK, _INK, "measured here"), (_PUBLISHED_COLOUR, "white", LABEL)
            )
        ]  # fmt: skip
        fig.legend(handles=marks, loc="outside upper left", ncols=2, fontsize=8.5)
    return fig

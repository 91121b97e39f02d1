"""Published results beside our rows: other machines, other budgets, so hollow and labelled."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.baselines.published import LABEL, published
from equate_srbench.report.figures.compare_figures import STYLE

_PUBLISHED_COLOUR, _INK = "#8a8f98", "#1c2430"
#: Metric of SRBench -> (our column, factor to a share).
_GROUND_TRUTH = {
    "accuracy_solution_mean": ("accuracy", 1.0),
    "symbolic_solution_rate_pct_mean": ("solved", 0.01),
}


@dataclass(frozen=True)
class Standing:
    """One group of data sets: our rows and what was published about the same group.

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
    def ours(self) -> pd.DataFrame:
        """Measured here."""
        return self.table[~self.table["is_published"]]

    @property
    def caption(self) -> str:
        """What the figure shows."""
        return f"{self.group}: filled is measured here, hollow is published for all its data sets."

    @property
    def words(self) -> str:
        """Where our best method would stand, in a sentence; of equals, the first that was named."""
        lines = self.ours
        if lines.empty:
            return ""
        best = lines.loc[lines["accuracy"].idxmax()]
        others = self.table[self.table["is_published"]]
        ahead = int((others["accuracy"] > best["accuracy"]).sum())
        most = int(others["n_datasets"].max())
        return (
            f"{self.group}{f', noise {self.noise:g}' if self.noise else ''}: {best['name']} has "
            f"R² > .999 on {100 * best['accuracy']:.1f} % of {int(best['n_datasets'])} data sets; "
            f"{ahead} of {len(others)} published methods (on {most} sets, {LABEL}) have more."
        )


def standings(rows: pd.DataFrame) -> list[Standing]:
    """Our rows of the ground-truth sets beside SRBench's published ones.

    Parameters
    ----------
    rows : DataFrame
        As ``RowStore.frame`` gives it; groups are told apart by the names of the data sets.

    Returns
    -------
    list of Standing
        One per group and published noise level that we have rows of; without any, empty.
    """
    known = published("ground-truth", edition=2021)
    group = rows["dataset"].str.split("_").str[0].str.capitalize()
    found = []
    for (name, noise), part in rows.groupby([group, rows["noise"]], sort=True):
        theirs = known[(known["data_group"] == name) & (known["target_noise"] == noise)]
        if len(theirs):
            table = pd.concat([_ours(part), _theirs(theirs)], ignore_index=True)
            found.append(Standing(str(name), float(noise), table))
    return found


def _ours(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for method in in_order(set(rows["method"])):
        own = rows[rows["method"] == method]
        judged = own["solved"].dropna()
        lines.append(
            {
                "name": spec(method).label, "method": method, "is_published": False,
                "accuracy": float(own["acc999"].mean()),
                "solved": float(judged.astype(float).mean()) if len(judged) else float("nan"),
                "n_datasets": own["dataset"].nunique(),
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _theirs(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.pivot_table(index="algorithm", columns="metric", values="value")
    out = pd.DataFrame({"name": wide.index, "method": "", "is_published": True})
    for metric, (column, factor) in _GROUND_TRUTH.items():
        out[column] = wide[metric].to_numpy() * factor
    return out.assign(n_datasets=int(rows["n_datasets"].max()))


def draw(standing: Standing) -> Figure:
    """Share of accurate and of symbolically solved data sets, ours filled, published hollow."""
    table = standing.table.sort_values(["accuracy", "solved"]).reset_index(drop=True)
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
                (_INK, _INK, "our rows, this machine"), (_PUBLISHED_COLOUR, "white", LABEL)
            )
        ]  # fmt: skip
        fig.legend(handles=marks, loc="outside upper left", ncols=2, fontsize=8.5)
    return fig

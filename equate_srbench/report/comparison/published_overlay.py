"""Measured rows beside published results, which come from other machines and budgets."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.baselines.published import LABEL, published, published_on
from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block

_PUBLISHED_COLOUR, _INK = "#8a8f98", "#1c2430"
#: Metric of SRBench -> (column, factor that makes it a share).
_GROUND_TRUTH = {
    "accuracy_solution_mean": ("accuracy", 1.0),
    "symbolic_solution_rate_pct_mean": ("solved", 0.01),
}
#: Published metric -> (what it says, our share that is measured most alike).
_SHARES = {
    "single_precision": ("error on test rows below single precision", "single"),
    "rediscovered": ("law rediscovered (ours: recovered)", "recovered"),
    "exact_form": ("law in its exact form (ours: recovered)", "recovered"),
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


def beside(block: Block) -> pd.DataFrame:
    """List the published results on a suite with the measured ones of the same kind.

    Parameters
    ----------
    block : Block

    Returns
    -------
    DataFrame
        ``measure``, ``name``, ``is_published``, ``value`` (a share or an R2), ``low`` and ``high``
        (95 % interval or NaN), ``nodes``, ``n_datasets``, ``budget``, ``machine``, ``source``; by
        measure, the measured methods first. Empty if nothing was published on the suite.
    """
    known = published_on(block.suite, block.noise)
    if known.empty or not block.pairs:
        return pd.DataFrame()
    table = compare.summary(block)
    parts = []
    for metric, (measure, column) in _SHARES.items():
        theirs = known[known["metric"] == metric]
        if len(theirs):
            parts += [_shares(block, table, column).assign(measure=measure, is_published=False),
                      _named(theirs).assign(measure=measure)]  # fmt: skip
    for dataset, theirs in known[known["metric"] == "r2_test"].groupby("dataset", sort=False):
        parts += [_on_one(block, str(dataset)), _named(theirs).assign(measure=f"R² of {dataset}")]
    columns = ["measure", "name", "is_published", "value", "low", "high", "nodes", "n_datasets",
               "budget", "machine", "source"]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[columns]


def _named(theirs: pd.DataFrame) -> pd.DataFrame:
    source = theirs["source"].where(theirs["checked"] == "yes", theirs["source"] + "; not re-read")
    return theirs.assign(name=theirs["algorithm"], is_published=True, source=source)


def _shares(block: Block, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The share ``column`` of each measured method."""
    lines = []
    for method, line in table.iterrows():
        rows = block.rows[block.rows["method"] == method]
        low, high = compare.interval(rows.groupby("dataset")[column].mean().to_numpy(float))
        lines.append(
            {"name": line["label"], "value": line[column], "low": low, "high": high,
             "nodes": line["nodes"], "n_datasets": rows["dataset"].nunique()} | _conditions(rows)
        )  # fmt: skip
    return pd.DataFrame(lines)


def _on_one(block: Block, dataset: str) -> pd.DataFrame:
    """R2 and nodes of each measured method on one data set; no rows if it was not run."""
    rows = block.rows[block.rows["dataset"] == dataset]
    lines = [
        {"measure": f"R² of {dataset}", "name": spec(method).label, "is_published": False,
         "value": own["accuracy"].median(), "nodes": own["complexity"].astype(float).median(),
         "n_datasets": 1} | _conditions(own)
        for method, own in rows.groupby("method")
    ]  # fmt: skip
    return pd.DataFrame(lines)


def _conditions(rows: pd.DataFrame) -> dict[str, str]:
    limits = ", ".join(f"{limit:g}" for limit in sorted(set(rows["max_time"])))
    machines = ", ".join(sorted(set(rows["cpu"].dropna().astype(str)))) or "unknown"
    return {"budget": f"{limits} s a fit (limit)", "machine": machines, "source": "measured here"}


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

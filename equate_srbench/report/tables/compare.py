"""Comparison of methods from the rows of a benchmark, as tables.

A fit without a result counts as wrong: it lowers shares, and ranks below all others in medians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.bench import stats

#: 1 - R2 below which a formula counts as exact.
EXACT = 1e-9
#: The same for an error below single precision: FastSRB's measure.
SINGLE = float(np.finfo(np.float32).eps)
#: Shares with an interval -> columns of the rows.
_SHARES = {
    "recovered": "recovered", "short": "short", "r2_99": "correct99", "r2_999": "correct999",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Fits of several methods on the same data sets, of one suite and noise level.

    Attributes
    ----------
    suite : str
    noise : float
    rows : DataFrame
        One row per fit of ``pairs``, with the columns ``correct99``, ``correct999``, ``exact`` and
        ``single`` added, and ``accuracy``: test R2, -inf without a result. A fit without a result
        is not ``recovered`` and not ``short`` where other fits are judged.
    pairs : int
        Number of (data set, seed) pairs that every method was run on.
    left_out : int
        Number of rows of other pairs, which are not compared.
    """

    suite: str
    noise: float
    rows: pd.DataFrame
    pairs: int
    left_out: int

    @property
    def title(self) -> str:
        """Suite and noise level as a heading."""
        return self.suite + (f", noise {self.noise:g}" if self.noise else "")

    @property
    def methods(self) -> list[str]:
        """Methods in display order."""
        return in_order(set(self.rows["method"]))

    def table(self, value: str) -> pd.DataFrame:
        """Median over seeds of ``value``: one row per data set, one column per method."""
        table = self.rows.pivot_table(
            index="dataset", columns="method", values=value, aggfunc="median", dropna=False
        )
        return table[self.methods]


def scores(block: Block) -> pd.DataFrame:
    """Test R2 by data set and method, where all exact formulas tie at 1."""
    table = block.table("accuracy")
    return table.mask(table > 1.0 - EXACT, 1.0)


def blocks(frame: pd.DataFrame) -> list[Block]:
    """Split rows by suite and noise level, keeping the data sets and seeds that all methods share.

    Parameters
    ----------
    frame : DataFrame
        As from ``RowStore.frame``.

    Returns
    -------
    list of Block
        Ordered by suite, then noise level.
    """
    frame = frame.assign(accuracy=frame["r2_test"].astype(float).fillna(-np.inf))
    frame = frame.assign(
        correct99=frame["accuracy"] > 0.99,
        correct999=frame["accuracy"] > 0.999,
        exact=frame["accuracy"] > 1.0 - EXACT,
        single=frame["accuracy"] >= 1.0 - SINGLE,
        failed=frame["status"] != "ok",
    )
    out = []
    for (suite, noise), rows in frame.groupby(["suite", "noise"], sort=True):
        n_methods = rows["method"].nunique()
        pair = rows["dataset"] + "/" + rows["seed"].astype(str)
        counts = rows.groupby(pair)["method"].nunique()
        rows = rows.assign(**{name: _judged(rows, name) for name in ("recovered", "short")})
        shared = pair.isin(counts.index[counts == n_methods])
        out.append(
            Block(
                str(suite),
                float(noise),
                rows[shared].reset_index(drop=True),
                int((counts == n_methods).sum()),
                int((~shared).sum()),
            )
        )
    return out


def _judged(rows: pd.DataFrame, name: str) -> pd.Series:
    """A verdict as 0, 1 or NaN: 0 for a fit without a result, if the law of others is known."""
    if name not in rows:  # rows published before there was such a verdict
        return pd.Series(np.nan, index=rows.index)
    values = rows[name].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    verdicts = pd.Series(values, index=rows.index)
    if verdicts.isna().all():
        return verdicts
    return verdicts.mask(rows["failed"] & verdicts.isna(), 0.0)


def summary(block: Block) -> pd.DataFrame:
    """Summarise each method in one row.

    Returns
    -------
    DataFrame
        Index: method. Columns: ``label``, ``fits``, ``failed``; the shares ``recovered``,
        ``short`` (recovered and short; both NaN without a law), ``r2_99``, ``r2_999`` (all with
        ``_low`` and ``_high``, a 95 % bootstrap interval over data sets), ``exact``, ``single``,
        ``solved`` (among the fits for which it could be decided; NaN if none) and the count
        ``undecided``; the medians ``r2``, ``nodes``, ``seconds``; ``rank``, the mean rank of the
        accuracy.
    """
    lines = []
    ranks = stats.average_ranks(scores(block))
    for method in block.methods:
        rows = block.rows[block.rows["method"] == method]
        decided = rows["solved"].dropna()
        line = {
            "method": method,
            "label": spec(method).label,
            "fits": len(rows),
            "failed": int(rows["failed"].sum()),
            "exact": float(rows["exact"].mean()),
            "single": float(rows["single"].mean()),
            "solved": float(decided.astype(float).mean()) if len(decided) else np.nan,
            "undecided": int((rows["solved_reason"].notna() & rows["solved"].isna()).sum()),
            "r2": _median(rows["accuracy"]),
            "nodes": _median(rows["complexity"]),
            "seconds": _median(rows["fit_seconds"]),
            "rank": float(ranks[method]),
        }
        for name, column in _SHARES.items():
            values = rows.groupby("dataset")[column].mean().to_numpy(float)
            low, high = interval(values)
            mean = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
            line |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        lines.append(line)
    return pd.DataFrame(lines).set_index("method")


def _median(values: pd.Series) -> float:
    values = values.astype(float)
    return float(values.median()) if values.notna().any() else np.nan


def interval(values: np.ndarray, statistic: str = "mean") -> tuple[float, float]:
    """95 % bootstrap percentile interval of the mean or median over data sets.

    (NaN, NaN) if the values are all equal or fewer than two: there is no spread to resample.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2 or np.ptp(values) == 0.0:
        return np.nan, np.nan
    return stats.bootstrap_interval(values, getattr(np, statistic), rng=np.random.default_rng(0))


def paired(block: Block) -> pd.DataFrame:
    """Compare the method of the best mean rank with each other method, paired by data set.

    Returns
    -------
    DataFrame
        As returned by ``stats.wilcoxon_holm``: ``a``, ``b``, ``wins``, ``ties``, ``losses``,
        ``difference`` (median of test R2), ``p`` and ``p_holm``; empty for a single method.
    """
    table = scores(block)
    return stats.wilcoxon_holm(table, against=str(stats.average_ranks(table).index[0]))


def to_markdown(table: pd.DataFrame) -> str:
    """Format ``summary`` as a Markdown table: shares in %, intervals in brackets."""
    lines = [
        "| method | fits (failed) | recovered | and short | R² > .99 | R² > .999 | exact | "
        "solved | median R² | mean rank | median nodes | median s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for _, r in table.iterrows():
        failed = f" ({r['failed']})" if r["failed"] else ""
        cells = [
            r["label"],
            f"{r['fits']}{failed}",
            *(_share(r[name], r[f"{name}_low"], r[f"{name}_high"]) for name in _SHARES),
            _share(r["exact"]),
            _share(r["solved"]),
            "-" if not np.isfinite(r["r2"]) else f"{r['r2']:.4f}",
            f"{r['rank']:.2f}",
            "-" if np.isnan(r["nodes"]) else f"{r['nodes']:.0f}",
            "-" if np.isnan(r["seconds"]) else f"{r['seconds']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def to_text(table: pd.DataFrame) -> str:
    """Format ``summary`` as plain text for a terminal."""
    text = pd.DataFrame(
        {
            "fits": table["fits"],
            "failed": table["failed"],
            "recovered": table["recovered"].map(_share),
            "and short": table["short"].map(_share),
            "R2 > .99": table["r2_99"].map(_share),
            "R2 > .999": table["r2_999"].map(_share),
            "exact": table["exact"].map(_share),
            "solved": table["solved"].map(_share),
            "median R2": table["r2"].map("{:.4f}".format),
            "mean rank": table["rank"].map("{:.2f}".format),
            "nodes": table["nodes"].map("{:.0f}".format),
            "seconds": table["seconds"].map("{:.1f}".format),
        }
    ).set_axis(table["label"], axis=0)
    text.index.name = None
    return str(text.to_string())


def _share(value: float, low: float = np.nan, high: float = np.nan) -> str:
    if np.isnan(value):
        return "-"
    return f"{100 * value:.1f}" + (f" ({100 * low:.0f}-{100 * high:.0f})" if low == low else "")

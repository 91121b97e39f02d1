"""What rows say, in words and short tables: who leads, and where the first method loses."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.baselines.methods import spec
from equate_srbench.report.notebooks.show import joined, percent
from equate_srbench.report.tables.compare import Block, summary

#: Two R2 that differ by less are the same on a data set.
SAME = 1e-3
_STILL_IMPROVING = 0.8  # share of the time after which a gain means that time ran out
_FIRST_TRIES = 0.3  # share of the time before which the last gain means that search did nothing


def subject(block: Block) -> str:
    """The method that a report is about: EQUATE if it was run, else the first one."""
    return next((m for m in block.methods if m.startswith("equate")), block.methods[0])


def headline(block: Block) -> list[str]:
    """The comparison in three sentences, from the rows alone."""
    table = summary(block)
    own = subject(block)
    label, n_sets = spec(own).label, block.rows["dataset"].nunique()
    said = [f"{label} reaches test R² > .99 on {percent(table.loc[own, 'r2_99'])}"]
    rivals = table.drop(index=own)
    if len(rivals):
        best = rivals["r2_99"].max()
        leaders = [spec(str(m)).label for m in rivals.index[rivals["r2_99"] == best]]
        said.append(f"; the best of the others, {joined(leaders)}, on {percent(best)}")
    accuracy = f"On {_sets(n_sets)} of {block.title}, {''.join(said)}."
    size = _listed(table, own, "nodes", "{:.0f}", "The median size of its formulas is, in nodes,")
    seconds = _listed(table, own, "seconds", "{:.1f} s", "A fit takes a median of")
    return [accuracy, f"{size} {seconds}", _lost(block, own)]


def _sets(count: int) -> str:
    return "the one data set" if count == 1 else f"the {count} data sets"


def _listed(table: pd.DataFrame, own: str, column: str, form: str, begin: str) -> str:
    values = {m: form.format(v) for m, v in table[column].items() if not math.isnan(v)}
    if own not in values:
        return ""
    others = [f"{spec(str(m)).label} {v}" for m, v in values.items() if m != own]
    return f"{begin} {values[own]}" + (f" ({', '.join(others)})." if others else ".")


def _lost(block: Block, own: str) -> str:
    if len(block.methods) < 2:
        return ""
    beaten = losses(block)
    label, n_sets = spec(own).label, block.rows["dataset"].nunique()
    if beaten.empty:
        return f"No other method is more accurate than {label} on any data set (by R² {SAME:g})."
    reasons = beaten["reason"].value_counts()
    why = joined([f"on {count} it {reason}" for reason, count in reasons.items()])
    return f"It loses on {len(beaten)} of {n_sets} data sets: {why}."


def losses(block: Block) -> pd.DataFrame:
    """Data sets on which another method is more accurate, the largest gap first.

    Returns
    -------
    DataFrame
        Columns ``dataset``, ``own`` and ``best`` (median test R2 over seeds, -inf without a
        result), ``method`` (whose is the best), ``own_nodes``, ``best_nodes``, ``reason`` (what
        the row of the first method tells about it) and ``model``.
    """
    own = subject(block)
    scores, nodes = block.table("accuracy"), block.table("complexity").astype(float)
    lines = []
    for dataset, row in scores.iterrows():
        best = row.drop(index=own).idxmax() if len(row) > 1 else own
        # capped at 0: nobody has lost by being wrong in another way
        if max(row[best], 0.0) - max(row[own], 0.0) <= SAME:
            continue
        rows = block.rows[(block.rows["dataset"] == dataset) & (block.rows["method"] == own)]
        worst = rows.loc[rows["accuracy"].idxmin()]
        lines.append(
            {
                "dataset": dataset, "own": row[own], "best": row[best], "method": best,
                "own_nodes": nodes.loc[dataset, own], "best_nodes": nodes.loc[dataset, best],
                "reason": reason(worst), "model": worst["model"] or "",
            }
        )  # fmt: skip
    columns = ["dataset", "own", "best", "method", "own_nodes", "best_nodes", "reason", "model"]
    table = pd.DataFrame(lines, columns=columns)
    gap = np.maximum(table["best"], 0.0) - np.maximum(table["own"], 0.0)
    return table.iloc[np.argsort(-gap.to_numpy(float), kind="stable")].reset_index(drop=True)


def reason(row: pd.Series) -> str:
    """What a row tells about why its fit is not better, in a few words."""
    if row["status"] != "ok":
        return f"gave no result ({row['status']})"
    fit, test = float(row["r2_train"]), float(row["r2_test"])
    if fit - test > 0.05:
        return "fits its rows but not the test rows"
    if fit > 0.999:
        return "is almost exact, a rival is closer"
    improved = _last_gain(row["trace"])
    if improved is None:
        return "is less accurate"
    if improved > _STILL_IMPROVING * float(row["max_time"]):
        return "was still improving when the time was up"
    if improved < _FIRST_TRIES * float(row["fit_seconds"]):
        return "found nothing better after its first tries"
    return "got stuck"


def _last_gain(trace: Any) -> float | None:
    """Seconds until the last improvement, None where a method does not tell."""
    points = json.loads(trace) if isinstance(trace, str) else None
    return float(points[-1][0]) if points else None


def checks(findings: Sequence[Any]) -> str:
    """How a submission did in the checks of the contract, in a sentence."""
    counts = {ok: sum(f.ok is ok for f in findings) for ok in (True, False, None)}
    if counts[False]:
        failed = joined([f.name for f in findings if f.ok is False])
        return f"{counts[False]} of {len(findings)} checks of the contract fail: {failed}."
    left = f", {counts[None]} are for a person to decide" if counts[None] else ""
    return f"The submission passes {counts[True]} of {len(findings)} checks of the contract{left}."

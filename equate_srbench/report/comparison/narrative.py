"""Summary of a comparison in sentences: which method leads, and where and why EQUATE loses."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.baselines.methods import spec
from equate_srbench.report.formatting import joined, percent
from equate_srbench.report.tables.compare import Block, summary
from equate_srbench.srbench.findings import Finding

#: Smaller differences of R2 count as ties.
TIE_TOLERANCE = 1e-3
_LATE = 0.8  # share of the time limit: a later last improvement means that time ran out
_EARLY = 0.3  # share of the fit time: an earlier last improvement means that the search was idle


def subject(block: Block) -> str:
    """The method that the report is about: EQUATE if it was run, otherwise the first one."""
    return next((m for m in block.methods if m.startswith("equate")), block.methods[0])


def headline(block: Block) -> list[str]:
    """Summarise the comparison in three sentences."""
    table = summary(block)
    own = subject(block)
    label, n_sets = spec(own).label, block.rows["dataset"].nunique()
    clauses = [f"{label} reaches test R² > .99 on {percent(table.loc[own, 'r2_99'])}"]
    rivals = table.drop(index=own)
    if len(rivals):
        best = rivals["r2_99"].max()
        leaders = [spec(str(m)).label for m in rivals.index[rivals["r2_99"] == best]]
        clauses.append(f"; the best of the others, {joined(leaders)}, on {percent(best)}")
    accuracy = f"On {_sets(n_sets)} of {block.title}, {''.join(clauses)}."
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
        return (
            f"No other method is more accurate than {label} on any data set (by R² > "
            f"{TIE_TOLERANCE:g})."
        )
    reasons = beaten["reason"].value_counts()
    why = joined([f"on {count} it {reason}" for reason, count in reasons.items()])
    return f"It loses on {len(beaten)} of {n_sets} data sets: {why}."


def losses(block: Block) -> pd.DataFrame:
    """Data sets on which another method is more accurate, ordered by decreasing gap.

    Returns
    -------
    DataFrame
        Columns ``dataset``, ``own`` and ``best`` (median test R2 over seeds, -inf without a
        result), ``method`` (that has the best), ``own_nodes``, ``best_nodes``, ``reason`` (see
        ``reason``, for the worst seed of the subject) and ``model``.
    """
    own = subject(block)
    scores, nodes = block.table("accuracy"), block.table("complexity").astype(float)
    lines = []
    for dataset, row in scores.iterrows():
        best = row.drop(index=own).idxmax() if len(row) > 1 else own
        # clipped at 0: among useless formulas there is no loser
        if max(row[best], 0.0) - max(row[own], 0.0) <= TIE_TOLERANCE:
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
    """Classify from its row why a fit is not more accurate, as a verb phrase."""
    if row["status"] != "ok":
        return f"gave no result ({row['status']})"
    fit, test = float(row["r2_train"]), float(row["r2_test"])
    if fit - test > 0.05:
        return "overfits (accurate on the fit rows, not on the test rows)"
    if fit > 0.999:
        return "is almost exact, but another method is closer"
    improved = _last_gain(row["trace"])
    if improved is None:
        return "is less accurate"
    if improved > _LATE * float(row["max_time"]):
        return "was still improving at the time limit"
    if improved < _EARLY * float(row["fit_seconds"]):
        return "found no improvement after an early candidate"
    return "stagnated"


def _last_gain(trace: Any) -> float | None:
    """Seconds until the last improvement; None if the method does not record it."""
    points = json.loads(trace) if isinstance(trace, str) else None
    return float(points[-1][0]) if points else None


def contract(findings: Sequence[Finding]) -> str:
    """Summarise the checks of a submission against SRBench's contract in one sentence."""
    counts = {ok: sum(f.ok is ok for f in findings) for ok in (True, False, None)}
    if counts[False]:
        failed = joined([f.name for f in findings if f.ok is False])
        return f"{counts[False]} of {len(findings)} contract checks fail: {failed}."
    left = f", {counts[None]} to be decided by a person" if counts[None] else ""
    return f"The submission passes {counts[True]} of {len(findings)} contract checks{left}."

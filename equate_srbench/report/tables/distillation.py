"""Effect of smooth teachers on their students, from the rows of ``distilled`` fits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.baselines.methods import spec
from equate_srbench.bench import stats

#: Smaller R2 count as this: how far off a diverging prediction is means nothing.
R2_FLOOR = 0.0
#: Baseline R2 below which no relative change is reported.
MIN_BASELINE_R2 = 0.05
#: Significance level of the paired tests.
ALPHA = 0.05


def settings(student: str, strengths: Sequence[float]) -> list[dict[str, Any]]:
    """Settings of ``distilled``: each strength alone, 0 included, then a choice among all."""
    tried = sorted({0.0, *map(float, strengths)})
    common = {"student": student, "lipschitz": [0.0]}
    return [{**common, "jacobian": given} for given in [*([s] for s in tried), tried]]


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Add to each row its student, its kind of teacher and its scores.

    Parameters
    ----------
    rows : DataFrame
        As returned by ``RowStore.frame``.

    Returns
    -------
    DataFrame
        With ``student`` (a method), ``variant`` (``alone``: no teacher; ``standard``: a teacher
        without penalties; ``fixed``: one strength; ``chosen``: strengths chosen by the student's
        accuracy), ``jacobian`` and ``lipschitz`` (strengths of the teacher's penalties; NaN
        without a teacher), ``teacher_r2`` (test), ``fidelity`` and ``score`` (test R2, at least
        0; 0 for a fit without a result).
    """
    settings = rows["settings"].map(json.loads)
    teacher = rows["teacher"].map(lambda text: json.loads(text) or {})
    score = rows["r2_test"].astype(float).where(rows["status"] == "ok").fillna(R2_FLOOR)
    pairs = list(zip(rows["method"], settings, strict=True))
    return rows.assign(
        student=[_student(method, given) for method, given in pairs],
        variant=[_variant(method, given) for method, given in pairs],
        jacobian=teacher.map(lambda t: t.get("jacobian", np.nan)).astype(float),
        lipschitz=teacher.map(lambda t: t.get("lipschitz", np.nan)).astype(float),
        teacher_r2=teacher.map(lambda t: t.get("r2_test", np.nan)).astype(float),
        fidelity=teacher.map(lambda t: t.get("fidelity", np.nan)).astype(float),
        score=score.clip(lower=R2_FLOOR),
    )


def _student(method: str, settings: dict[str, Any]) -> str:
    if method != "distilled":
        return method
    given = settings.get("student", "equate-fast")
    return str(given if isinstance(given, str) else given["method"])


def _variant(method: str, settings: dict[str, Any]) -> str:
    if method != "distilled":
        return "alone"
    strengths = [settings.get(name) for name in ("jacobian", "lipschitz")]
    if any(values is None or len(values) > 1 for values in strengths):
        return "chosen"
    return "standard" if strengths == [[0.0], [0.0]] else "fixed"


def by_dataset(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare standard teachers with chosen strengths, for every student and data set.

    Parameters
    ----------
    rows : DataFrame
        As returned by ``labelled``.

    Returns
    -------
    DataFrame
        Index (student, dataset): ``alone``, ``standard``, ``chosen`` (median test R2 over seeds),
        ``difference``, ``relative`` (difference / standard; NaN where ``standard`` is below
        ``MIN_BASELINE_R2``), ``p`` (two-sided Wilcoxon test over seeds) and ``p_holm`` (corrected
        over the data sets of a student).
    """
    parts = []
    for student, part in rows.groupby("student", sort=False):
        for dataset, fits in part.groupby("dataset", sort=True):
            scores = fits.pivot_table(
                index=["noise", "seed"], columns="variant", values="score", aggfunc="first"
            )
            if not {"standard", "chosen"} <= set(scores.columns):
                continue
            pairs = scores[["chosen", "standard"]].dropna()
            tested = stats.wilcoxon_holm(pairs, against="chosen", floor=R2_FLOOR).iloc[0]
            medians = pairs.median()
            alone = scores["alone"].median() if "alone" in scores else np.nan
            parts.append((student, dataset, alone, medians["standard"], medians["chosen"],
                          tested["p"]))  # fmt: skip
    names = ["student", "dataset", "alone", "standard", "chosen", "p"]
    table = pd.DataFrame(parts, columns=names).set_index(["student", "dataset"])
    table["difference"] = table["chosen"] - table["standard"]
    table["relative"] = (table["difference"] / table["standard"]).where(
        table["standard"] >= MIN_BASELINE_R2
    )
    groups = table.groupby("student", sort=False)["p"]
    table["p_holm"] = groups.transform(lambda p: stats.holm(p)) if len(table) else table["p"]
    return table


def by_student(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare standard teachers with chosen strengths over all data sets, one row per student.

    Returns
    -------
    DataFrame
        Index student: ``sets`` (number of data sets); ``alone``, ``standard``, ``chosen`` (means
        over data sets of the median test R2); ``difference`` (mean), ``relative`` (median);
        ``better``, ``worse`` (numbers of data sets), of which ``sure_better``, ``sure_worse`` are
        significant after Holm's correction; ``p`` (Wilcoxon test over data sets);
        ``teacher_standard``, ``teacher_chosen`` (mean test R2 of the teachers) and
        ``nodes_standard``, ``nodes_chosen`` (median size).
    """
    lines = []
    for student, part in by_dataset(rows).groupby("student", sort=False):
        fits = rows[(rows["student"] == student) & rows["variant"].isin(["standard", "chosen"])]
        of = fits.groupby("variant")
        teacher = of["teacher_r2"].mean()
        nodes = fits.assign(nodes=fits["complexity"].astype(float)).groupby("variant")["nodes"]
        sure = part["p_holm"] < ALPHA
        gain, loss = part["difference"] > 0, part["difference"] < 0
        lines.append({
            "student": student, "sets": len(part),
            **part[["alone", "standard", "chosen", "difference"]].mean().to_dict(),
            "relative": part["relative"].median(),
            "better": int(gain.sum()), "worse": int(loss.sum()),
            "sure_better": int((gain & sure).sum()), "sure_worse": int((loss & sure).sum()),
            "p": stats.wilcoxon_holm(part[["chosen", "standard"]], floor=R2_FLOOR)["p"].iloc[0],
            "teacher_standard": teacher["standard"], "teacher_chosen": teacher["chosen"],
            "nodes_standard": nodes.median()["standard"], "nodes_chosen": nodes.median()["chosen"],
        })  # fmt: skip
    return pd.DataFrame(lines).set_index("student") if lines else pd.DataFrame()


def describe(table: pd.DataFrame) -> list[str]:
    """Describe ``by_student`` in one sentence per student, absolute change first."""
    sentences = []
    for student, line in table.iterrows():
        relative = (
            "" if pd.isna(line["relative"]) else f", {100 * line['relative']:+.1f} % (median)"
        )
        sentences.append(
            f"{spec(str(student)).label}: mean test R² {line['standard']:.3f} with a plain "
            f"teacher and {line['chosen']:.3f} with chosen strengths, a change of "
            f"{line['difference']:+.3f}{relative}; better on {line['better']:.0f} and worse on "
            f"{line['worse']:.0f} of {line['sets']:.0f} data sets, significantly on "
            f"{line['sure_better']:.0f} and {line['sure_worse']:.0f} (Wilcoxon over seeds, Holm). "
            f"The teachers' own mean test R² is {line['teacher_standard']:.3f} and "
            f"{line['teacher_chosen']:.3f}."
        )
    return sentences

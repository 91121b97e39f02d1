"""What a smooth teacher does for its student: rows of ``distilled`` fits in tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from equate_srbench.bench import stats
from equate_srbench.report.compare_figures import STYLE
from equate_srbench.report.methods import style

#: R2 below counts as this: the size of a wild answer says nothing.
FLOOR = 0.0
#: Standard R2 below which a relative change says nothing.
SMALL = 0.05
#: Level of significance of the paired tests.
LEVEL = 0.05
_SMOOTH, _PLAIN, _POINTS = "#0072B2", "#D55E00", "#444444"


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with what they were made for.

    Parameters
    ----------
    rows : DataFrame
        As ``RowStore.frame`` gives it.

    Returns
    -------
    DataFrame
        With ``student`` (a method), ``variant`` (``alone``: no teacher; ``standard``: a teacher
        without penalties; ``fixed``: one strength; ``chosen``: strengths chosen by the student),
        ``jacobian`` (of the teacher; NaN without one), ``teacher_r2`` (test), ``fidelity`` and
        ``score`` (test R2, at least 0; 0 for a fit without a result).
    """
    settings = rows["settings"].map(json.loads)
    teacher = rows["teacher"].map(lambda text: json.loads(text) or {})
    score = rows["r2_test"].astype(float).where(rows["status"] == "ok").fillna(FLOOR)
    pairs = list(zip(rows["method"], settings, strict=True))
    return rows.assign(
        student=[_student(method, given) for method, given in pairs],
        variant=[_variant(method, given) for method, given in pairs],
        jacobian=teacher.map(lambda t: t.get("jacobian", np.nan)).astype(float),
        lipschitz=teacher.map(lambda t: t.get("lipschitz", np.nan)).astype(float),
        teacher_r2=teacher.map(lambda t: t.get("r2_test", np.nan)).astype(float),
        fidelity=teacher.map(lambda t: t.get("fidelity", np.nan)).astype(float),
        score=score.clip(lower=FLOOR),
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


def by_data_set(rows: pd.DataFrame) -> pd.DataFrame:
    """Standard and chosen strengths side by side, for every student and data set.

    Parameters
    ----------
    rows : DataFrame
        From ``labelled``.

    Returns
    -------
    DataFrame
        Index (student, dataset): ``alone``, ``standard``, ``chosen`` (median test R2 over seeds),
        ``difference``, ``relative`` (difference / standard; NaN where that is below ``SMALL``),
        ``p`` (Wilcoxon over seeds, two-sided) and ``p_holm`` (corrected over the data sets of a
        student).
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
            tested = stats.wilcoxon_holm(pairs, against="chosen", floor=FLOOR).iloc[0]
            medians = pairs.median()
            alone = scores["alone"].median() if "alone" in scores else np.nan
            parts.append((student, dataset, alone, medians["standard"], medians["chosen"],
                          tested["p"]))  # fmt: skip
    names = ["student", "dataset", "alone", "standard", "chosen", "p"]
    table = pd.DataFrame(parts, columns=names).set_index(["student", "dataset"])
    table["difference"] = table["chosen"] - table["standard"]
    table["relative"] = (table["difference"] / table["standard"]).where(table["standard"] >= SMALL)
    groups = table.groupby("student", sort=False)["p"]
    table["p_holm"] = groups.transform(lambda p: stats.holm(p)) if len(table) else table["p"]
    return table


def by_student(rows: pd.DataFrame) -> pd.DataFrame:
    """The comparison over all data sets, one line per student.

    Returns
    -------
    DataFrame
        Index student: ``sets``; ``alone``, ``standard``, ``chosen`` (means over data sets of the
        median test R2); ``difference`` (mean), ``relative`` (median); ``better``, ``worse``
        (data sets) and ``significant`` (of the better and of the worse ones, after Holm);
        ``p`` (Wilcoxon over data sets); ``teacher_standard``, ``teacher_chosen`` (mean test R2
        of the teachers) and ``nodes_standard``, ``nodes_chosen`` (median size).
    """
    lines = []
    for student, part in by_data_set(rows).groupby("student", sort=False):
        fits = rows[(rows["student"] == student) & rows["variant"].isin(["standard", "chosen"])]
        of = fits.groupby("variant")
        teacher = of["teacher_r2"].mean()
        nodes = fits.assign(nodes=fits["complexity"].astype(float)).groupby("variant")["nodes"]
        sure = part["p_holm"] < LEVEL
        gain, loss = part["difference"] > 0, part["difference"] < 0
        lines.append({
            "student": student, "sets": len(part),
            **part[["alone", "standard", "chosen", "difference"]].mean().to_dict(),
            "relative": part["relative"].median(),
            "better": int(gain.sum()), "worse": int(loss.sum()),
            "sure_better": int((gain & sure).sum()), "sure_worse": int((loss & sure).sum()),
            "p": stats.wilcoxon_holm(part[["chosen", "standard"]], floor=FLOOR)["p"].iloc[0],
            "teacher_standard": teacher["standard"], "teacher_chosen": teacher["chosen"],
            "nodes_standard": nodes.median()["standard"], "nodes_chosen": nodes.median()["chosen"],
        })  # fmt: skip
    return pd.DataFrame(lines).set_index("student") if lines else pd.DataFrame()


def in_words(table: pd.DataFrame) -> list[str]:
    """What ``by_student`` says, student by student, absolute change first."""
    said = []
    for student, line in table.iterrows():
        relative = (
            "" if pd.isna(line["relative"]) else f", {100 * line['relative']:+.1f} % (median)"
        )
        said.append(
            f"{style(str(student)).label}: mean test R² {line['standard']:.3f} with a plain "
            f"teacher and {line['chosen']:.3f} with chosen strengths, a change of "
            f"{line['difference']:+.3f}{relative}; better on {line['better']:.0f} and worse on "
            f"{line['worse']:.0f} of {line['sets']:.0f} data sets, significantly on "
            f"{line['sure_better']:.0f} and {line['sure_worse']:.0f} (Wilcoxon over seeds, Holm). "
            f"The teachers' own mean test R² is {line['teacher_standard']:.3f} and "
            f"{line['teacher_chosen']:.3f}."
        )
    return said


# -- pictures ----------------------------------------------------------------------------------


def over_strength(rows: pd.DataFrame) -> Figure | None:
    """Test R2 of student and teacher over the strength, one thin line per data set.

    Parameters
    ----------
    rows : DataFrame
        From ``labelled``, with one strength each; the others are left out.
    """
    fixed = rows[rows["variant"].isin(["standard", "fixed"]) & rows["jacobian"].notna()]
    fixed = fixed.assign(teacher_r2=fixed["teacher_r2"].clip(lower=FLOOR))
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


def one_column(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    grid: NDArray[np.float64],
    curves: Sequence[tuple[str, NDArray[np.float64]]],
    truth: NDArray[np.float64] | None = None,
) -> Figure:
    """Rows of one column, and what teachers say between them; the first curve is the plain one."""
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(4.3 * len(curves), 3.3), layout="constrained")
        panels = np.atleast_1d(fig.subplots(1, len(curves), sharey=True))
        for number, (ax, (label, values)) in enumerate(zip(panels, curves, strict=True)):
            ax.plot(x, y, ".", color=_POINTS, alpha=0.55, markersize=4, label="rows")
            if truth is not None:
                ax.plot(grid, truth, "--", color="#888888", linewidth=1.0, label="truth")
            colour = _SMOOTH if number else _PLAIN
            ax.plot(grid, values, color=colour, linewidth=1.8, label="teacher")
            ax.set(title=label, xlabel="x")
        panels[0].set_ylabel("y")
        panels[0].legend(loc="best")
    return fig


def two_columns(
    points: NDArray[np.float64],
    grids: tuple[NDArray[np.float64], NDArray[np.float64]],
    maps: Sequence[tuple[str, NDArray[np.float64]]],
    names: tuple[str, str] = ("x0", "x1"),
) -> Figure:
    """Teachers over two columns as maps with level lines, on one scale of colours.

    Parameters
    ----------
    points : ndarray of shape (n_rows, 2)
        The rows they were trained on.
    grids : tuple of 2 ndarrays
        Ticks of the two columns.
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
    """Change of the student's test R2 by chosen strengths, data set by data set.

    Parameters
    ----------
    table : DataFrame
        From ``by_data_set``.
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
            look = style(student)
            height = np.arange(len(names)) + 0.2 * (number - (len(students) - 1) / 2)
            sure = (part["p_holm"] < LEVEL).to_numpy()
            ax.plot(part["difference"], height, look.marker, color=look.colour, label=look.label,
                    markersize=5, fillstyle="none")  # fmt: skip
            ax.plot(part["difference"].to_numpy()[sure], height[sure], look.marker,
                    color=look.colour, markersize=5)  # fmt: skip
        ax.axvline(0.0, color="#444444", linewidth=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel("change of the student's test R² (filled: significant)")
        fig.legend(loc="outside upper left", ncols=3)
    return fig

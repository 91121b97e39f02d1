"""Tables of results for notebooks: benchmark rows, single fits, checks, and provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pandas as pd

from equate_srbench.baselines.methods import spec
from equate_srbench.bench.provenance import provenance
from equate_srbench.report.comparison.compare_page import conditions
from equate_srbench.report.formatting import (
    formula_excerpt,
    percent,
    r2_rounded,
    r2_text,
    setting_text,
    significant,
)
from equate_srbench.report.notebooks.show import Column, MimeBundle, key_values, table, text
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block
from equate_srbench.report.tables.record import FitRecord, by_source
from equate_srbench.srbench.findings import Finding

_MAX_FITS = 200

# -- rows of a benchmark -----------------------------------------------------------------------


def methods(block: Block) -> MimeBundle:
    """One row per method; see ``compare.summary``."""
    rows = compare.summary(block).reset_index()
    columns = {
        "method": Column("method"),
        "fits": Column("fits", kind="num"),
        "failed": Column("failed", kind="num"),
        "recovered": Column("recovered", percent, "num"),
        "short": Column("and short", percent, "num"),
        "r2_99": Column("R² > .99", percent, "num"),
        "r2_999": Column("R² > .999", percent, "num"),
        "exact": Column("exact", percent, "num"),
        "solved": Column("solved", percent, "num"),
        "r2": Column("median R²", r2_rounded, "num"),
        "nodes": Column("median nodes", significant(), "num"),
        "seconds": Column("median s", significant(3), "num"),
    }
    note = (
        "A fit without a result counts as wrong. Recovered: the formula also holds on ranges half "
        "as wide again; short: with at most 1.5 times the law's nodes or 6 more. Exact: "
        "1 - R² < 1e-9 on the test rows. Solved: symbolically equal to the true formula, among the "
        "fits where that could be decided."
    )
    return table(rows, columns, note)


def losses(rows: pd.DataFrame, subject: str) -> MimeBundle:
    """Data sets on which another method is more accurate; see ``narrative.losses``."""
    label = spec(subject).label
    if rows.empty:
        return text(f"None: no other method has an R² more than 0.001 above that of {label}.")
    columns = {
        "dataset": Column("data set"),
        "own": Column(f"R² of {label}", r2_rounded, "num"),
        "best": Column("best R²", r2_rounded, "num"),
        "method": Column("of"),
        "own_nodes": Column("nodes", significant(), "num"),
        "best_nodes": Column("nodes of the best", significant(), "num"),
        "reason": Column(f"why: {label}", kind="text"),
        "model": Column(f"formula of {label}", formula_excerpt, "wide"),
    }
    return table(rows, columns)


def failures(block: Block) -> MimeBundle:
    """Fits without a result, with the error."""
    rows = block.rows[block.rows["failed"]].sort_values(["method", "dataset"])
    if rows.empty:
        return text("Every fit gave a result.")
    columns = {
        "dataset": Column("data set"),
        "method": Column("method"),
        "status": Column("status"),
        "error": Column("reason", kind="wide"),
    }
    return table(rows, columns, "Fits without a result")


def fits(rows: pd.DataFrame, setting: str = "") -> MimeBundle:
    """One row per fit, with the value of a setting of its method if one is named."""
    rows = rows.sort_values(["dataset", "method", "noise", "seed"])
    columns = {
        "dataset": Column("data set"),
        "method": Column("method"),
        "r2_test": Column("test R²", r2_rounded, "num"),
        "complexity": Column("nodes", significant(), "num"),
        "fit_seconds": Column("s", significant(3), "num"),
        "model": Column("formula", formula_excerpt, "wide"),
    }
    if setting:
        rows = rows.assign(setting=rows["settings"].map(lambda found: json.loads(found)[setting]))
        rows = rows.sort_values(["dataset", "setting"])
        first = {"dataset": columns["dataset"], "setting": Column(setting, setting_text)}
        columns = first | columns
    elif rows["noise"].nunique() > 1:
        columns = {"noise": Column("noise", significant()), **columns}
    return table(rows, columns, max_rows=_MAX_FITS)


def sweep(rows: pd.DataFrame, name: str) -> MimeBundle:
    """One row per value of a setting; see ``sweep.by_setting``."""
    columns = {
        "value": Column(name, setting_text, "num"),
        "fits": Column("fits", kind="num"),
        "failed": Column("failed", kind="num"),
        "r2_99": Column("R² > .99", percent, "num"),
        "r2_999": Column("R² > .999", percent, "num"),
        "r2": Column("median R²", r2_rounded, "num"),
        "nodes": Column("median nodes", significant(), "num"),
        "seconds": Column("median s", significant(3), "num"),
    }
    return table(rows, columns)


def teachers(rows: pd.DataFrame) -> MimeBundle:
    """Students of standard teachers and of chosen strengths; see ``distillation.by_dataset``."""
    if rows.empty:
        return text("No data set has both a plain and a chosen strength.", kind="note")
    columns = {
        "dataset": Column("data set"),
        "standard": Column("R², plain teacher", r2_rounded, "num"),
        "chosen": Column("R², chosen strength", r2_rounded, "num"),
        "difference": Column("change", "{:+.4f}".format, "num"),
        "relative": Column("relative", percent, "num"),
        "p_holm": Column("p (Holm)", significant(2), "num"),
    }
    return table(rows.reset_index(), columns, "Test R² of the formula, median over seeds")


def trajectories(rows: pd.DataFrame) -> MimeBundle:
    """One row per fit of a suite with its search; see ``trajectory_runs.collect``."""
    columns = {
        "dataset": Column("data set"),
        "r2_test": Column("test R²", r2_rounded, "num"),
        "complexity": Column("nodes", significant(), "num"),
        "source": Column("reached by"),
        "n_proposals": Column("proposals of the ascent", significant(), "num"),
        "flip_rate": Column("flip rate", percent, "num"),
        "validity_rate": Column("valid", percent, "num"),
        "rank_correlation": Column("rank correlation", significant(2), "num"),
        "fit_seconds": Column("s", significant(3), "num"),
        "equation": Column("formula", formula_excerpt, "wide"),
    }
    return table(rows, columns, max_rows=_MAX_FITS)


def run_provenance(rows: pd.DataFrame) -> MimeBundle:
    """Conditions under which benchmark rows were made."""
    return key_values({**conditions(rows), "rows": f"{len(rows)} fits"})


# -- a single fit ------------------------------------------------------------------------------


def front(record: FitRecord) -> MimeBundle:
    """The Pareto front with the chosen formula highlighted; see ``FitRecord.ranking``."""
    columns = {"complexity": Column("size", kind="num"), "r2": Column("fit R²", r2_text, "num")}
    if record.test is not None:
        columns["test_r2"] = Column("test R²", r2_text, "num")
    columns["equation"] = Column("formula", formula_excerpt, "wide")
    return table(record.ranking(), columns, chosen="chosen")


def sources(record: FitRecord) -> MimeBundle:
    """Contribution of each source of formulas; see ``record.by_source``."""
    columns = {
        "source": Column("source"),
        "tried": Column("formulas", "{:,}".format, "num"),
        "best_r2": Column("best R²", r2_text, "num"),
        "records": Column("new bests", kind="num"),
        "on_front": Column("on the front", kind="num"),
    }
    return table(by_source(record), columns)


def constants(rows: pd.DataFrame) -> MimeBundle:
    """Constants of a formula with standard errors; see ``user_table.constants``."""
    if rows.empty:
        return text("The formula has no constants.")
    columns = {
        "value": Column("in the formula", "{:.17g}".format, "num"),
        "fitted": Column("by least squares", significant(8), "num"),
        "error": Column("standard error", significant(3), "num"),
    }
    return table(rows, columns)


def fit_provenance(record: FitRecord) -> MimeBundle:
    """How, where and when a fit was made."""
    machine = provenance().model_dump()
    named = ("package_version", "commit", "cpu", "cores", "python", "date")
    rows = {name: f"{len(part)} rows" for name, part in record.parts()}
    return key_values(
        {"table": record.table, **rows, **record.settings,
         **{name.replace("_", " "): str(machine[name]) for name in named}}
    )  # fmt: skip


# -- a submission ------------------------------------------------------------------------------


def findings(found: Iterable[Finding]) -> MimeBundle:
    """Checks of a submission, with their results and what to do."""
    results = {True: "pass", False: "FAIL", None: "to decide"}
    rows = pd.DataFrame([(results[f.ok], f.name, f.detail) for f in found])
    columns = {0: Column("result"), 1: Column("check"), 2: Column("detail", kind="wide")}
    return table(rows, columns, max_rows=200)

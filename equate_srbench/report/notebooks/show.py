"""What notebooks show: words, tables and pictures, with text from outside always as text.

Each object has a form that needs no script: what a page without a kernel shows.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from equate_srbench.bench.provenance import provenance as made_where
from equate_srbench.report.comparison.compare_page import conditions
from equate_srbench.report.figures.compare_figures import STYLE
from equate_srbench.report.figures.fit_figures import standalone
from equate_srbench.report.figures.methods import style
from equate_srbench.report.formatting import r2_text, short_formula
from equate_srbench.report.notebooks.catalogue import PROGRESS, STATIC
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block
from equate_srbench.report.tables.record import FitRecord, by_source
from equate_srbench.report.tables.sweep import spelled

#: After which a formula may go on in the next line.
_BREAKS = re.compile(r"(\*+|[/(,])(?=\S)")
#: Rows of a table of fits, and characters of a formula in one.
MOST_FITS, MOST_TEXT = 200, 160
_DPI = 130


@dataclass(frozen=True)
class Shown:
    """Something to display, by MIME type."""

    forms: dict[str, str | bytes]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return dict(self.forms)


@dataclass(frozen=True)
class Picture:
    """A figure as SVG, perhaps as PNG too, and what it shows in words."""

    svg: str
    png: bytes | None
    caption: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        forms: dict[str, str | bytes] = {"image/svg+xml": self.svg, "text/plain": self.caption}
        if self.png is not None:
            forms["image/png"] = self.png
        display(Shown(forms))
        display(words(self.caption, kind="caption"))


def picture(figure: Figure | None, caption: str) -> Picture | Shown:
    """A matplotlib figure with its caption; words where there was nothing to draw.

    Parameters
    ----------
    figure : Figure or None
    caption : str
        What to see in it; also the text for who sees no pictures.
    """
    if figure is None:
        return words(f"Nothing to draw: {caption}", kind="note")
    svg, png = io.StringIO(), io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": caption}):
        figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Creator", "Date")))
        figure.savefig(png, format="png", dpi=_DPI)
    text = svg.getvalue()
    label = escape(caption)
    text = text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return Picture(text, png.getvalue(), caption)


def drawing(svg: str, caption: str) -> Picture | Shown:
    """A drawing of ``report.figures`` with its caption, in colours of its own."""
    return Picture(standalone(svg), None, caption) if svg else words(caption, kind="caption")


def words(*paragraphs: str, kind: str = "") -> Shown:
    """Paragraphs of plain text.

    Parameters
    ----------
    *paragraphs : str
        Escaped, so that a name from a table is never markup.
    kind : {"", "answer", "note", "caption"}, default=""
    """
    html = "".join(f'<p class="{kind}">{escape(p)}</p>' for p in paragraphs)
    if kind == "answer":
        html = f'<div class="answer">{html}</div>'
    return Shown({"text/html": html, "text/plain": "\n".join(paragraphs)})


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table is shown.

    Attributes
    ----------
    title : str
    text : callable
        Value -> text.
    kind : {"", "num", "text", "wide"}
        Numbers stand right, texts and still longer ones may wrap.
    """

    title: str
    text: Callable[[Any], str] = str
    kind: str = ""


def number(digits: int = 4) -> Callable[[Any], str]:
    """Numbers to so many significant digits; a dash for what is missing."""
    return lambda v: "-" if pd.isna(v) else f"{float(v):.{digits}g}"


def percent(value: Any) -> str:
    """A share in percent; a dash for what is missing."""
    return "-" if pd.isna(value) else f"{100 * float(value):.1f} %"


def score(value: Any) -> str:
    """R2 with four decimals; a dash for a fit without a result."""
    return "-" if pd.isna(value) or not math.isfinite(value) else f"{float(value):.4f}"


def formula(text: Any) -> str:
    """A formula cut to four digits and to what one can read."""
    short = short_formula("" if pd.isna(text) else str(text), 4)
    return short if len(short) <= MOST_TEXT else f"{short[:MOST_TEXT]} …"


def table(
    rows: pd.DataFrame,
    columns: Mapping[Any, Column],
    caption: str = "",
    *,
    most: int = 60,
    chosen: str = "",
) -> Shown:
    """Rows as a table.

    Parameters
    ----------
    rows : DataFrame
    columns : mapping of str to Column
        Columns of ``rows`` to show, in this order. A column called ``method`` gets the method's
        name and colour.
    caption : str, default=""
    most : int, default=60
        Rows shown; how many more there are is said below.
    chosen : str, optional
        Column of truth values: rows to mark.
    """
    shown = rows.head(most)
    head = "".join(f'<th class="{c.kind}">{escape(c.title)}</th>' for c in columns.values())
    body = ""
    for _, row in shown.iterrows():
        cells = "".join(
            f'<td class="{c.kind}">{_cell(n, row[n], c)}</td>' for n, c in columns.items()
        )
        mark = ' class="chosen"' if chosen and row[chosen] else ""
        body += f"<tr{mark}>{cells}</tr>"
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    rest = len(rows) - len(shown)
    more = f'<p class="note">and {rest} more</p>' if rest > 0 else ""
    plain = pd.DataFrame({c.title: shown[n].map(c.text) for n, c in columns.items()})
    return Shown(
        {
            "text/html": f'<div class="card"><table>{title}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{more}</div>",
            "text/plain": plain.to_string(index=False),
        }
    )


def _cell(name: Any, value: Any, column: Column) -> Markup:
    if name != "method":
        text = escape(column.text(value))
        # long formulas may break after an operator or a bracket, not inside of a number or a name
        return Markup(_BREAKS.sub(r"\1<wbr>", str(text))) if column.kind == "wide" else text  # noqa: S704
    look = style(str(value))
    return Markup('<span class="dot" style="background: {}"></span>{}').format(
        look.colour, look.label
    )


def facts(values: Mapping[str, str], title: str = "") -> Shown:
    """Names and values as a list of definitions: where figures come from, and such."""
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in values.items())
    head = f"<h3>{escape(title)}</h3>" if title else ""
    plain = "\n".join(f"{k}: {v}" for k, v in values.items())
    html = f'{head}<div class="card"><dl>{items}</dl></div>'
    return Shown({"text/html": html, "text/plain": plain})


def to_copy(text: str) -> Shown:
    """A text that one click selects as a whole."""
    return Shown({"text/html": f'<pre class="copy">{escape(text)}</pre>', "text/plain": text})


def joined(names: Iterable[str]) -> str:
    """Names in a sentence: ``a, b and c``."""
    *rest, last = list(names) or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


# -- rows of a benchmark -----------------------------------------------------------------------


def summary(block: Block) -> Shown:
    """One line per method; see ``compare.summary``."""
    rows = compare.summary(block).reset_index()
    columns = {
        "method": Column("method"),
        "fits": Column("fits", kind="num"),
        "failed": Column("failed", kind="num"),
        "r2_99": Column("R² > .99", percent, "num"),
        "r2_999": Column("R² > .999", percent, "num"),
        "exact": Column("exact", percent, "num"),
        "solved": Column("solved", percent, "num"),
        "r2": Column("median R²", score, "num"),
        "nodes": Column("median nodes", number(), "num"),
        "seconds": Column("median s", number(3), "num"),
    }
    note = "A fit without a result counts as wrong. Exact: 1 - R² < 1e-9 on the test rows. Solved: "
    note += "the formula behind the data, of the fits where that could be decided."
    return table(rows, columns, note)


def lost(rows: pd.DataFrame, own: str) -> Shown:
    """Data sets on which another method is better; see ``answers.losses``."""
    label = style(own).label
    if rows.empty:
        return words(f"None: no other method has an R² more than 0.001 above that of {label}.")
    columns = {
        "dataset": Column("data set"),
        "own": Column(f"R² of {label}", score, "num"),
        "best": Column("best R²", score, "num"),
        "method": Column("of"),
        "own_nodes": Column("nodes", number(), "num"),
        "best_nodes": Column("nodes of the best", number(), "num"),
        "reason": Column(f"what the row of {label} tells", kind="text"),
        "model": Column(f"formula of {label}", formula, "wide"),
    }
    return table(rows, columns)


def failures(block: Block) -> Shown:
    """Fits without a result, with the reason."""
    rows = block.rows[block.rows["failed"]].sort_values(["method", "dataset"])
    if rows.empty:
        return words("Every fit gave a result.")
    columns = {
        "dataset": Column("data set"),
        "method": Column("method"),
        "status": Column("status"),
        "error": Column("reason", kind="wide"),
    }
    return table(rows, columns, "Fits without a result")


def fits(rows: pd.DataFrame, setting: str = "") -> Shown:
    """Every fit, and a setting of its method if one is named."""
    rows = rows.sort_values(["dataset", "method", "noise", "seed"])
    columns = {
        "dataset": Column("data set"),
        "method": Column("method"),
        "r2_test": Column("test R²", score, "num"),
        "complexity": Column("nodes", number(), "num"),
        "fit_seconds": Column("s", number(3), "num"),
        "model": Column("formula", formula, "wide"),
    }
    if setting:
        rows = rows.assign(setting=rows["settings"].map(lambda text: json.loads(text)[setting]))
        rows = rows.sort_values(["dataset", "setting"])
        first = {"dataset": columns["dataset"], "setting": Column(setting, spelled)}
        columns = first | columns
    elif rows["noise"].nunique() > 1:
        columns = {"noise": Column("noise", number()), **columns}
    return table(rows, columns, most=MOST_FITS)


def sweep(rows: pd.DataFrame, name: str) -> Shown:
    """One line per value of a setting; see ``sweep.by_setting``."""
    columns = {
        "value": Column(name, spelled, "num"),
        "fits": Column("fits", kind="num"),
        "failed": Column("failed", kind="num"),
        "r2_99": Column("R² > .99", percent, "num"),
        "r2_999": Column("R² > .999", percent, "num"),
        "r2": Column("median R²", score, "num"),
        "nodes": Column("median nodes", number(), "num"),
        "seconds": Column("median s", number(3), "num"),
    }
    return table(rows, columns)


def trajectories(rows: pd.DataFrame) -> Shown:
    """Fits of a suite with what their search did; see ``trajectories.collect``."""
    columns = {
        "dataset": Column("data set"),
        "r2_test": Column("test R²", score, "num"),
        "complexity": Column("nodes", number(), "num"),
        "source": Column("reached by"),
        "n_proposals": Column("proposals of the ascent", number(), "num"),
        "flip_rate": Column("flip rate", percent, "num"),
        "validity_rate": Column("valid", percent, "num"),
        "rank_correlation": Column("rank correlation", number(2), "num"),
        "fit_seconds": Column("s", number(3), "num"),
        "equation": Column("formula", formula, "wide"),
    }
    return table(rows, columns, most=MOST_FITS)


def ranking(record: FitRecord) -> Shown:
    """The front, with the chosen formula marked; see ``FitRecord.ranking``."""
    columns = {"complexity": Column("size", kind="num"), "r2": Column("fit R²", r2_text, "num")}
    if record.test is not None:
        columns["test_r2"] = Column("test R²", r2_text, "num")
    columns["equation"] = Column("formula", formula, "wide")
    return table(record.ranking(), columns, chosen="chosen")


def sources(record: FitRecord) -> Shown:
    """What each source contributed; see ``record.by_source``."""
    columns = {
        "source": Column("source"),
        "tried": Column("formulas", "{:,}".format, "num"),
        "best_r2": Column("best R²", r2_text, "num"),
        "records": Column("new bests", kind="num"),
        "on_front": Column("on the front", kind="num"),
    }
    return table(by_source(record), columns)


def constants(rows: pd.DataFrame) -> Shown:
    """Constants of a formula with their errors; see ``own_table.constants``."""
    if rows.empty:
        return words("The formula has no constants.")
    columns = {
        "value": Column("in the formula", "{:.17g}".format, "num"),
        "fitted": Column("by least squares", number(8), "num"),
        "error": Column("standard error", number(3), "num"),
    }
    return table(rows, columns)


def made(record: FitRecord) -> Shown:
    """How, where and when a fit was made."""
    where = made_where().model_dump()
    named = ("package_version", "commit", "cpu", "cores", "python", "date")
    rows = {name: f"{len(part)} rows" for name, part in record.parts()}
    return facts(
        {"table": record.table, **rows, **record.settings,
         **{name.replace("_", " "): str(where[name]) for name in named}}
    )  # fmt: skip


def findings(found: Iterable[Any]) -> Shown:
    """Checks of a submission: what passed, what failed and what to do."""
    said = {True: "pass", False: "FAIL", None: "to decide"}
    rows = pd.DataFrame([(said[f.ok], f.name, f.detail) for f in found])
    return table(
        rows, {0: Column("result"), 1: Column("check"), 2: Column("detail", kind="wide")}, most=200
    )


def provenance(rows: pd.DataFrame) -> Shown:
    """Under which conditions the rows were made."""
    said = conditions(rows)
    said["rows"] = f"{len(rows)} fits"
    return facts(said)


# -- where this runs ---------------------------------------------------------------------------


def is_live() -> bool:
    """Whether a person may press buttons here: a kernel that no report runs."""
    return not os.environ.get(STATIC)


@dataclass
class Line:
    """One line that is rewritten while a cell works; the last one stays."""

    _handle: Any = field(default=None, init=False)

    def __call__(self, text: str) -> None:
        """Show ``text`` instead of the line before."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(words(text, kind="note"), display_id=True)
        else:
            self._handle.update(words(text, kind="note"))
        if note := os.environ.get(PROGRESS):
            Path(note).write_text(text, encoding="utf-8")

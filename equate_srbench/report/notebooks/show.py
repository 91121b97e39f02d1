"""Display helpers for notebooks: text, tables and figures; all external text is escaped.

Every object has a static form without scripts, which a page without a kernel shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from equate_srbench.baselines.methods import spec
from equate_srbench.report.figures.fit_figures import standalone
from equate_srbench.report.figures.rendering import draw_images
from equate_srbench.report.notebooks.catalogue import PROGRESS, STATIC

#: Operators and brackets after which a long formula may continue on the next line.
_BREAKS = re.compile(r"(\*+|[/(,])(?=\S)")
_DPI = 130


@dataclass(frozen=True)
class MimeBundle:
    """An output for display, by MIME type."""

    data: dict[str, str | bytes]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return dict(self.data)


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure as SVG, optionally also as PNG, with a caption."""

    svg: str
    png: bytes | None
    caption: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        data: dict[str, str | bytes] = {"image/svg+xml": self.svg, "text/plain": self.caption}
        if self.png is not None:
            data["image/png"] = self.png
        display(MimeBundle(data))
        display(text(self.caption, kind="caption"))


def figure(drawn: Figure | None, caption: str) -> CaptionedFigure | MimeBundle:
    """Display a matplotlib figure with its caption, or a note if there was nothing to draw.

    Parameters
    ----------
    drawn : Figure or None
    caption : str
        What the figure shows; also its alternative text.
    """
    if drawn is None:
        return text(f"Nothing to draw: {caption}", kind="note")
    svg, png = draw_images(drawn, salt=caption, dpi=_DPI)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return CaptionedFigure(svg, png, caption)


def svg_figure(svg: str, caption: str) -> CaptionedFigure | MimeBundle:
    """Display a figure of ``fit_figures`` with its caption; the caption alone if it is empty."""
    if not svg:
        return text(caption, kind="caption")
    return CaptionedFigure(standalone(svg), None, caption)


def text(*paragraphs: str, kind: str = "") -> MimeBundle:
    """Display paragraphs of plain text.

    Parameters
    ----------
    *paragraphs : str
        Escaped: a name from a table is never markup.
    kind : {"", "answer", "note", "caption"}, default=""
    """
    html = "".join(f'<p class="{kind}">{escape(p)}</p>' for p in paragraphs)
    if kind == "answer":
        html = f'<div class="answer">{html}</div>'
    return MimeBundle({"text/html": html, "text/plain": "\n".join(paragraphs)})


@dataclass(frozen=True, slots=True)
class Column:
    """How to display a column of a table.

    Attributes
    ----------
    title : str
    text : callable
        Formats a value.
    kind : {"", "num", "text", "wide"}
        Alignment: numbers to the right; text may wrap, and wide text (formulas) anywhere.
    """

    title: str
    text: Callable[[Any], str] = str
    kind: str = ""


def table(
    rows: pd.DataFrame,
    columns: Mapping[Any, Column],
    caption: str = "",
    *,
    max_rows: int = 60,
    chosen: str = "",
) -> MimeBundle:
    """Display rows as a table.

    Parameters
    ----------
    rows : DataFrame
    columns : mapping of str to Column
        Columns of ``rows`` to display, in this order. A column called ``method`` shows the name
        and colour of the method.
    caption : str, default=""
    max_rows : int, default=60
        Further rows are only counted below the table.
    chosen : str, optional
        Boolean column that marks rows to highlight.
    """
    displayed = rows.head(max_rows)
    head = "".join(f'<th class="{c.kind}">{escape(c.title)}</th>' for c in columns.values())
    body = ""
    for _, row in displayed.iterrows():
        cells = "".join(
            f'<td class="{c.kind}">{_cell(n, row[n], c)}</td>' for n, c in columns.items()
        )
        mark = ' class="chosen"' if chosen and row[chosen] else ""
        body += f"<tr{mark}>{cells}</tr>"
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    n_more = len(rows) - len(displayed)
    more = f'<p class="note">and {n_more} more</p>' if n_more > 0 else ""
    plain = pd.DataFrame({c.title: displayed[n].map(c.text) for n, c in columns.items()})
    return MimeBundle(
        {
            "text/html": f'<div class="card"><table>{title}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{more}</div>",
            "text/plain": plain.to_string(index=False),
        }
    )


def _cell(name: Any, value: Any, column: Column) -> Markup:
    if name != "method":
        content = escape(column.text(value))
        if column.kind == "wide":  # formulas break after operators, never inside numbers or names
            return Markup(_BREAKS.sub(r"\1<wbr>", str(content)))  # noqa: S704 - escaped above
        return content
    look = spec(str(value))
    return Markup('<span class="dot" style="background: {}"></span>{}').format(
        look.colour, look.label
    )


def key_values(values: Mapping[str, str]) -> MimeBundle:
    """Display names and values as a definition list."""
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in values.items())
    plain = "\n".join(f"{k}: {v}" for k, v in values.items())
    html = f'<div class="card"><dl>{items}</dl></div>'
    return MimeBundle({"text/html": html, "text/plain": plain})


def copyable(content: str) -> MimeBundle:
    """Display a text that one click selects as a whole."""
    html = f'<pre class="copy">{escape(content)}</pre>'
    return MimeBundle({"text/html": html, "text/plain": content})


# -- the session -------------------------------------------------------------------------------


def is_interactive() -> bool:
    """Whether a person uses this kernel, rather than the execution of a report."""
    return not os.environ.get(STATIC)


@dataclass
class StatusLine:
    """A line of output that each call replaces; the last one stays."""

    _handle: Any = field(default=None, init=False)

    def __call__(self, message: str) -> None:
        """Replace the line, and pass it to the process that executes the notebook."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(text(message, kind="note"), display_id=True)
        else:
            self._handle.update(text(message, kind="note"))
        if path := os.environ.get(PROGRESS):
            Path(path).write_text(message, encoding="utf-8")

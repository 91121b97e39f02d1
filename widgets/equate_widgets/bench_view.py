"""What the benchmark panel shows, as HTML; names and formulas become text."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from equate_widgets.bench_glance import Glance, Latest, Table

_LONGEST = 300  # characters of a formula or message


def status(words: str, problem: str, last: str) -> str:
    """The state of a run, what is wrong, and what the run has said last."""
    lines = [f"<p role='status'>{escape(words)}</p>"]
    if problem:
        lines.append(f"<p role='alert'>{escape(problem)}</p>")
    if last:
        lines.append(f"<p class='muted'>{escape(last[:_LONGEST])}</p>")
    return f"<div class='equate-bench-results'>{''.join(lines)}</div>"


def results(glance: Glance) -> str:
    """Tables, picture and newest rows; "" while there are none."""
    if not glance.tables:
        return ""
    parts = [_table(table) for table in glance.tables]
    if glance.picture:
        code = b64encode(glance.picture.encode()).decode()
        about = "Accuracy, size and time of each method"
        parts.append(f"<img alt='{about}' src='data:image/svg+xml;base64,{code}'>")
    parts.append(_latest(glance.latest))
    return f"<div class='equate-bench-results'>{''.join(parts)}</div>"


def _table(table: Table) -> str:
    names = ("fits", "failed", "R² &gt; .99", "R² &gt; .999", "median nodes", "median s")
    head = "<th class='word'>method</th>" + "".join(f"<th>{name}</th>" for name in names)
    body = []
    for line in table.lines:
        cells = (
            str(line.fits), str(line.failed), f"{line.r2_99:.0%}", f"{line.r2_999:.0%}",
            _number(line.nodes, "g"), _number(line.seconds, ".1f"),
        )  # fmt: skip
        name = f"<i style='background:{line.colour}'></i>{escape(line.label)}"
        cells_html = "".join(f"<td>{cell}</td>" for cell in cells)
        body.append(f"<tr><td class='word'>{name}</td>{cells_html}</tr>")
    return (
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _latest(rows: list[Latest]) -> str:
    head = (
        "<th class='word'>data set</th><th class='word'>method</th><th>test R²</th><th>nodes</th>"
        "<th>s</th><th class='word'>formula</th>"
    )
    body = []
    for row in rows:
        said = escape(row.said[:_LONGEST])
        body.append(
            f"<tr><td class='word'>{escape(row.dataset)}</td>"
            f"<td class='word'>{escape(row.method)}</td><td>{_number(row.r2, '.6f')}</td>"
            f"<td>{_number(row.nodes, 'g')}</td><td>{_number(row.seconds, '.1f')}</td>"
            f"<td class='said' title='{said}'>{said}</td></tr>"
        )
    return (
        f"<table><caption>newest fits</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"

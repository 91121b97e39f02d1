"""HTML of the benchmark panel; names, formulas and messages are escaped."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from equate_widgets.bench_snapshot import MethodTable, RecentFit, RunSnapshot

_MAX_LENGTH = 300  # characters of a formula or message


def status(state: str, problem: str, last_output: str) -> str:
    """Status of a run: its state, its problem, and the last line of its output."""
    lines = [f"<p role='status'>{escape(state)}</p>"]
    if problem:
        lines.append(f"<p role='alert'>{escape(problem)}</p>")
    if last_output:
        lines.append(f"<p class='muted'>{escape(last_output[:_MAX_LENGTH])}</p>")
    return f"<div class='equate-bench-results'>{''.join(lines)}</div>"


def results(snapshot: RunSnapshot) -> str:
    """Tables, figure and recent fits; "" while there are none."""
    if not snapshot.tables:
        return ""
    parts = [_table(table) for table in snapshot.tables]
    if snapshot.figure:
        code = b64encode(snapshot.figure.encode()).decode()
        about = "Accuracy, size and time of each method"
        parts.append(f"<img alt='{about}' src='data:image/svg+xml;base64,{code}'>")
    parts.append(_recent(snapshot.recent))
    return f"<div class='equate-bench-results'>{''.join(parts)}</div>"


def _table(table: MethodTable) -> str:
    names = ("fits", "failed", "R² &gt; .99", "R² &gt; .999", "median nodes", "median s")
    head = "<th class='word'>method</th>" + "".join(f"<th>{name}</th>" for name in names)
    body = []
    for row in table.rows:
        cells = (
            str(row.fits), str(row.failed), f"{row.r2_99:.0%}", f"{row.r2_999:.0%}",
            _number(row.nodes, "g"), _number(row.seconds, ".1f"),
        )  # fmt: skip
        name = f"<i style='background:{row.colour}'></i>{escape(row.label)}"
        cells_html = "".join(f"<td>{cell}</td>" for cell in cells)
        body.append(f"<tr><td class='word'>{name}</td>{cells_html}</tr>")
    return (
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _recent(rows: list[RecentFit]) -> str:
    head = (
        "<th class='word'>data set</th><th class='word'>method</th><th>test R²</th><th>nodes</th>"
        "<th>s</th><th class='word'>formula</th>"
    )
    body = []
    for row in rows:
        detail = escape(row.detail[:_MAX_LENGTH])
        body.append(
            f"<tr><td class='word'>{escape(row.dataset)}</td>"
            f"<td class='word'>{escape(row.method)}</td><td>{_number(row.r2, '.6f')}</td>"
            f"<td>{_number(row.nodes, 'g')}</td><td>{_number(row.seconds, '.1f')}</td>"
            f"<td class='detail' title='{detail}'>{detail}</td></tr>"
        )
    return (
        f"<table><caption>recent fits</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"

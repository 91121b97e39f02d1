"""The facts of a table in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from equate_srbench.data.table import counted
from equate_srbench.report.formatting import axis_label
from equate_srbench.report.tables.table_facts import ColumnFacts, TableFacts


def show_facts(console: Console, facts: TableFacts) -> None:
    """Print one row for each column, the closest pairs, and what to do."""
    size = f"{counted(facts.rows, 'row')}, {counted(len(facts.columns), 'column')}"
    _line(console, "file", ", ".join(part for part in (facts.understood, size) if part))
    for note in facts.notes:
        _line(console, "", note)
    console.print()
    console.print(_columns(facts))
    console.print()
    pairs = [f"{a} ~ {b} {r:+.3f}" for a, b, r in facts.correlations]
    if pairs:
        _line(console, "rank corr.", ", ".join(pairs))
    said = [(column.name, words) for column in facts.columns for words in column.advice]
    for name, words in [*said, *(("rows", words) for words in facts.advice)]:
        console.print(Text("-", "dim"), Text(name, "bold"), Text(words), soft_wrap=True)
    if not said and not facts.advice:
        _line(console, "", "nothing to do: all columns are numbers, and no value is missing")


def _line(console: Console, label: str, text: str) -> None:
    console.print(Text(f"{label:<10s}", "dim"), Text(text), soft_wrap=True)


def _columns(facts: TableFacts) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    rows = [_cells(column) for column in facts.columns]
    shown = [j for j in range(len(_TITLES)) if j not in _OPTIONAL or any(row[j] for row in rows)]
    for j in shown:
        numeric = 2 < j < len(_TITLES) - 1
        table.add_column(_TITLES[j], justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[j]) for j in shown))
    return table


_TITLES = (
    "column", "kind", "unit", "empty", "far", "least", "largest", "dec.", "histogram",
)  # fmt: skip
_OPTIONAL = (2, 3, 4)  # are shown where a column has one


def _cells(column: ColumnFacts) -> list[str]:
    numbers = (column.low, column.high)
    many = "many" if column.low is not None else ""
    return [
        axis_label(column.name),
        column.kind,
        column.unit,
        str(column.missing or ""),
        str(column.outliers or ""),
        *("" if value is None else f"{value:.4g}" for value in numbers),
        many if column.decimals is None else str(column.decimals),
        column.picture,
    ]

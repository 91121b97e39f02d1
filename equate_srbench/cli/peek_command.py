"""``equate peek``: what is in a table, and what to do about it before a fit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from equate_srbench.cli.table_options import Dates, Decimal, Separator, Sheet, Source, read_options
from equate_srbench.runtime.terminal import errors_in_one_line


def peek(
    table: Source,
    separator: Separator = "",
    decimal: Decimal = "",
    sheet: Sheet = "",
    dates: Dates = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Show the columns of a table, their values, and what to do about each."""
    from equate_srbench.data.reading import read_table
    from equate_srbench.data.table import TableError
    from equate_srbench.report.tables.table_facts import facts_of

    with errors_in_one_line(TableError):
        options = read_options(separator, decimal, sheet, dates)
        facts = facts_of(read_table(table, options))
    if as_json:
        typer.echo(json.dumps(asdict(facts), ensure_ascii=False, allow_nan=False, indent=1))
        return
    from rich.console import Console

    from equate_srbench.report.fit.facts_console import show_facts

    show_facts(Console(highlight=False), facts)

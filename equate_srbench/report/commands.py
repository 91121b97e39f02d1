"""The command ``equate report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equate_srbench.terminal import errors_in_one_line, needs_extra


def report(
    run: Annotated[Path, typer.Argument(help="Folder that `equate bench` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the report goes. [default: RUN/report]")
    ] = None,
) -> None:
    """Compare the methods of a benchmark: tables, pictures, and one page with everything."""
    with needs_extra("bench"), errors_in_one_line(ValueError, OSError):
        from equate_srbench.report import compare
        from equate_srbench.report.compare_page import read_rows, write_report

        frame = read_rows(run)
        for block in compare.blocks(frame):
            typer.echo(f"\n{block.title}: {block.pairs} data sets (times seeds)")
            if block.pairs:
                typer.echo(compare.to_text(compare.summary(block)))
        typer.echo(f"\nreport     {write_report(run, out)}")

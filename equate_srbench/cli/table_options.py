"""Options of all commands that read a table: what the user knows about the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from equate_srbench.data.table import ReadOptions

Source = Annotated[
    str,
    typer.Argument(
        help="A file of text, Excel, Parquet, Feather or NumPy, packed or not; - for standard "
        "input; or the name of a bundled table."
    ),
]
Separator = Annotated[
    str, typer.Option(help="comma, semicolon, tab, bar or space; found out if not given.")
]
Decimal = Annotated[str, typer.Option(help="comma or point; found out if not given.")]
Sheet = Annotated[str, typer.Option(help="Sheet of a workbook that has several.")]
Dates = Annotated[
    str, typer.Option(help="seconds or days: dates become the time since the earliest one.")
]
Missing = Annotated[str, typer.Option(help="Rows with an empty cell in a feature: refuse or drop.")]


def read_options(
    separator: str, decimal: str, sheet: str, dates: str, missing: str = "refuse"
) -> ReadOptions:
    """Check the options; pandas is loaded here.

    Raises
    ------
    TableError
        If a value is none of those named in the help.
    """
    from equate_srbench.data.table import ReadOptions

    return ReadOptions(separator, decimal, sheet, dates, missing)

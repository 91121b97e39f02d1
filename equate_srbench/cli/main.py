"""The command ``equate``: assembles the commands, one module each.

Heavy imports are inside the commands, so that ``equate --help`` is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from equate_srbench.cli import baselines_command, models_command, srbench_command
from equate_srbench.cli.bench_command import bench
from equate_srbench.cli.convert_command import convert
from equate_srbench.cli.doctor_command import doctor
from equate_srbench.cli.fit_command import fit
from equate_srbench.cli.peek_command import peek
from equate_srbench.cli.pretrain_command import pretrain
from equate_srbench.cli.report_command import report

app = typer.Typer(
    help="Find a short formula in a table of numbers.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(fit)
app.command()(peek)
app.command()(bench)
app.command()(report)
app.command()(doctor)
app.command()(convert)
app.command(  # its own parser prints the help
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(pretrain)
app.add_typer(baselines_command.app, name="baselines")
app.add_typer(models_command.app, name="models")
app.add_typer(srbench_command.app, name="srbench")


def main() -> None:
    """Entry point of the console script."""
    app()


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        import equate_srbench

        typer.echo(f"equate-srbench {equate_srbench.__version__}")
        raise typer.Exit

"""``equate baselines``: methods in separate environments."""

from __future__ import annotations

from typing import Annotated

import typer

from equate_srbench.runtime.terminal import errors_in_one_line

app = typer.Typer(help="Methods that need a separate environment.", no_args_is_help=True)


@app.command()
def install(
    names: Annotated[list[str], typer.Argument(help="itea, operon, gplearn or pysr.")],
    python: Annotated[
        str, typer.Option(help="Python interpreter to use. [default: a supported one]")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Recreate it if it exists.")] = False,
) -> None:
    """Create the environments of one or more methods, with pinned versions."""
    from equate_srbench.baselines import environments

    with errors_in_one_line(environments.InstallError, ValueError, OSError):
        for name in names:
            environments.package(name)  # all names before the first installation
        for name in names:
            environments.install(name, python=python, again=again, report=typer.echo)


@app.command("list")
def show() -> None:
    """List the methods and whether their environments are installed."""
    from equate_srbench.baselines.environments import is_missing
    from equate_srbench.baselines.methods import METHODS

    for name, spec in METHODS.items():
        state = "  (not installed)" if is_missing(name) else ""
        typer.echo(f"{name:<13s} {spec.about}{state}")

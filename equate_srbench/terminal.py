"""What the commands share: errors that a user can mend, as one line and exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def errors_in_one_line(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into one line on stderr and exit code 2."""
    try:
        yield
    except kinds as error:
        typer.echo(f"equate: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Say how to install the extra that a missing module belongs to."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(
            f"equate: this needs {error.name}: pip install 'equate-srbench[{name}]'", err=True
        )
        raise typer.Exit(2) from None

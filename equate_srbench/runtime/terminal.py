"""What the commands share: errors that a user can mend, as one line and exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


@contextmanager
def errors_in_one_line(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into one line on stderr and exit code 2."""
    try:
        yield
    except kinds as error:
        typer.echo(f"equate: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None


def check_folder(folder: Path) -> None:
    """Refuse, before any work is done, a folder that no file can be written to later.

    Raises
    ------
    NotADirectoryError
        If it is a file, or below one.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            below = "" if part == folder else f", and {str(folder)!r} would be below it"
            raise NotADirectoryError(f"{str(part)!r} is a file{below}: choose another folder")


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

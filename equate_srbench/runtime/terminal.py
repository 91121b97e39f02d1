"""Error handling of the commands: user errors become one line on stderr and exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


@contextmanager
def errors_in_one_line(*kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions of these types into one line on stderr and exit code 2."""
    try:
        yield
    except kinds as error:
        typer.echo(f"equate: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None


def check_folder(folder: Path) -> None:
    """Check before any work that results can be written to ``folder`` later.

    Raises
    ------
    NotADirectoryError
        If the path, or a parent of it, is a file.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            below = "" if part == folder else f", and {str(folder)!r} would be below it"
            raise NotADirectoryError(f"{str(part)!r} is a file{below}: choose another folder")


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Turn a missing module into a hint which extra to install, and exit code 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(
            f"equate: this needs {error.name}: pip install 'equate-srbench[{name}]'", err=True
        )
        raise typer.Exit(2) from None

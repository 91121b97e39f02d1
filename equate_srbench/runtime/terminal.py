"""Error handling of the commands: user errors become one line on stderr and exit code 2."""

from __future__ import annotations

import tempfile
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
    PermissionError
        If nothing can be written there.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            below = "" if part == folder else f", and {str(folder)!r} would be below it"
            raise NotADirectoryError(f"{str(part)!r} is a file{below}: choose another folder")
    place = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    try:
        tempfile.TemporaryDirectory(dir=place, prefix=".equate-").cleanup()
    except OSError as error:
        raise PermissionError(
            f"nothing can be written to {str(place)!r} ({error.strerror}): choose another folder"
        ) from None


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

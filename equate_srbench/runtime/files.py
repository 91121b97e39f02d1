"""Atomic writes: a reader meets the old file or the new one, never a part of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

#: How the temporary files of ``replacing`` end.
TEMPORARY = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file in one step by the one written inside the ``with`` block.

    Parameters
    ----------
    path : Path
        In a folder that exists.

    Yields
    ------
    Path
        A new name in the same folder to write to. When the block ends, the file is flushed to disk
        and takes the place of ``path``; if the block raises, ``path`` stays as it was.
    """
    partial = path.with_name(f".{path.name[:100]}.{uuid4().hex}{TEMPORARY}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file completely or leave it as it was.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    content : str or bytes
        Text is written as UTF-8 with Unix line ends.

    Raises
    ------
    OSError
        If the file cannot be written; the message names it.
    """
    try:
        with replacing(path) as partial:
            partial.write_bytes(_bytes(content))
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write ({error.strerror}); the file is as it was before, so free some space "
            "and run again",
            str(path),
        ) from error


def publish(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Write files into a folder, all complete or none touched.

    Everything is written and flushed to a sibling folder first. A new folder then appears in one
    step; in a folder that exists, each file is replaced in one step and other files stay.

    Parameters
    ----------
    folder : Path
        Made if missing, with its parents.
    contents : mapping of file name to content
        Text is written as UTF-8 with Unix line ends. Files are replaced in this order.

    Raises
    ------
    OSError
        If writing fails (no permission, disk full); what was there before is then still complete.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = temporary_sibling(folder)
    try:
        for name, content in contents.items():
            with open(staging / name, "wb") as file:
                file.write(_bytes(content))
                file.flush()
                os.fsync(file.fileno())
        staging.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only the owner can read
        if folder.exists():
            for name in contents:
                os.replace(staging / name, folder / name)
        else:
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def temporary_sibling(folder: Path) -> Path:
    """A new hidden folder beside ``folder``, from which files can be moved there in one step."""
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=TEMPORARY, dir=folder.parent))


def replace_folders(built: Mapping[Path, Path]) -> None:
    """Put complete folders in their places, all or none.

    Parameters
    ----------
    built : mapping of Path to Path
        Complete folder -> its place, on the same file system. What is in the place is deleted.

    Raises
    ------
    OSError
        If one cannot be moved; all places are then as they were before.
    """
    former = {new: place.with_name(f".{place.name}-{uuid4().hex}") for new, place in built.items()}
    begun: list[Path] = []
    try:
        for new, place in built.items():
            begun.append(new)
            if place.exists():
                os.replace(place, former[new])
            os.replace(new, place)
    except OSError:
        for new in begun:
            if not new.exists():
                os.replace(built[new], new)
            if former[new].exists():
                os.replace(former[new], built[new])
        raise
    for folder in former.values():
        shutil.rmtree(folder, ignore_errors=True)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

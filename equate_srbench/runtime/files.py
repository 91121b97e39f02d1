"""Writing results so that a reader never meets half a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


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
        If writing fails (no right, disk full); what was there before is then still whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".tmp", dir=folder.parent))
    try:
        for name, content in contents.items():
            with open(staging / name, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
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


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

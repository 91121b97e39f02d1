"""Local cache of PMLB's tables: downloaded once, checked by SHA-256, read by ``pmlb``.

The layout is the one that ``pmlb.fetch_data(..., local_cache_dir=FOLDER)`` reads and writes,
``FOLDER/NAME/NAME.tsv.gz``. The folder is that of the environment variable ``EQUATE_PMLB_CACHE``,
else one in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import pandas as pd

VARIABLE = "EQUATE_PMLB_CACHE"
_POINTER = b"version https://git-lfs"
_ADDRESS = "https://github.com/EpistasisLab/pmlb/raw/{commit}/datasets/{name}/{name}.tsv.gz"


class PmlbError(ValueError):
    """A PMLB table is not available; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Tables of one suite.

    Attributes
    ----------
    commit : str
        Of the PMLB repository, in which all of them are.
    sha256 : dict of str to str
        Dataset -> hash of the packed file.
    """

    commit: str
    sha256: dict[str, str]


@lru_cache(maxsize=1)
def known() -> dict[str, Listing]:
    """Listings of the suites by name."""
    text = files("equate_srbench.bench.suites").joinpath("pmlb.json").read_text(encoding="utf-8")
    return {suite: Listing(**facts) for suite, facts in json.loads(text).items()}


def folder() -> Path:
    """The cache folder, which may not exist yet."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    import pooch  # generated suites do without it

    return Path(pooch.os_cache("equate-srbench")) / "pmlb"


def fetch(suite: str, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Load a table of PMLB from the cache or the network.

    Parameters
    ----------
    suite : str
        A key of ``known()``.
    name : str
        One of its datasets.

    Returns
    -------
    frame : DataFrame
        With a column ``target``; rows with gaps are left out.
    notes : tuple of str
        Says so if the cached file is not PMLB's own. It may have been packed anew by ``pmlb``.

    Raises
    ------
    PmlbError
        If the file is neither cached nor downloadable, is a Git LFS pointer, or is damaged.
    """
    listing = known()[suite]
    path = folder() / name / f"{name}.tsv.gz"
    if not path.exists():
        _download(path, name, listing)
    refuse_pointer(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = digest == listing.sha256[name]
    try:
        import pmlb
    except ImportError:
        raise PmlbError("PMLB's tables need pmlb: pip install 'equate-srbench[bench]'") from None
    try:
        # its own dropna works in place, which pandas 3.1 warns about
        frame = pmlb.fetch_data(name, local_cache_dir=str(folder()), dropna=False).dropna()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise PmlbError(f"{path} is broken ({error}): delete it and run again") from error
    return frame, () if own else (f"{name}: not the file of PMLB (SHA-256 {digest[:12]}...)",)


def refuse_pointer(path: Path) -> None:
    """Raise ``PmlbError`` if a file is a Git LFS pointer instead of data."""
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise PmlbError(
                f"{path} is a Git-LFS pointer, not data: run `git lfs pull` where it came from, or "
                "delete it"
            )


def _download(path: Path, name: str, listing: Listing) -> None:
    import pooch
    from requests import RequestException

    address = _ADDRESS.format(commit=listing.commit, name=name)
    try:
        pooch.retrieve(
            address, f"sha256:{listing.sha256[name]}", path.name, path.parent, progressbar=False
        )
    except (RequestException, OSError) as error:
        raise PmlbError(
            f"{name} is not in {folder()} and PMLB cannot be reached ({type(error).__name__}): run "
            f"once with a network, or set {VARIABLE} to a folder that has {name}/{name}.tsv.gz"
        ) from error
    except ValueError as error:  # pooch: wrong hash; it keeps nothing
        raise PmlbError(
            f"{address} does not have the expected SHA-256 (PMLB's storage serves "
            f"such files when its quota is exhausted): put {name}.tsv.gz into {path.parent}"
        ) from error

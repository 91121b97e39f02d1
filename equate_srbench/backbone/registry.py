"""Backbones that are known by name: what they are, where their files lie, how they are fetched.

``weights/models.json`` lists them. A file comes with the package, or ``fetch`` gets it from the
address or folder in the environment variable ``EQUATE_MODELS_URL`` (else the entry's own address)
into the cache folder. Nothing is ever downloaded unless ``fetch`` is called.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from equate_srbench.runtime.files import replacing, write_file

WEIGHTS = Path(__file__).parent.parent / "weights"
INDEX = WEIGHTS / "models.json"
URL_VARIABLE, CACHE_VARIABLE = "EQUATE_MODELS_URL", "EQUATE_CACHE"


class ModelError(FileNotFoundError):
    """A named backbone that cannot be had; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Model:
    """A backbone known by name.

    Attributes
    ----------
    name, about : str
    file : str
        Of the weights, without a folder.
    parameters : int
    bytes : int or None
        Of the file; None as long as it has not been built.
    sha256 : str or None
        Of the file.
    url : str or None
        Folder it is fetched from unless ``EQUATE_MODELS_URL`` names another.
    """

    name: str
    about: str
    file: str
    parameters: int
    bytes: int | None = None
    sha256: str | None = None
    url: str | None = None

    @property
    def is_built(self) -> bool:
        """Whether there is a file of this backbone anywhere."""
        return self.sha256 is not None

    @property
    def path(self) -> Path | None:
        """Its file in the package or in the cache folder; None if it is in neither."""
        found = (WEIGHTS / self.file, folder() / self.file)
        return next((path for path in found if path.is_file()), None)


@lru_cache(maxsize=1)
def known() -> Mapping[str, Model]:
    """Every backbone with a name, by name."""
    listed = json.loads(INDEX.read_text(encoding="utf-8"))
    return {name: Model(name, **facts) for name, facts in listed.items()}


def model(name: str) -> Model:
    """The backbone of this name; ModelError if there is none."""
    if name not in known():
        raise ModelError(f"no backbone is named {name!r}: there are {', '.join(known())}")
    return known()[name]


def folder() -> Path:
    """Where fetched files are kept; it may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / "models"
    import pooch  # training from a shipped backbone does without it

    return Path(pooch.os_cache("equate-srbench")) / "models"


def find(name: str) -> Path:
    """The file of a named backbone on this machine.

    Raises
    ------
    ModelError
        If it is not here; says how to get it.
    """
    entry = model(name)
    path = entry.path
    if path is None:
        _refuse_unbuilt(entry)
        raise ModelError(
            f"{name} is not on this machine: fetch it with `equate models fetch {name}`"
        )
    return path


def verify(name: str) -> Path:
    """The file of a named backbone, after its size and SHA-256 were compared with the list.

    Raises
    ------
    ModelError
        If it is not here, or is not what the list says.
    """
    path, entry = find(name), model(name)
    size = path.stat().st_size
    if size != entry.bytes:
        raise ModelError(
            f"{path} has {size:,} bytes instead of {entry.bytes:,}: {_way_out(path, name)}"
        )
    if digest(path) != entry.sha256:
        raise ModelError(f"{path} is damaged (SHA-256 differs): {_way_out(path, name)}")
    return path


def fetch(name: str) -> Path:
    """The file of a named backbone; fetched if it is not here or damaged, and checked.

    Whatever goes wrong, no file of that name is left that is not the right one.

    Raises
    ------
    ModelError
        If it has not been built, cannot be reached, or is not the file it should be.
    """
    entry = model(name)
    _refuse_unbuilt(entry)
    if entry.path is not None and entry.path.parent == WEIGHTS:
        return verify(name)
    target = folder() / entry.file
    if target.is_file() and digest(target) == entry.sha256:
        return target
    target.unlink(missing_ok=True)  # damaged, and the checkpoint's own check refuses it as well
    base = os.environ.get(URL_VARIABLE) or entry.url
    if base is None:
        raise ModelError(
            f"no address is known for {name}: set {URL_VARIABLE} to an address or a folder that "
            f"has {entry.file}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if urlsplit(base).scheme in ("http", "https"):
        _download(f"{base.rstrip('/')}/{quote(entry.file)}", target, entry)
    else:
        _copy(_local(base) / entry.file, target, entry)
    return target


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_unbuilt(entry: Model) -> None:
    if not entry.is_built:
        raise ModelError(
            f"{entry.name} has not been built yet, so there is no file to use or fetch: train one "
            f"with `equate pretrain --size {entry.name} --minutes N` and give its file as backbone"
        )


def _way_out(path: Path, name: str) -> str:
    if path.parent == WEIGHTS:
        return "install the package again"
    return f"fetch it again with `equate models fetch {name}`"


def _local(base: str) -> Path:
    parts = urlsplit(base)
    if "://" in base and parts.scheme != "file":
        raise ModelError(
            f"{base!r} is no address to fetch from: give one with http, https or file, or a folder"
        )
    return Path(url2pathname(unquote(parts.path)) if parts.scheme == "file" else base)


def _copy(source: Path, target: Path, entry: Model) -> None:
    if not source.is_file():
        raise ModelError(f"{entry.name} is not in {source.parent}: {entry.file} is missing there")
    with replacing(target) as partial:
        shutil.copyfile(source, partial)
        if digest(partial) != entry.sha256:
            raise ModelError(
                f"{source} is not the file it should be: {_difference(partial, entry)}"
            )


def _download(address: str, target: Path, entry: Model) -> None:
    import pooch
    from requests import RequestException

    try:
        pooch.retrieve(
            address, f"sha256:{entry.sha256}", target.name, target.parent, progressbar=False
        )
    except (RequestException, OSError) as error:
        raise ModelError(
            f"{entry.name} cannot be fetched from {address} ({type(error).__name__}): go online, "
            f"or set {URL_VARIABLE} to a folder that has {entry.file}"
        ) from error
    except ValueError as error:  # wrong hash; pooch keeps nothing
        raise ModelError(
            f"{address} is not the file it should be (SHA-256 differs): nothing was kept"
        ) from error


def _difference(path: Path, entry: Model) -> str:
    size = path.stat().st_size
    if size != entry.bytes:
        return f"{size:,} bytes instead of {entry.bytes:,}; nothing was kept"
    return "SHA-256 differs; nothing was kept"


def record(name: str, path: Path, parameters: int, index: Path = INDEX) -> None:
    """Write size, SHA-256 and number of parameters of a file into the list.

    Parameters
    ----------
    name : str
        In the list already.
    path : Path
    parameters : int
    index : Path, optional
        The list.
    """
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed[name] |= {
        "parameters": parameters,
        "bytes": path.stat().st_size,
        "sha256": digest(path),
    }
    write_file(index, json.dumps(listed, indent=1) + "\n")

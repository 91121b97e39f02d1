"""Registry of named backbones: metadata, location and download.

``weights/models.json`` lists them. A file is shipped with the package, or ``fetch`` downloads it
from the URL or directory in the environment variable ``EQUATE_MODELS_URL`` (default: the entry's
URL) into the cache directory. Nothing is downloaded unless ``fetch`` is called.
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
    """A named backbone is not available; the message is a single line."""


@dataclass(frozen=True, slots=True)
class Model:
    """Registry entry of a backbone.

    Attributes
    ----------
    name, about : str
    file : str
        Name of the weights file.
    parameters : int
    bytes : int or None
        Size of the file; None if the backbone has not been built yet.
    sha256 : str or None
        Of the file.
    url : str or None
        Default download location, overridden by ``EQUATE_MODELS_URL``.
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
        """Whether this backbone has been built: trained and recorded."""
        return self.sha256 is not None

    @property
    def path(self) -> Path | None:
        """Its file in the package or in the cache; None if it is in neither."""
        found = (WEIGHTS / self.file, folder() / self.file)
        return next((path for path in found if path.is_file()), None)


@lru_cache(maxsize=1)
def known() -> Mapping[str, Model]:
    """All registered backbones by name."""
    listed = json.loads(INDEX.read_text(encoding="utf-8"))
    return {name: Model(name, **facts) for name, facts in listed.items()}


def model(name: str) -> Model:
    """Registry entry of a name; ModelError if unknown."""
    if name not in known():
        raise ModelError(f"unknown backbone {name!r}: use one of {', '.join(known())}")
    return known()[name]


def folder() -> Path:
    """Cache directory of downloaded files; it may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / "models"
    import pooch  # not needed to train from a shipped backbone

    return Path(pooch.os_cache("equate-srbench")) / "models"


def find(name: str) -> Path:
    """Path of a named backbone.

    Raises
    ------
    ModelError
        If it is not on this machine; the message says how to get it.
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
    """Path of a named backbone, after checking its size and SHA-256.

    Raises
    ------
    ModelError
        If it is not on this machine, or its size or SHA-256 differ from the registry.
    """
    path, entry = find(name), model(name)
    size = path.stat().st_size
    if size != entry.bytes:
        raise ModelError(
            f"{path} has {size:,} bytes instead of {entry.bytes:,}: {_remedy(path, name)}"
        )
    if digest(path) != entry.sha256:
        raise ModelError(f"{path} is damaged (SHA-256 differs): {_remedy(path, name)}")
    return path


def fetch(name: str) -> Path:
    """Path of a named backbone, downloaded if missing or damaged, and verified.

    On failure no wrong or partial file is left under that name.

    Raises
    ------
    ModelError
        If it has not been built, cannot be downloaded, or its SHA-256 differs.
    """
    entry = model(name)
    _refuse_unbuilt(entry)
    if entry.path is not None and entry.path.parent == WEIGHTS:
        return verify(name)
    target = folder() / entry.file
    if target.is_file() and digest(target) == entry.sha256:
        return target
    target.unlink(missing_ok=True)  # damaged
    base = os.environ.get(URL_VARIABLE) or entry.url
    if base is None:
        raise ModelError(
            f"no URL is known for {name}: set {URL_VARIABLE} to a URL or a directory with "
            f"{entry.file}"
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
            f"{entry.name} has not been built yet, so there is no file to use or fetch: train it "
            f"with `equate pretrain --size {entry.name} --minutes N` and pass its file as backbone"
        )


def _remedy(path: Path, name: str) -> str:
    if path.parent == WEIGHTS:
        return "reinstall the package"
    return f"fetch it again with `equate models fetch {name}`"


def _local(base: str) -> Path:
    parts = urlsplit(base)
    if "://" in base and parts.scheme != "file":
        raise ModelError(
            f"cannot fetch from {base!r}: give an http, https or file URL, or a directory"
        )
    return Path(url2pathname(unquote(parts.path)) if parts.scheme == "file" else base)


def _copy(source: Path, target: Path, entry: Model) -> None:
    if not source.is_file():
        raise ModelError(f"{entry.name} is not in {source.parent}: {entry.file} is missing there")
    with replacing(target) as partial:
        shutil.copyfile(source, partial)
        if digest(partial) != entry.sha256:
            raise ModelError(f"{source} is not the expected file: {_difference(partial, entry)}")


def _download(address: str, target: Path, entry: Model) -> None:
    import pooch
    from requests import RequestException

    try:
        pooch.retrieve(
            address, f"sha256:{entry.sha256}", target.name, target.parent, progressbar=False
        )
    except (RequestException, OSError) as error:
        raise ModelError(
            f"{entry.name} cannot be fetched from {address} ({type(error).__name__}): check the "
            f"connection, or set {URL_VARIABLE} to a directory with {entry.file}"
        ) from error
    except ValueError as error:  # wrong hash; pooch keeps nothing
        raise ModelError(
            f"{address} is not the expected file (SHA-256 differs): nothing was kept"
        ) from error


def _difference(path: Path, entry: Model) -> str:
    size = path.stat().st_size
    if size != entry.bytes:
        return f"{size:,} bytes instead of {entry.bytes:,}; nothing was kept"
    return "SHA-256 differs; nothing was kept"


def record(name: str, path: Path, parameters: int, index: Path = INDEX) -> None:
    """Record size, SHA-256 and number of parameters of a file in the registry.

    Parameters
    ----------
    name : str
        Of an existing entry.
    path : Path
    parameters : int
    index : Path, optional
        The registry file.
    """
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed[name] |= {
        "parameters": parameters,
        "bytes": path.stat().st_size,
        "sha256": digest(path),
    }
    write_file(index, json.dumps(listed, indent=1) + "\n")

"""Backbone checkpoints: a safetensors file with configuration, vocabulary and card in the header.

The format holds only tensors and text, so loading a file runs no code. The header includes a
SHA-256 of the contents; a file that does not match it is rejected.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.overrides import TorchFunctionMode

from equate_srbench.backbone import registry
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.runtime.files import replacing

#: Checkpoints shipped with the package, by name.
SHIPPED = {"compact": registry.WEIGHTS / "compact.safetensors"}

_FORMAT = "equate-srbench backbone 1"
_DTYPES = {"F16", "BF16", "F32"}
_MAX_SIZE = 1 << 20
_MAX_DEPTH = 256
_lock = Lock()


class CheckpointError(ValueError):
    """The file is not an intact backbone checkpoint of this package."""


def save(
    path: str | Path,
    backbone: Backbone,
    metadata: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a backbone checkpoint, atomically.

    Parameters
    ----------
    path : path-like
    backbone : Backbone
    metadata : mapping
        Facts for the model card (corpus, seed, examples, ...), JSON-serialisable.
    dtype : torch.dtype, default=torch.float16
        Of the weights on disk.

    Returns
    -------
    str
        The SHA-256 recorded in the header.

    Raises
    ------
    ValueError
        If a weight is not finite in ``dtype``.
    """
    state = backbone.state_dict()
    tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in state.items()}
    bad = [name for name, t in tensors.items() if not bool(t.isfinite().all())]
    if bad:
        raise ValueError(f"{bad[0]} has values that are not finite in {dtype}")
    header = {
        "format": _FORMAT,
        "config": json.dumps(backbone.config.to_dict(), sort_keys=True),
        "words": json.dumps(backbone.vocabulary.words),
        "card": json.dumps(dict(metadata), sort_keys=True),
    }
    header["sha256"] = _digest(header, tensors)
    path = Path(path)
    with replacing(path) as partial:
        partial.write_bytes(to_bytes(tensors, header))
    return header["sha256"]


def load(path_or_name: str | os.PathLike[str], device: str | torch.device = "cpu") -> Backbone:
    """Load a backbone in float32, cached per process.

    All callers share one object, which is frozen and in evaluation mode: copy it
    (``copy.deepcopy``) before training it.

    Parameters
    ----------
    path_or_name : path-like
        A file written by ``save``, or a name listed by ``equate models list``, like "compact".
    device : str or torch.device, default="cpu"

    Raises
    ------
    FileNotFoundError
        If there is no such file; ``registry.ModelError`` for a name that is not downloaded.
    CheckpointError
        If the file is damaged, modified, or not a backbone of this package.
    """
    path = locate(path_or_name)
    stat = path.stat()
    with _lock:
        return _load(path, stat.st_mtime_ns, stat.st_size, torch.device(device))


def describe(path_or_name: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header: ``config``, ``words``, ``card`` and ``sha256``; raises like ``load``."""
    path = locate(path_or_name)
    try:
        with safe_open(path, framework="pt") as file:
            return _read_header(path, file.metadata())
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def check(path_or_name: str | os.PathLike[str]) -> None:
    """Check that a checkpoint is there and its header can be read; raises like ``load``."""
    describe(path_or_name)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    """Error for a file that is not a safetensors file."""
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"
    if is_zip:
        advice = "a file of torch.save; convert it with `equate convert FILE OUT.safetensors`"
        return CheckpointError(f"{path}: not a safetensors file but {advice}")
    return CheckpointError(f"{path}: not a safetensors file ({error})")


def locate(path_or_name: str | os.PathLike[str]) -> Path:
    """Path of a checkpoint given by path or name; raises FileNotFoundError like ``load``."""
    name = str(path_or_name)
    path = SHIPPED.get(name, Path(path_or_name)).resolve()
    if name not in SHIPPED and name in registry.known() and not path.exists():
        path = registry.find(name)
    if not path.is_file():
        known = ", ".join(registry.known())
        raise FileNotFoundError(f"no checkpoint at {path}; give a file or one of: {known}")
    return path


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, size: int, device: torch.device) -> Backbone:
    """Read and verify a file; modification time and size are part of the cache key."""
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(path, file.metadata())
            _check_shapes(path, header["config"], file)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = file.metadata()
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if _digest(text, tensors) != header["sha256"]:
        raise CheckpointError(f"{path}: contents do not match the recorded SHA-256")
    # The cached weights must not be inference tensors, which others could not train with.
    with torch.inference_mode(False):
        return _build(header["config"], tensors, device)


def _build(config: BackboneConfig, tensors: Mapping[str, Tensor], device: torch.device) -> Backbone:
    """The network with ``tensors`` in float32, frozen."""
    with SkipInit():
        backbone = Backbone(config)
    backbone.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
    return backbone.to(device).eval().requires_grad_(False)


def _read_header(path: Path, text: dict[str, str] | None) -> dict[str, Any]:
    """Parse the header; rejects other formats, sizes and vocabularies."""
    if not text or text.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not a file of format {_FORMAT!r}")
    try:
        header: dict[str, Any] = {key: json.loads(text[key]) for key in ("config", "words", "card")}
        header["sha256"] = text["sha256"]
        _check_sizes(header["config"])
        header["config"] = BackboneConfig(**header["config"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: unreadable header ({error})") from error
    if header["words"] != header["config"].make_vocabulary().words:
        raise CheckpointError(f"{path}: written with a different vocabulary")
    return header


def _check_sizes(config: Any) -> None:
    """Reject implausible sizes before a network is built from them."""
    if not isinstance(config, dict):
        raise TypeError("the configuration is not a JSON object")
    for name, value in config.items():
        largest = _MAX_DEPTH if name.endswith("layers") else _MAX_SIZE
        if name in ("vocabulary", "input") or (name == "eps" and isinstance(value, float)):
            continue
        if type(value) is not int or not 1 <= value <= largest:
            raise ValueError(f"{name} = {value!r}")


def _check_shapes(path: Path, config: BackboneConfig, file: Any) -> None:
    """Compare names, shapes and dtypes of the tensors with the network, without reading data."""
    with torch.device("meta"), SkipInit():
        expected = {name: list(t.shape) for name, t in Backbone(config).state_dict().items()}
    names = set(file.keys())
    if names != set(expected):
        odd = sorted(names ^ set(expected))
        raise CheckpointError(f"{path}: {len(odd)} tensors missing or unknown, such as {odd[0]}")
    for name, shape in expected.items():
        entry = file.get_slice(name)
        if entry.get_shape() != shape or entry.get_dtype() not in _DTYPES:
            found = f"{entry.get_dtype()} {entry.get_shape()}"
            raise CheckpointError(f"{path}: {name} is {found}, the configuration says {shape}")


class SkipInit(TorchFunctionMode):
    """Skips parameter initialisation: the weights are loaded right after.

    On the meta device, initialisation would also import torch's compiler, which takes seconds.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the other header entries and names, dtypes, shapes and bytes of the tensors."""
    sha = hashlib.sha256()
    for key in sorted(header):
        if key != "sha256":
            sha.update(f"{key}={header[key]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}:{tensor.dtype}:{list(tensor.shape)}\n".encode())
        sha.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return sha.hexdigest()

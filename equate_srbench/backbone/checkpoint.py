"""Backbones on disk: one safetensors file with configuration, vocabulary and card in its header.

The format holds tensors and text only, so reading one runs no code. A SHA-256 over everything
in the file is part of the header; a file that does not match it is refused.
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

#: Checkpoints that come with the package, by name.
SHIPPED = {"compact": registry.WEIGHTS / "compact.safetensors"}

_FORMAT = "equate-srbench backbone 1"
_DTYPES = {"F16", "BF16", "F32"}
_LARGEST_SIZE = 1 << 20
_LARGEST_DEPTH = 256
_lock = Lock()


class CheckpointError(ValueError):
    """A file that is not a whole, unchanged backbone of this package."""


def save(
    path: str | Path,
    backbone: Backbone,
    metadata: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a backbone; a file at ``path`` is replaced in one step or not at all.

    Parameters
    ----------
    path : path-like
    backbone : Backbone
    metadata : mapping
        Facts for the model card (corpus, seed, examples seen, scores, ...), JSON-ready.
    dtype : torch.dtype, default=torch.float16
        Of the weights on disk.

    Returns
    -------
    str
        The SHA-256 that the header records.

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
    """A backbone in float32, read once per process.

    All callers share the one object, whose weights are frozen and in evaluation mode: copy it
    (``copy.deepcopy``) before training any of it.

    Parameters
    ----------
    path_or_name : path-like
        A file written by ``save``, or a name that ``equate models list`` shows: "compact".
    device : str or torch.device, default="cpu"

    Raises
    ------
    FileNotFoundError
        If there is no such file; ``registry.ModelError`` for a name that was not fetched.
    CheckpointError
        If the file is damaged, changed, or not a backbone of this package.
    """
    path = locate(path_or_name)
    stat = path.stat()
    with _lock:
        return _load(path, stat.st_mtime_ns, stat.st_size, torch.device(device))


def describe(path_or_name: str | os.PathLike[str]) -> dict[str, Any]:
    """What the header says: ``config``, ``words``, ``card`` and ``sha256``; raises as ``load``."""
    path = locate(path_or_name)
    try:
        with safe_open(path, framework="pt") as file:
            return _read_header(path, file.metadata())
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    """What to say of a file that is no safetensors file."""
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"
    if is_zip:
        advice = (
            "a file of torch.save; make it a backbone with `equate convert FILE OUT.safetensors`"
        )
        return CheckpointError(f"{path}: not a safetensors file but {advice}")
    return CheckpointError(f"{path}: not a safetensors file ({error})")


def locate(path_or_name: str | os.PathLike[str]) -> Path:
    """The file of a checkpoint, or of a name; raises FileNotFoundError as ``load``."""
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
    """Read and check a file; time of change and size are here for the cache's key."""
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
    # Shared by all: a caller in inference mode must not leave weights that others cannot train by.
    with torch.inference_mode(False):
        return _build(header["config"], tensors, device)


def _build(config: BackboneConfig, tensors: Mapping[str, Tensor], device: torch.device) -> Backbone:
    """The network with ``tensors`` in float32, frozen."""
    with SkipInit():
        backbone = Backbone(config)
    backbone.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
    return backbone.to(device).eval().requires_grad_(False)


def _read_header(path: Path, text: dict[str, str] | None) -> dict[str, Any]:
    """The header's entries parsed; refuses other formats, sizes and vocabularies."""
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
        raise CheckpointError(f"{path}: written for another vocabulary of tokens")
    return header


def _check_sizes(config: Any) -> None:
    """Refuse sizes that only a damaged file asks for, before a network is built from them."""
    if not isinstance(config, dict):
        raise TypeError("the configuration is not a record")
    for name, value in config.items():
        largest = _LARGEST_DEPTH if name.endswith("layers") else _LARGEST_SIZE
        if name in ("vocabulary", "input") or (name == "eps" and isinstance(value, float)):
            continue
        if type(value) is not int or not 1 <= value <= largest:
            raise ValueError(f"{name} = {value!r}")


def _check_shapes(path: Path, config: BackboneConfig, file: Any) -> None:
    """Compare names, shapes and types of the tensors with the network, reading none of them."""
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
    """Leaves out initial values, which are overwritten, and import torch's compiler on "meta"."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the header's other entries and over names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for key in sorted(header):
        if key != "sha256":
            sha.update(f"{key}={header[key]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}:{tensor.dtype}:{list(tensor.shape)}\n".encode())
        sha.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return sha.hexdigest()

"""Pretrained alignment modules on disk: a safetensors file bound to one backbone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.equate.alignment import Alignment
from equate_srbench.runtime.files import replacing

#: Shipped modules by the name of their backbone.
SHIPPED = {"compact": checkpoint.SHIPPED["compact"].with_name("alignment.safetensors")}

_FORMAT = "equate-srbench alignment 1"
_PREFIX = "alignment."


def save(path: Path, modules: Alignment, backbone_sha256: str, card: Mapping[str, Any]) -> None:
    """Write modules in half precision, atomically.

    Parameters
    ----------
    path : Path
    modules : Alignment
    backbone_sha256 : str
        Of the backbone they were trained with (``checkpoint.describe``).
    card : mapping
        Training facts, JSON-serialisable.
    """
    tensors = {
        _PREFIX + name: t.detach().to("cpu", torch.float16).contiguous()
        for name, t in modules.state_dict().items()
    }
    header = {"format": _FORMAT, "backbone": backbone_sha256, "card": json.dumps(dict(card))}
    with replacing(path) as partial:
        save_file(tensors, partial, header)


def load(backbone: str | os.PathLike[str], path: Path | None = None) -> Alignment | None:
    """Load the modules trained for a backbone, in float32 on the CPU.

    All callers share one object; ``align`` copies it.

    Parameters
    ----------
    backbone : path-like
        Name or file of the backbone, as for ``checkpoint.load``.
    path : Path, optional
        Default: the shipped file for that name.

    Returns
    -------
    Alignment or None
        None if there is no such file, or it belongs to another backbone, whose memories these
        modules cannot read; a fit then starts from fresh modules.

    Raises
    ------
    checkpoint.CheckpointError
        If the file is damaged.
    """
    path = path or SHIPPED.get(str(backbone))
    if path is None or not path.is_file():
        return None
    header = checkpoint.describe(backbone)
    return _load(path, path.stat().st_mtime_ns, header["sha256"], header["config"])


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, sha256: str, config: BackboneConfig) -> Alignment | None:
    """Read a file; ``changed`` is only a cache key."""
    modules = Alignment(config)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT:
                raise checkpoint.CheckpointError(f"{path}: not a file of format {_FORMAT!r}")
            if header.get("backbone") != sha256:
                return None
            names = file.keys()
            state = {n.removeprefix(_PREFIX): file.get_tensor(n).float() for n in names}
        modules.load_state_dict(state, assign=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise checkpoint.CheckpointError(f"{path}: unreadable ({error})") from error
    return modules.requires_grad_(True)


def describe(path: Path) -> dict[str, Any]:
    """The header of a file: ``backbone`` (its SHA-256) and ``card``."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    return {"backbone": header["backbone"], "card": json.loads(header["card"])}

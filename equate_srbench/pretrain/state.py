"""The state of a run on disk: tensors in shards, and one small file that makes them count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from equate_srbench.backbone.registry import digest
from equate_srbench.runtime.files import TEMPORARY, replacing, write_file

#: Names the shards and holds everything that is no tensor; replaced last.
INDEX = "state.json"
_MIB = 2**20
_WAY_OUT = "copy the state here again, or begin in another folder"


class StateError(ValueError):
    """A state that is damaged or incomplete, cannot be written as asked, or is somebody else's."""


def save_state(
    directory: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    *,
    step: int,
    shard_mib: float = float("inf"),
) -> None:
    """Write a state, all or nothing: whatever ends the process, the last whole state is read.

    Parameters
    ----------
    directory : Path
        Holds one state, this one from now on.
    tensors : mapping of str to Tensor
    header : mapping
        What else belongs to the state; JSON.
    step : int
        Part of the shards' names, so that the former state's stay until this one is whole.
    shard_mib : float, default=inf
        Largest file in MiB, for machines that take files of limited size.

    Raises
    ------
    StateError
        If a single tensor is larger than a shard may be; nothing is written then.
    """
    hashes = {}
    for i, shard in enumerate(in_shards(tensors, shard_mib)):
        name = f"state-{step}-{i}.safetensors"
        with replacing(directory / name) as partial:
            save_file(shard, partial)
            hashes[name] = digest(partial)
    write_file(directory / INDEX, json.dumps({"shards": list(hashes), "sha256": hashes, **header}))
    for old in directory.glob("state-*.safetensors"):
        if old.name not in hashes:
            old.unlink()
    for cut_off in directory.glob(f".state*{TEMPORARY}"):  # of a process that was killed
        cut_off.unlink()


def in_shards(tensors: Mapping[str, Tensor], shard_mib: float) -> list[dict[str, Tensor]]:
    """Tensors in order, as many in a shard as fit.

    Raises
    ------
    StateError
        If a single tensor is larger than a shard may be.
    """
    return list(_shards(tensors, int(min(shard_mib * _MIB, 2**62))))


def _shards(tensors: Mapping[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    room = limit
    for name, tensor in tensors.items():
        # names and shapes are written too
        size = tensor.numel() * tensor.element_size() + 2 * len(name) + 128
        if size > limit:
            raise StateError(
                f"{name} has {size / _MIB:.3g} MiB, a shard at most {limit / _MIB:.3g}: allow more"
            )
        if size > room:
            yield shard
            shard, room = {}, limit
        shard[name] = tensor
        room -= size
    yield shard


def load_state(directory: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Header and tensors of the state in ``directory``; None if there is none.

    Raises
    ------
    FileNotFoundError
        If a shard that the index names is missing.
    StateError
        If the index or a shard is damaged.
    """
    path = directory / INDEX
    if not path.exists():
        return None
    try:
        header = json.loads(path.read_text())
        names, hashes = header.pop("shards"), header.pop("sha256", {})  # older states have none
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StateError(f"{path} is damaged: {_WAY_OUT}") from None
    tensors: dict[str, Tensor] = {}
    for name in names:
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{path} names {name}, which is missing: copy all shards")
        try:
            if name in hashes and digest(directory / name) != hashes[name]:
                raise StateError
            with safe_open(directory / name, framework="pt") as file:
                tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, StateError):
            raise StateError(f"{directory / name} is damaged: {_WAY_OUT}") from None
    return header, tensors

"""The state of a run on disk: tensors in shards, and one small file that makes them count."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

#: Names the shards and holds everything that is no tensor; replaced last.
INDEX = "state.json"
_MIB = 2**20


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
    ValueError
        If a single tensor is larger than a shard may be.
    """
    names = []
    for i, shard in enumerate(_shards(tensors, int(min(shard_mib * _MIB, 2**62)))):
        names.append(f"state-{step}-{i}.safetensors")
        partial = directory / f".{names[-1]}"
        save_file(shard, partial)
        os.replace(partial, directory / names[-1])
    partial = directory / f".{INDEX}"
    with partial.open("w") as file:
        json.dump({"shards": names, **header}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, directory / INDEX)
    for old in directory.glob("state-*.safetensors"):
        if old.name not in names:
            old.unlink()


def _shards(tensors: Mapping[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    """Tensors in order, as many in a shard as fit."""
    shard: dict[str, Tensor] = {}
    room = limit
    for name, tensor in tensors.items():
        # names and shapes are written too
        size = tensor.numel() * tensor.element_size() + 2 * len(name) + 128
        if size > limit:
            raise ValueError(
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
    """
    path = directory / INDEX
    if not path.exists():
        return None
    header = json.loads(path.read_text())
    tensors: dict[str, Tensor] = {}
    for name in header.pop("shards"):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{path} names {name}, which is missing: copy all shards")
        with safe_open(directory / name, framework="pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return header, tensors

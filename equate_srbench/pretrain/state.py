"""The state of a run on disk: sharded tensors, and an index file that commits them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from equate_srbench.backbone.registry import digest
from equate_srbench.runtime.files import TEMPORARY, replacing, write_file

if sys.platform != "win32":
    import fcntl

#: Lists the shards and holds everything that is not a tensor; replaced last.
INDEX = "state.json"
_MIB = 2**20
_REMEDY = "copy the state here again, or start in another directory"


class StateError(ValueError):
    """A state that is damaged, incomplete, locked by another process, or cannot be written."""


def save_state(
    directory: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    *,
    step: int,
    shard_mib: float = float("inf"),
) -> None:
    """Write a state atomically: a killed process leaves the previous complete state.

    Parameters
    ----------
    directory : Path
        Holds one state, which is replaced.
    tensors : mapping of str to Tensor
    header : mapping
        Everything else in the state, JSON-serialisable.
    step : int
        Part of the shards' names, so that the previous shards remain until this state is complete.
    shard_mib : float, default=inf
        Largest file in MiB.

    Raises
    ------
    StateError
        If a single tensor exceeds the shard size; nothing is written then.
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
    """Group tensors, in order, into shards of limited size.

    Raises
    ------
    StateError
        If a single tensor exceeds the shard size.
    """
    return list(_shards(tensors, int(min(shard_mib * _MIB, 2**62))))


def _shards(tensors: Mapping[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    free = limit
    for name, tensor in tensors.items():
        # names and shapes are written too
        size = tensor.numel() * tensor.element_size() + 2 * len(name) + 128
        if size > limit:
            raise StateError(
                f"{name} has {size / _MIB:.3g} MiB, above the limit of {limit / _MIB:.3g} MiB per "
                "shard: raise the limit"
            )
        if size > free:
            yield shard
            shard, free = {}, limit
        shard[name] = tensor
        free -= size
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
        raise StateError(f"{path} is damaged: {_REMEDY}") from None
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
            raise StateError(f"{directory / name} is damaged: {_REMEDY}") from None
    return header, tensors


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Exclusive lock on a run's directory; the system releases it when the process ends.

    Raises
    ------
    StateError
        If another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    folder = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"another process is training in {directory}: wait for it, or choose another "
                "directory"
            ) from None
        yield
    finally:
        os.close(folder)

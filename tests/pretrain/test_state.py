"""States on disk: whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from equate_srbench.pretrain.state import INDEX, load_state, save_state


def tensors(seed: int) -> dict[str, torch.Tensor]:
    """Four tensors of 40 kB."""
    generator = torch.Generator().manual_seed(seed)
    return {f"t{i}": torch.randn(100, 100, generator=generator) for i in range(4)}


@pytest.mark.parametrize(("mib", "n_files"), [(float("inf"), 1), (0.1, 2), (0.05, 4)])
def test__save_state__shards__come_back_whole(tmp_path: Path, mib: float, n_files: int) -> None:
    """What goes in comes out, in files no larger than asked for; the former state is gone."""
    save_state(tmp_path, tensors(0), {"n": 1}, step=3, shard_mib=mib)
    save_state(tmp_path, tensors(1), {"n": 2}, step=4, shard_mib=mib)
    header, found = load_state(tmp_path)
    assert header == {"n": 2}
    for name, tensor in tensors(1).items():
        assert torch.equal(found[name], tensor)
    files = list(tmp_path.glob("*.safetensors"))
    assert len(files) == n_files
    assert max(f.stat().st_size for f in files) <= mib * 2**20


def test__save_state__ends_in_the_middle__former_state_is_read(tmp_path: Path, monkeypatch) -> None:
    """Killed after any number of files, the last whole state counts."""
    save_state(tmp_path, tensors(0), {"n": 1}, step=3, shard_mib=0.05)
    real = os.replace
    for allowed in range(5):
        calls = iter(range(100))

        def replace(a, b, calls=calls, allowed=allowed):
            if next(calls) == allowed:
                raise KeyboardInterrupt
            real(a, b)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, tensors(1), {"n": 2}, step=4, shard_mib=0.05)
        header, found = load_state(tmp_path)
        assert header == {"n": 1}
        assert torch.equal(found["t0"], tensors(0)["t0"])
    monkeypatch.setattr(os, "replace", real)
    save_state(tmp_path, tensors(1), {"n": 2}, step=4, shard_mib=0.05)
    assert load_state(tmp_path)[0] == {"n": 2}
    assert len(list(tmp_path.iterdir())) == 5


def test__load_state__nothing_or_a_shard_missing__none_or_an_error(tmp_path: Path) -> None:
    """A folder without a state is a new run; a state copied in part is an error."""
    assert load_state(tmp_path) is None
    save_state(tmp_path, tensors(0), {}, step=1, shard_mib=0.05)
    (tmp_path / "state-1-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="state-1-2"):
        load_state(tmp_path)
    assert (tmp_path / INDEX).exists()


def test__save_state__tensor_larger_than_a_shard__says_so(tmp_path: Path) -> None:
    """A limit below one tensor cannot be kept."""
    with pytest.raises(ValueError, match="t0 has"):
        save_state(tmp_path, tensors(0), {}, step=1, shard_mib=0.01)
    assert load_state(tmp_path) is None

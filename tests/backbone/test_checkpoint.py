"""Backbones on disk: what comes back, and what is refused."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.checkpoint import CheckpointError, describe, load, save
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone

SIZES = {"dim": 8, "encoder_dim": 8, "heads": 2, "encoder_heads": 2, "max_length": 6}


@pytest.fixture
def backbone():
    """A network of a few kilobytes."""
    torch.manual_seed(0)
    return Backbone(BackboneConfig(**SIZES, decoder_layers=1, encoder_layers=1))


@pytest.fixture
def saved(backbone, tmp_path):
    """The same on disk."""
    path = tmp_path / "tiny.safetensors"
    save(path, backbone, {"seed": 0, "examples": 12})
    return path


def contents(path):
    """Header text and tensors of a file."""
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test__load__after_save__gives_the_same_network(backbone, saved):
    """Half precision on disk, float32 in memory, frozen and in evaluation mode."""
    loaded = load(saved)
    assert loaded.config == backbone.config
    assert not loaded.training
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, backbone.state_dict()[name].half().float())
    assert not any(p.requires_grad for p in loaded.parameters())


def test__load__in_inference_mode__can_be_differentiated_later(saved):
    """Whoever loads first does not decide what the others may do with the shared object."""
    with torch.inference_mode():
        loaded = load(saved)
    memory = torch.zeros(1, 2, 8, requires_grad=True)
    loaded.decode(
        torch.zeros(1, 1, dtype=torch.long), memory, torch.ones(1, 2) > 0
    ).sum().backward()
    assert memory.grad is not None


def test__save__float32__is_exact(backbone, tmp_path):
    """For converted weights, where half precision would cost accuracy."""
    path = tmp_path / "exact.safetensors"
    save(path, backbone, {}, dtype=torch.float32)
    for name, weight in load(path).state_dict().items():
        assert torch.equal(weight, backbone.state_dict()[name])


def test__describe__after_save__gives_card_and_hash(backbone, saved):
    """The facts of the card can be read without the weights."""
    facts = describe(saved)
    assert facts["card"] == {"seed": 0, "examples": 12}
    assert facts["config"] == backbone.config
    assert facts["words"] == backbone.vocabulary.words
    assert facts["sha256"] == save(saved, backbone, {"seed": 0, "examples": 12})


def test__load__twice__reads_once(saved, backbone):
    """One object per process, until the file changes."""
    first = load(saved)
    assert load(str(saved)) is first
    save(saved, backbone, {"seed": 1, "note": "another size"})
    assert load(saved) is not first


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test__load__any_bit_flipped__is_refused(saved, place, bit):
    """Header and tensors alike; the file is never half-trusted."""
    original = saved.read_bytes()
    data = bytearray(original)
    data[int(place * len(data))] ^= 1 << bit
    broken = saved.with_name("broken.safetensors")
    broken.write_bytes(data)
    checkpoint._load.cache_clear()
    with pytest.raises(CheckpointError):
        load(broken)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1, -1000])
def test__load__truncated__is_refused(saved, kept):
    """A download that stopped."""
    data = saved.read_bytes()
    saved.write_bytes(data[:kept])
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load(saved)


def test__load__foreign_file__is_refused(tmp_path):
    """Any other safetensors file, and any other file."""
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="format"):
        load(path)
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        describe(path)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("config", lambda c: c | {"heads": 3}, "not a multiple"),
        ("config", lambda c: c | {"colour": 1}, "unreadable header"),
        ("config", lambda c: c | {"decoder_layers": 10**9}, "decoder_layers"),
        ("config", lambda c: c | {"dim": "8"}, "dim"),
        ("config", lambda c: c | {"dim": 16}, "the configuration says"),
        ("config", lambda c: c | {"decoder_layers": 2}, "missing or unknown"),
        ("config", lambda c: [], "unreadable header"),
        ("words", lambda w: [*w[:-1], "other"], "different vocabulary"),
        ("card", lambda c: c | {"examples": 10**9}, "SHA-256"),
    ],
)
def test__load__header_that_does_not_fit__is_refused(saved, key, change, message):
    """With the reason, and before a tensor is used."""
    text, tensors = contents(saved)
    text[key] = json.dumps(change(json.loads(text[key])))
    save_file(tensors, saved, text)
    with pytest.raises(CheckpointError, match=message):
        load(saved)


def test__save__weights_not_finite__leaves_the_old_file(backbone, saved):
    """A diverged training run must not replace a good checkpoint."""
    before = saved.read_bytes()
    with torch.no_grad():
        backbone.decoder.proj.bias[0] = 1e30
    with pytest.raises(ValueError, match="not finite"):
        save(saved, backbone, {})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test__load__no_such_file__says_what_is_known(tmp_path):
    """The message names the shipped checkpoints."""
    with pytest.raises(FileNotFoundError, match="compact"):
        load(tmp_path / "missing.safetensors")

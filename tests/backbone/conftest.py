"""Small networks, and the reference computations of the original code."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.convert.e2e_weights import convert
from equate_srbench.backbone.network import Backbone

FIXTURE = Path(__file__).parents[3] / "shared" / "fixtures" / "e2e_tiny"


@pytest.fixture(scope="session")
def tiny():
    """A random network of the compact kind, small enough for many decodes."""
    torch.manual_seed(0)
    sizes = {"dim": 32, "encoder_dim": 24, "heads": 4, "encoder_heads": 2, "max_length": 24}
    backbone = Backbone(BackboneConfig(**sizes, decoder_layers=2, encoder_layers=1)).eval()
    # Wider than at initialisation, so that decoded formulas are long and differ.
    torch.nn.init.normal_(backbone.decoder.embeddings.weight, std=0.5)
    return backbone


@pytest.fixture(scope="session")
def official(tmp_path_factory):
    """The original's tiny model1.pt as converted, its inputs, and what the original computed."""
    if not FIXTURE.exists():
        pytest.skip("the shared E2E fixture is not here")
    facts = json.loads((FIXTURE / "fixture.json").read_text())
    target = tmp_path_factory.mktemp("official") / "e2e.safetensors"
    convert(FIXTURE / "model1.pt", target)
    backbone = checkpoint.load(target)
    with np.load(FIXTURE / "fixture.npz") as arrays:
        reference = dict(arrays)
    lengths = torch.from_numpy(reference["point_lengths"])
    tokens = torch.from_numpy(reference["point_tokens"]).transpose(0, 1)
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    with torch.no_grad():
        memory = backbone.encode(tokens, mask)
    return SimpleNamespace(
        folder=FIXTURE,
        path=target,
        backbone=backbone,
        facts=facts,
        reference=reference,
        tokens=tokens,
        mask=mask,
        memory=memory,
        targets=torch.from_numpy(reference["target_ids"]).T,
        target_lengths=torch.from_numpy(reference["target_lengths"]),
    )

"""A small random backbone, in memory and on disk."""

import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone


@pytest.fixture(scope="session")
def backbone():
    """Small random weights."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    sizes = {"dim": 32, "encoder_dim": 24, "heads": 4, "encoder_heads": 2, "max_length": 40}
    network = Backbone(BackboneConfig(**sizes, decoder_layers=1, encoder_layers=1)).eval()
    torch.nn.init.normal_(network.decoder.embeddings.weight, std=0.1)
    torch.set_rng_state(state)
    return network.requires_grad_(False)


@pytest.fixture(scope="session")
def network(backbone, tmp_path_factory):
    """The same on disk."""
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    checkpoint.save(path, backbone, {})
    return path

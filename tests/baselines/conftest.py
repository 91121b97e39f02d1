"""A small random backbone, and a table for it."""

import numpy as np
import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small random backbone on disk."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    sizes = {"dim": 32, "encoder_dim": 24, "heads": 4, "encoder_heads": 2, "max_length": 12}
    backbone = Backbone(BackboneConfig(**sizes, decoder_layers=1, encoder_layers=1))
    n = len(backbone.vocabulary)
    symbols = backbone.vocabulary.columns.stop
    torch.nn.init.normal_(backbone.decoder.embeddings.weight, std=0.1)
    backbone.decoder.proj.bias.data = torch.tensor([-2.0 * (i >= symbols) for i in range(n)])
    torch.set_rng_state(state)
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    checkpoint.save(path, backbone, {})
    return str(path)


@pytest.fixture(scope="module")
def table():
    """230 rows: one full bag and a small one."""
    X = np.random.default_rng(0).uniform(1.0, 5.0, (230, 3))
    return X, X[:, 0] / X[:, 1]

"""A small random network and a small dataset for the neural part."""

import numpy as np
import pytest
import torch

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline


@pytest.fixture(scope="session")
def backbone():
    """Random weights, compact vocabulary, encoder and decoder of unequal width."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    sizes = {"dim": 32, "encoder_dim": 24, "heads": 4, "encoder_heads": 2, "max_length": 16}
    network = Backbone(BackboneConfig(**sizes, decoder_layers=2, encoder_layers=1)).eval()
    # wider than at initialisation and with fewer constants, so that decoded formulas differ
    torch.nn.init.normal_(network.decoder.embeddings.weight, std=0.1)
    words = network.vocabulary.words
    symbols = network.vocabulary.columns.stop
    network.decoder.proj.bias.data = torch.tensor(
        [-2.0 * (i >= symbols) for i in range(len(words))]
    )
    torch.set_rng_state(state)
    return network.requires_grad_(False)


@pytest.fixture(scope="session")
def table():
    """60 rows, three columns, ``x0 * x1 / x2``."""
    X = np.random.default_rng(0).uniform(1.0, 5.0, (60, 3))
    return X, X[:, 0] * X[:, 1] / X[:, 2]


@pytest.fixture
def archive(table):
    """An empty archive of that table with plenty of time."""
    return Archive(*table, None, deadline=Deadline(60.0))


@pytest.fixture(scope="session")
def quick():
    """Settings small enough for a test."""
    return EquateSettings(
        n_subsets=3,
        samples=8,
        temperatures=(1.0,),
        max_length=12,
        epochs=2,
        starts=3,
        steps=3,
        ladder=(0.5, 2.0),
        stop_r2=1.1,
    )

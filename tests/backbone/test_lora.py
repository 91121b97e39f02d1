"""Low-rank adapters on a shared network."""

import pytest
import torch

from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.features import n_features
from equate_srbench.backbone.lora import adapt


def seeded(seed=0):
    """A generator."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def memory(tiny):
    """Of two bags."""
    points = torch.randn(2, 9, n_features(), generator=seeded())
    with torch.no_grad():
        return tiny.encode(points, torch.ones(2, 9, dtype=torch.bool))


def test__adapt__untrained__is_the_plain_network(tiny, memory):
    """The product is zero at first."""
    own, _ = adapt(tiny, 4, seeded())
    assert generate(own, memory, mode="greedy") == generate(tiny, memory, mode="greedy")


def test__adapt__parameters__two_factors_per_query_and_value(tiny):
    """Rank 4 on self- and cross-attention of two layers, width 32, memory width 24."""
    own, parameters = adapt(tiny, 4, seeded())
    assert sum(p.numel() for p in parameters) == 2 * 4 * (64 + 64 + 64 + 32 + 24)
    assert all(p.requires_grad for p in parameters)
    shared = {id(p) for p in tiny.parameters()}
    rest = [p for p in own.parameters() if not any(p is q for q in parameters)]
    assert {id(p) for p in rest} == shared


def test__adapt__trained__shared_network_stays(tiny, memory):
    """Its weights, its classes and what it decodes."""
    before = generate(tiny, memory, mode="greedy")
    classes = [type(module) for module in tiny.modules()]
    own, parameters = adapt(tiny, 4, seeded())
    for parameter in parameters:
        parameter.data.normal_(generator=seeded(1))
    assert generate(tiny, memory, mode="greedy") == before
    assert generate(own, memory, mode="greedy") != before
    assert [type(module) for module in tiny.modules()] == classes


def test__adapt__same_generator__same_adapters(tiny):
    """And the global generator is left alone."""
    state = torch.get_rng_state()
    one, two = adapt(tiny, 4, seeded())[1], adapt(tiny, 4, seeded())[1]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test__adapt__rank_beyond_the_width__is_the_width(tiny):
    """More would be waste."""
    _, parameters = adapt(tiny, 1000, seeded())
    assert max(min(p.shape) for p in parameters) == 32

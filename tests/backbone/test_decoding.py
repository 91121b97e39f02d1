"""Greedy decoding, sampling and beam search, cached and plain."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.network import Backbone
from equate_srbench.runtime.clock import Deadline

MODES = ["greedy", "sample", "beam"]


def seeded(seed=0):
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def memories(n_bags, seed=0, n_points=9, dim=24):
    """Random memories and masks of unequal lengths."""
    memory = torch.randn(n_bags, n_points, dim, generator=seeded(seed))
    mask = torch.arange(n_points) < 3 + torch.arange(n_bags)[:, None]
    return memory, mask


def ids(bags):
    """Token sequences only."""
    return [[h.ids for h in bag] for bag in bags]


def test__greedy__fixture_weights__equals_the_release(official):
    """38 tokens in each of five bags, cut by the length."""
    found = generate(
        official.backbone, official.memory, official.mask,
        mode="greedy", max_length=38, grammar=False,
    )  # fmt: skip
    for bag, expected in zip(found, official.reference["greedy_ids"].T, strict=True):
        assert list(bag[0].ids) == expected[1:39].tolist()
        assert not bag[0].finished


@pytest.mark.parametrize("cached", [True, False])
def test__beam__fixture_weights__equals_the_release(official, cached):
    """Sequences and length-normalised scores of three beams in each bag."""
    found = generate(
        official.backbone, official.memory, official.mask,
        mode="beam", n_samples=3, max_length=23, grammar=False, cached=cached,
    )  # fmt: skip
    for bag, expected in zip(found, official.facts["beams"], strict=True):
        for hypothesis, beam in zip(bag, expected, strict=True):
            assert list(hypothesis.ids) == beam["ids"][1:]
            assert hypothesis.log_prob / len(beam["ids"]) == pytest.approx(beam["score"], abs=1e-4)


@pytest.mark.parametrize("grammar", [True, False])
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test__generate__cached_or_not__gives_the_same(tiny, mode, grammar, seed):
    """Kept keys and values change the time, nothing else."""
    memory, mask = memories(3, seed)
    # in double precision, since in single one sample in some thousand falls to the other side
    network = copy.deepcopy(tiny).double()
    first, second = (
        generate(
            network, memory.double(), mask, n_columns=[1, 3, 10], mode=mode, n_samples=5,
            generator=seeded(seed), grammar=grammar, cached=cached,
        )
        for cached in (True, False)
    )  # fmt: skip
    assert ids(first) == ids(second)
    for one, two in zip(first, second, strict=True):
        for a, b in zip(one, two, strict=True):
            assert a.log_prob == pytest.approx(b.log_prob, abs=1e-3)


@pytest.mark.parametrize("mode", ["greedy", "beam"])
def test__generate__batch__equals_one_by_one(tiny, mode):
    """Bags do not see each other."""
    memory, mask = memories(4)
    counts = [2, 10, 1, 5]
    together = generate(tiny, memory, mask, n_columns=counts, mode=mode, n_samples=4)
    for i in range(4):
        alone = generate(
            tiny, memory[i : i + 1], mask[i : i + 1], n_columns=counts[i], mode=mode, n_samples=4
        )
        assert ids(alone)[0] == ids(together)[i]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_columns=st.integers(0, 10),
    max_length=st.integers(1, 24),
    mode=st.sampled_from(MODES),
)
def test__grammar__random_weights__gives_only_valid_formulas(
    tiny, seed, n_columns, max_length, mode
):
    """Complete trees, within the length, over the columns that exist."""
    memory, mask = memories(2, seed % 1000)
    bags = generate(
        tiny, memory, mask, n_columns=n_columns, mode=mode, n_samples=6, temperature=3.0,
        generator=seeded(seed), max_length=max_length,
    )  # fmt: skip
    for bag in bags:
        assert bag
        for h in bag:
            tree = tiny.vocabulary.decode(h.ids)
            assert h.finished
            assert tree.is_valid()
            assert tree.size == len(h.ids) <= max_length
            assert all(column < n_columns for column in tree.columns)
            assert h.log_prob <= 1e-4


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), max_length=st.integers(1, 30))
def test__grammar__e2e_words__gives_only_valid_formulas(official, seed, max_length):
    """Numbers of three words are never left half-written."""
    bags = generate(
        official.backbone, official.memory[:2], official.mask[:2], n_columns=2, n_samples=8,
        temperature=5.0, generator=seeded(seed), max_length=max_length,
    )  # fmt: skip
    for h in bags[0] + bags[1]:
        assert len(h.ids) <= max_length
        assert max(official.backbone.vocabulary.decode(h.ids).columns, default=0) < 2


def test__log_prob__sampled__is_the_probability_under_teacher_forcing(tiny):
    """Without grammar the log-probability is that of all tokens and of the end."""
    memory, mask = memories(1)
    for h in generate(
        tiny, memory, mask, n_samples=6, temperature=2.0, generator=seeded(), grammar=False
    )[0]:
        tokens = torch.tensor([[tiny.vocabulary.eos, *h.ids]])
        following = [*h.ids, tiny.vocabulary.eos] if h.finished else list(h.ids)
        scores = tiny.decode(tokens, memory, mask).log_softmax(-1)[0]
        expected = sum(scores[t, word].item() for t, word in enumerate(following))
        assert h.log_prob == pytest.approx(expected, abs=1e-3)


def test__sample__same_seed__gives_the_same(tiny):
    """The generator decides, no global state does."""
    memory, mask = memories(2)
    runs = [ids(generate(tiny, memory, mask, n_samples=20, generator=seeded(s))) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test__sample__low_temperature__approaches_greedy(tiny):
    """Temperatures may differ from sample to sample."""
    memory, mask = memories(1)
    greedy = generate(tiny, memory, mask, mode="greedy")[0][0].ids
    heat = [1e-4] * 5 + [5.0] * 15
    bag = generate(tiny, memory, mask, n_samples=20, temperature=heat, generator=seeded())[0]
    assert all(h.ids == greedy for h in bag[:5])
    assert len({h.ids for h in bag[5:]}) > 5


def test__sample__frequencies__follow_the_scores(tiny):
    """First tokens of many samples occur as often as the network says (no grammar)."""
    memory, mask = memories(1)
    bag = generate(
        tiny, memory, mask, n_samples=4000, generator=seeded(), grammar=False, max_length=1
    )[0]
    scores = tiny.decode(torch.tensor([[tiny.vocabulary.eos]]), memory, mask)[0, 0]
    expected = scores.double().softmax(-1)
    words = torch.tensor([h.ids[0] if h.ids else tiny.vocabulary.eos for h in bag])
    observed = torch.bincount(words, minlength=len(expected)) / len(bag)
    error = (observed - expected).abs() / (expected * (1 - expected) / len(bag)).sqrt()
    assert error[expected > 1e-3].max() < 5


def test__generate__time_is_up__leaves_incomplete_formulas_out(tiny):
    """A deadline is honoured between tokens and never breaks a formula."""
    memory, mask = memories(2)
    for mode in MODES:
        bags = generate(
            tiny, memory, mask, mode=mode, n_samples=3, generator=seeded(), deadline=Deadline(0.0)
        )
        assert bags == [[], []]


def test__generate__damaged_memory__still_gives_valid_formulas(tiny):
    """NaN in an embedding that an optimiser spoilt: formulas stay well-formed."""
    memory = torch.full((1, 4, 24), float("nan"))
    for mode in MODES:
        for h in generate(tiny, memory, mode=mode, n_samples=4, generator=seeded())[0]:
            assert tiny.vocabulary.decode(h.ids).is_valid()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "other"}, "mode 'other'"),
        ({"n_samples": 0}, "0 formulas"),
        ({}, "needs a torch.Generator"),
        ({"mode": "greedy", "max_length": 25}, "max_length 25"),
        ({"mode": "greedy", "n_columns": [1, 2, 3]}, "n_columns"),
        ({"mode": "greedy", "n_columns": 11}, "n_columns"),
        ({"generator": seeded(), "temperature": 0.0}, "must be positive"),
    ],
)
def test__generate__impossible_arguments__are_refused(tiny, arguments, message):
    """With the offending value in the message."""
    with pytest.raises(ValueError, match=message):
        generate(tiny, *memories(2), **arguments)


def test__generate__longer_than_the_first_room_of_the_cache__is_the_same():
    """The cache grows while formulas do."""
    torch.manual_seed(1)
    config = BackboneConfig(
        dim=16, encoder_dim=16, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    )
    backbone = Backbone(config).eval()
    memory = torch.randn(1, 4, 16)
    found = [
        ids(generate(backbone, memory, n_samples=3, generator=seeded(), grammar=False, cached=c))
        for c in (True, False)
    ]
    assert found[0] == found[1]
    assert max(len(row) for row in found[0][0]) > 32

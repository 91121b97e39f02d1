"""The network: E2E's numbers with E2E's weights, and the laws of its architecture."""

import copy

import pytest
import torch

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.features import n_features, point_tokens
from equate_srbench.backbone.network import Backbone, attend, padding_bias


def close(ours, reference):
    """Within the accuracy that a float32 reimplementation must reach."""
    torch.testing.assert_close(ours, torch.as_tensor(reference), atol=1e-4, rtol=0)


def test__point_tokens__fixture_bags__equal_the_release(official):
    """The encoder's tokens, bag by bag."""
    for i, length in enumerate(official.reference["point_lengths"]):
        X, y = official.reference[f"bag{i}_x"], official.reference[f"bag{i}_y"][:, 0]
        expected = official.tokens[i, :length].numpy()
        assert (point_tokens(X, y) == expected).all()


@torch.no_grad()
def test__encode__fixture_weights__equal_the_release(official):
    """Embedder and encoder."""
    embedded = official.backbone.embedder(official.tokens, official.mask)
    close(embedded.transpose(0, 1), official.reference["embedder_out"])
    close(official.memory, official.reference["encoder_out"])


@torch.no_grad()
def test__decode__fixture_weights__equal_the_release(official):
    """Hidden states, scores and loss under teacher forcing."""
    backbone, targets, reference = official.backbone, official.targets, official.reference
    hidden = backbone.decoder(targets, official.memory, official.mask)
    logits = backbone.decode(targets, official.memory, official.mask)
    valid = torch.arange(targets.shape[1]) < official.target_lengths[:, None]
    expected = torch.from_numpy(reference["decoder_hidden"]).transpose(0, 1)
    close(hidden[valid], expected[valid])
    close(logits[:, :2].transpose(0, 1), reference["logits_full_first2_positions"])
    follows = valid[:, 1:]
    chosen = logits[:, :-1].gather(2, targets[:, 1:, None])[..., 0]
    expected = torch.from_numpy(reference["logits_at_next_target"]).T
    close(chosen[follows], expected[follows])
    assert (logits.argmax(-1) == torch.from_numpy(reference["logits_argmax"]).T)[valid].all()
    loss = (logits[:, :-1].logsumexp(-1) - chosen)[follows].mean()
    close(loss, official.facts["loss"])


def test__parameters__release_sizes__have_the_published_count():
    """4 + 16 layers: 93,451,508 parameters."""
    with torch.device("meta"):
        backbone = Backbone(BackboneConfig.e2e())
    assert sum(p.numel() for p in backbone.parameters()) == 93_451_508


@torch.no_grad()
def test__encode__points_permuted__permutes_the_memory(tiny):
    """The encoder has no positions."""
    points, mask = torch.randn(2, 7, n_features()), torch.ones(2, 7, dtype=torch.bool)
    order = torch.randperm(7)
    memory = tiny.encode(points, mask)
    torch.testing.assert_close(tiny.encode(points[:, order], mask), memory[:, order])


@torch.no_grad()
def test__padding__values_of_missing_points__do_not_matter(tiny):
    """Missing points leave zeros in the memory and no trace in the scores."""
    points = torch.randn(2, 7, n_features())
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    tokens = torch.tensor([[0, 5, 30], [0, 8, 31]])
    memory = tiny.encode(points, mask)
    points[1, 4:] = 99.0
    torch.testing.assert_close(tiny.encode(points, mask), memory)
    assert not memory[1, 4:].any()
    alone = tiny(points[1:, :4], mask[1:, :4], tokens[1:])
    torch.testing.assert_close(tiny(points, mask, tokens)[1:], alone)


@torch.no_grad()
def test__decode__later_token_changed__leaves_earlier_scores(tiny):
    """A token never looks ahead."""
    memory, mask = torch.randn(1, 5, 24), torch.ones(1, 5, dtype=torch.bool)
    first = tiny.decode(torch.tensor([[0, 3, 4, 40]]), memory, mask)
    second = tiny.decode(torch.tensor([[0, 3, 4, 50]]), memory, mask)
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert not torch.equal(first[:, 3], second[:, 3])


@torch.no_grad()
def test__encode__bag_without_points__stays_finite(tiny):
    """An empty row of a batch must not poison a training step."""
    memory = tiny.encode(torch.zeros(1, 4, n_features()), torch.zeros(1, 4, dtype=torch.bool))
    assert not memory.any()


def test__backward__bfloat16__gives_finite_gradients():
    """Half-precision weights train: every parameter gets a finite gradient."""
    config = BackboneConfig(
        dim=32, encoder_dim=32, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    )
    backbone = Backbone(config).to(torch.bfloat16)
    points, mask = torch.randn(3, 6, n_features()), torch.ones(3, 6, dtype=torch.bool)
    tokens = torch.randint(2, 100, (3, 9))
    logits = backbone(points, mask, tokens).float()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


@torch.no_grad()
def test__attend__fused_kernel__gives_the_same():
    """What a GPU uses in place of the three plain operations."""
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 7, 8), torch.randn(2, 4, 7, 8)
    bias = padding_bias(torch.arange(7) < torch.tensor([[7], [4]]))
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(attend(q, k, v, bias), fused)


@pytest.mark.gpu
@torch.no_grad()
def test__decode__on_a_gpu__equals_the_cpu(tiny):
    """The same scores on both devices."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    points = torch.randn(2, 7, n_features())
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    tokens = torch.tensor([[0, 5, 30], [0, 8, 31]])
    expected = tiny(points, mask, tokens)
    there = copy.deepcopy(tiny).cuda()
    found = there(points.cuda(), mask.cuda(), tokens.cuda()).cpu()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    bag = generate(there, there.encode(points.cuda(), mask.cuda()), mask.cuda(), mode="greedy")[0]
    assert there.vocabulary.decode(bag[0].ids).is_valid()

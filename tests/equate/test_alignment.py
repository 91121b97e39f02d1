"""Phase 2: joint embedding, losses, and what training may and may not change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equate_srbench.backbone.decoding import generate
from equate_srbench.equate.adamw import AdamW
from equate_srbench.equate.alignment import (
    Alignment,
    Formulas,
    align,
    keep_rows,
    reconstruction_loss,
    reconstruction_weights,
    score_loss,
)
from equate_srbench.equate.finetune import prepare
from equate_srbench.equate.quadruples import collect, draw_subsets, encode_bags
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import Draws


def seeded(seed=0):
    """A generator."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def bags(backbone, table, quick):
    """Memories of a few subsets."""
    return encode_bags(backbone, *table, draw_subsets(60, quick, np.random.default_rng(0)))


@pytest.fixture
def quadruples(backbone, bags, archive, quick):
    """Candidates of these bags."""
    rng = np.random.default_rng(0)
    return collect(backbone, bags, archive, quick, rng=rng, generator=seeded(), deadline=Deadline())


def formulas(backbone, quadruples):
    """Their tokens as a batch."""
    return Formulas.pack([q.ids for q in quadruples], backbone.vocabulary, torch.device("cpu"))


def snapshot(module):
    """A copy of all weights."""
    return {name: t.clone() for name, t in module.state_dict().items()}


def same(state, module):
    """Whether no weight changed since."""
    return all(torch.equal(t, state[name]) for name, t in module.state_dict().items())


def test__embed__gate_zero__decodes_exactly_like_the_plain_backbone(backbone, bags, quadruples):
    """With g = 0 the joint embedding is the memory, and the ids are E2E's."""
    modules = Alignment(backbone.config, gate=0.0)
    bag = torch.tensor([q.bag for q in quadruples])
    memory, mask = bags.memory[bag], bags.mask[bag]
    joint = modules.embed(backbone, memory, mask, formulas(backbone, quadruples))
    assert torch.equal(joint, memory)
    options = {"n_columns": 3, "mode": "greedy", "max_length": 12}
    own = prepare(backbone, "frozen", seeded()).backbone
    assert generate(own, joint, mask, **options) == generate(backbone, memory, mask, **options)


def test__embed__gate_open__depends_on_the_formula_and_keeps_padding(backbone, bags, quadruples):
    """The formula moves the valid rows of the memory and no others."""
    modules = Alignment(backbone.config)
    first = formulas(backbone, quadruples[:1])
    joint = modules.embed(backbone, bags.memory[:1], bags.mask[:1], first)
    assert joint.shape == bags.memory[:1].shape
    assert (joint[~bags.mask[:1]] == 0.0).all()
    other = next(q for q in quadruples if q.ids != quadruples[0].ids)
    second = modules.embed(backbone, bags.memory[:1], bags.mask[:1], formulas(backbone, [other]))
    assert not torch.equal(joint, second)


def test__embed__longer_neighbour_in_the_batch__changes_nothing(backbone, bags, quadruples):
    """Padding of formulas has no influence."""
    modules = Alignment(backbone.config)
    pair = [min(quadruples, key=lambda q: len(q.ids)), max(quadruples, key=lambda q: len(q.ids))]
    bag = torch.tensor([q.bag for q in pair])
    together = modules.embed(backbone, bags.memory[bag], bags.mask[bag], formulas(backbone, pair))
    alone = modules.embed(
        backbone, bags.memory[bag[:1]], bags.mask[bag[:1]], formulas(backbone, pair[:1])
    )
    torch.testing.assert_close(together[:1], alone, atol=1e-6, rtol=1e-5)


def test__keep_rows__rows_are_whole_distinct_and_valid(bags):
    """Row dropout takes whole rows out before any layer, so that all layers miss the same."""
    memory, mask = keep_rows(
        bags.memory, bags.mask, 7, Draws(seeded(), len(bags)).part(slice(None))
    )
    assert memory.shape[1] == 7
    assert mask.all()
    for bag, kept in enumerate(memory):
        places = [(row == bags.memory[bag]).all(1).nonzero().flatten().tolist() for row in kept]
        assert all(places)
        assert len({p[0] for p in places}) == 7


def test__reconstruction_loss__tokens_behind_the_end__do_not_count(backbone, bags, quadruples):
    """A formula's loss does not depend on how far the batch pads it."""
    pair = sorted(quadruples, key=lambda q: len(q.ids))[:: len(quadruples) - 1]
    memory, mask = bags.memory[:2], bags.mask[:2]
    weights = torch.tensor([1.0, 0.0])
    together = reconstruction_loss(backbone, memory, mask, formulas(backbone, pair), weights)
    alone = reconstruction_loss(
        backbone, memory[:1], mask[:1], formulas(backbone, pair[:1]), weights[:1]
    )
    torch.testing.assert_close(together, alone)


def test__reconstruction_weights__best_has_one__bad_ones_keep_the_floor():
    """Good formulas are distilled, bad ones hardly taught."""
    weights = reconstruction_weights(torch.tensor([1.0, 0.9, -1.0]), 0.1, 0.05)
    torch.testing.assert_close(weights, torch.tensor([1.0, np.exp(-1.0), 0.05]).float())


def test__score_loss__outlier__grows_linearly():
    """Heavy tails of the scores do not dominate."""
    far = [float(score_loss(torch.tensor([[v]]), torch.zeros(1), 1.0)) for v in (10.0, 20.0)]
    assert far[1] / far[0] == pytest.approx(2.0, rel=0.01)


def test__adamw__same_gradients__follows_torch():
    """Our optimiser takes torch's steps (matrices; vectors do not decay here)."""
    weight = torch.randn(4, 3, generator=seeded())
    ours, theirs = weight.clone(), torch.nn.Parameter(weight.clone())
    mine = AdamW([([ours], 0.01)], weight_decay=0.1, clip=1e9)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for i in range(5):
        gradient = torch.randn(4, 3, generator=seeded(i))
        mine.step([gradient])
        theirs.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs.detach())


def test__adamw__large_gradient__is_clipped():
    """Gradients beyond the clip act as if they had its norm."""
    small, large = torch.zeros(3), torch.zeros(3)
    for weight, gradient in ((small, torch.ones(3) / 3**0.5 * 0.5), (large, torch.full((3,), 1e6))):
        AdamW([([weight], 0.1)], clip=0.5).step([gradient])
    torch.testing.assert_close(small, large)


def test__align__only_the_allowed_weights_change(backbone, bags, quadruples, quick):
    """New modules and the fit's copy of the last decoder layer; nothing that others share."""
    before, rng = snapshot(backbone), torch.get_rng_state()
    initial = Alignment(backbone.config)
    given = snapshot(initial)
    aligned = align(
        backbone, bags, quadruples, replace(quick, held_out=0.0),
        initial=initial, generator=seeded(), deadline=Deadline(),
    )  # fmt: skip
    assert same(before, backbone)
    assert same(given, initial)
    assert torch.equal(rng, torch.get_rng_state())
    assert not any(p.requires_grad or p.grad is not None for p in backbone.parameters())
    last = f".{backbone.config.decoder_layers - 1}."
    changed = {n for n, t in aligned.backbone.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(n.startswith("decoder.") and last in n for n in changed)
    assert not same(given, aligned.modules)
    shared = dict(backbone.named_parameters())
    own = dict(aligned.backbone.named_parameters())
    assert {n for n in own if own[n] is not shared[n]} >= changed


def test__align__quadruples__losses_fall(backbone, bags, quadruples, quick):
    """A few epochs fit the training quadruples better than none."""
    settings = replace(quick, epochs=20, lr=3e-3, lr_decoder=3e-3, patience=20, held_out=0.3)
    aligned = align(backbone, bags, quadruples, settings, generator=seeded(), deadline=Deadline())
    assert len(aligned.losses) == 21
    assert min(map(sum, aligned.losses)) < sum(aligned.losses[0])


def test__align__same_seed__same_weights(backbone, bags, quadruples, quick):
    """Order, dropout and initial weights follow from the generator."""
    runs = [
        align(backbone, bags, quadruples, quick, generator=seeded(3), deadline=Deadline())
        for _ in range(2)
    ]
    assert same(snapshot(runs[0].modules), runs[1].modules)
    assert same(snapshot(runs[0].backbone), runs[1].backbone)


def test__align__time_is_up__gives_usable_modules(backbone, bags, quadruples, quick):
    """Without time there is no step, and the result still predicts."""
    aligned = align(backbone, bags, quadruples, quick, generator=seeded(), deadline=Deadline(0.0))
    assert len(aligned.losses) == 1
    joint = aligned.modules.embed(
        aligned.backbone, bags.memory[:1], bags.mask[:1], formulas(backbone, quadruples[:1])
    )
    assert aligned.modules.evaluator(joint, bags.mask[:1]).isfinite().all()


def test__align__one_quadruple__works(backbone, bags, quadruples, quick):
    """Nothing held out, no spread of scores."""
    aligned = align(backbone, bags, quadruples[:1], quick, generator=seeded(), deadline=Deadline())
    assert all(p.isfinite().all() for p in aligned.modules.parameters())

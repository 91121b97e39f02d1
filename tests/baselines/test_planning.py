"""The tree search over tokens, without and with a network."""

import numpy as np
import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.decoding import generate
from equate_srbench.baselines.planning import TokenPlan, Trunk
from equate_srbench.runtime.clock import Deadline

A, B, C = 1, 2, 3
WIDTH = 3


@pytest.fixture
def plan():
    """Greedy decoding gives (A, B); after A, C is possible too, and B instead of A."""
    plan = TokenPlan(explore=1.0, rule="uct")
    plan.remember((A, B), 0, [[(A, 0.7), (B, 0.3)], [(B, 0.6), (C, 0.4)]])
    return plan


def test__select__new_plan__most_probable_token_first_then_the_next(plan):
    """Untried tokens come in order of probability."""
    assert [plan.select().prefix for _ in range(2)] == [(A,), (B,)]


def test__select__rollouts_under_way__lead_the_next_elsewhere(plan):
    """A visit counts before its reward is known."""
    for leaf, reward in ((plan.select(), 0.5), (plan.select(), 0.5)):
        leaf.back_up(reward)
    assert [plan.select().prefix for _ in range(2)] == [(A, B), (B,)]


def test__remember__formula__answers_for_its_prefixes(plan):
    """The greedy formula of a prefix is that of every longer prefix of it."""
    assert plan.completions[()] == plan.completions[(A,)] == (A, B)
    plan.rewards[(A, B)] = 0.8
    assert plan.known_reward((A,)) == 0.8
    assert plan.known_reward((B,)) is None


def test__back_up__rewards__the_best_stays(plan):
    """A prefix is worth its best formula, not the mean."""
    first, second = plan.select(), plan.select()
    first.back_up(0.9)
    second.back_up(0.1)
    assert plan._root.value == 0.9
    assert [child.value for child in plan._root.children] == [0.9, 0.1]


def test__emit__values__follows_the_best_until_the_formula_is_complete(plan):
    """The emitted formula is the best one found, not the most probable."""
    for reward in (0.1, 0.9):
        plan.select().back_up(reward)
    assert plan.emit()
    assert plan.prefix == (B,)
    plan.remember((B,), 1, [])
    assert plan.finished
    assert not plan.emit()


def test__rule__p_ucb__probable_tokens_get_the_bonus():
    """With equal values and visits the probable token is preferred."""
    plan = TokenPlan(explore=5.0, rule="p-ucb")
    plan.remember((A,), 0, [[(A, 0.9), (B, 0.1)]])
    plan.remember((B,), 1, [])
    for _ in range(2):
        plan.select().back_up(0.5)
    assert [plan.select().prefix for _ in range(3)] == [(A,)] * 3


@pytest.fixture
def decoder(network):
    """A backbone with two memories of seven rows."""
    backbone = checkpoint.load(network, "cpu")
    generator = torch.Generator().manual_seed(0)
    width = backbone.config.encoder_dim
    memory = torch.randn(2, 7, width, generator=generator)
    return backbone, memory, torch.ones(2, 7, dtype=torch.bool)


def trunk(decoder, prefixes):
    """A trunk with the emitted tokens of two plans."""
    return Trunk(*decoder, n_columns=3, max_length=12, prefixes=prefixes)


def test__complete__no_prefix__as_greedy_decoding(decoder):
    """Completing nothing is what the backbone decodes greedily."""
    plans = [TokenPlan(1.0, "uct"), TokenPlan(1.0, "uct")]
    trunk(decoder, [(), ()]).complete(plans, [[()], [()]], WIDTH, Deadline())
    expected = generate(*decoder, n_columns=3, mode="greedy", max_length=12)
    assert [plan.completions[()] for plan in plans] == [bag[0].ids for bag in expected]


def test__complete__from_a_trunk__as_from_scratch(decoder):
    """Kept keys and values change nothing, however many rollouts branch off together."""
    scratch = [TokenPlan(1.0, "uct"), TokenPlan(1.0, "uct")]
    trunk(decoder, [(), ()]).complete(scratch, [[()], [()]], WIDTH, Deadline())
    operators = [2, 3, 4]  # binary ones: nothing is complete after them
    prefixes = [[(2, i) for i in operators], [(3, 3, 3)]]
    trunk(decoder, [(), ()]).complete(scratch, prefixes, WIDTH, Deadline())
    plans = [TokenPlan(1.0, "uct"), TokenPlan(1.0, "uct")]
    plans[0].prefix, plans[1].prefix = (2,), (3,)
    branch = trunk(decoder, [(), ()])
    branch.push([2, 3])
    for _ in range(2):  # the trunk stays as it is
        branch.complete(plans, prefixes, WIDTH, Deadline())
    for plan, other, own in zip(plans, scratch, prefixes, strict=True):
        for prefix in own:
            assert plan.completions[prefix] == other.completions[prefix]
            found, wanted = plan.choices[prefix], other.choices[prefix]
            assert [t for t, _ in found] == [t for t, _ in wanted]
            np.testing.assert_allclose([p for _, p in found], [p for _, p in wanted], rtol=1e-4)


def test__complete__choices__are_kept_for_every_decoded_place(decoder):
    """Expanding a prefix on a decoded path needs no decoder."""
    plan = TokenPlan(1.0, "uct")
    backbone, memory, mask = decoder
    one = Trunk(backbone, memory[:1], mask[:1], n_columns=3, max_length=12, prefixes=[()])
    one.complete([plan], [[()]], WIDTH, Deadline())
    formula = plan.completions[()]
    for end in range(len(formula)):
        tokens = plan.choices[formula[:end]]
        assert tokens[0][0] == formula[end]
        assert [p for _, p in tokens] == sorted((p for _, p in tokens), reverse=True)
    assert formula not in plan.choices


def test__complete__no_time__nothing_is_known(decoder):
    """A deadline leaves formulas out, it does not cut them."""
    plans = [TokenPlan(1.0, "uct"), TokenPlan(1.0, "uct")]
    trunk(decoder, [(), ()]).complete(plans, [[()], [()]], WIDTH, Deadline(0.0))
    assert not plans[0].completions
    assert not plans[0].emit()

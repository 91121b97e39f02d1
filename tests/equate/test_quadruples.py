"""Phase 1: subsets, candidates, scores; units on the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.backbone.views import View
from equate_srbench.equate.quadruples import (
    collect,
    decode_trees,
    draw_subsets,
    encode_bags,
    perturbed,
    retokenise,
)
from equate_srbench.equate.settings import EquateSettings, preset
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem import scaling
from equate_srbench.runtime.clock import Deadline

a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


def gather(backbone, archive, settings, seed=0, deadline=None):
    """Bags and quadruples of an archive's table."""
    rng = np.random.default_rng(seed)
    bags = encode_bags(backbone, archive.X, archive.y, draw_subsets(len(archive.y), settings, rng))
    quadruples = collect(
        backbone,
        bags,
        archive,
        settings,
        rng=rng,
        generator=torch.Generator().manual_seed(seed),
        deadline=deadline or Deadline(),
    )
    return bags, quadruples


@given(n=st.integers(1, 2000), seed=st.integers(0, 9))
def test__draw_subsets__any_table__sizes_and_rows_are_as_promised(n, seed):
    """Sizes within their bounds, rows distinct and within the table."""
    settings = EquateSettings()
    subsets = draw_subsets(n, settings, np.random.default_rng(seed))
    most = min(n, settings.max_points)
    least = min(most, max(settings.min_points, n // 2))
    assert len(subsets) == (1 if n <= settings.min_points else settings.n_subsets)
    for rows in subsets:
        assert least <= len(rows) <= most
        assert len(set(rows.tolist())) == len(rows)
        assert rows[0] >= 0
        assert rows[-1] < n


def test__encode_bags__both_views__masks_follow_the_sizes(backbone, table):
    """Two memories per subset; padding is masked and zero."""
    subsets = [np.arange(10), np.arange(25)]
    bags = encode_bags(backbone, *table, subsets)
    assert [v.kind for v in bags.views] == ["scale", "standard"] * 2
    assert bags.mask.sum(1).tolist() == [10, 10, 25, 25]
    assert bags.memory.shape == (4, 25, backbone.config.encoder_dim)
    assert (bags.memory[~bags.mask] == 0.0).all()


def test__collect__random_network__quadruples_are_distinct_scored_and_capped(
    backbone, archive, quick
):
    """Best first, no two alike in a view, scores as the archive says, tokens within limits."""
    bags, quadruples = gather(backbone, archive, replace(quick, cap=12))
    real = [q for q in quadruples if q.candidate is not None]
    assert 0 < len(quadruples) <= 12
    assert len(real) < len(quadruples)
    assert [q.score for q in real] == sorted((q.score for q in real), reverse=True)
    keys = [(bags.views[q.bag].kind, q.candidate.inner.skeleton) for q in real]
    assert len(set(keys)) == len(keys)
    assert all(q.score == archive.score(q.candidate) for q in real)
    assert all(0 < len(q.ids) <= quick.max_length for q in quadruples)
    assert {c.source for c in archive.candidates} == {"constant", "backbone"}


def test__collect__same_seed__same_quadruples(backbone, archive, table, quick):
    """Everything follows from the generators."""
    first = gather(backbone, archive, quick)[1]
    again = gather(backbone, type(archive)(*table, None, deadline=Deadline()), quick)[1]
    assert [(q.bag, q.ids, q.score) for q in first] == [(q.bag, q.ids, q.score) for q in again]


def test__collect__time_is_up__returns_at_once(backbone, archive, quick):
    """No decoding after the deadline."""
    assert gather(backbone, archive, quick, deadline=Deadline(0.0))[1] == []


def test__perturbed__never_enter_the_archive(backbone, archive, quick):
    """Damaged formulas calibrate the evaluator and cannot become answers."""
    bags, quadruples = gather(backbone, archive, replace(quick, negatives=0.0))
    before = len(archive), archive.best
    rng = np.random.default_rng(0)
    found = perturbed(backbone.vocabulary, bags, quadruples, archive, quick, 20, rng)
    assert len(found) >= 10
    assert all(q.candidate is None for q in found)
    assert (len(archive), archive.best) == before


def test__decode_trees__cold_sample__is_the_greedy_formula(backbone, table):
    """Temperature 1e-4 stands for the greedy decode in a batch of samples."""
    bags = encode_bags(backbone, *table, [np.arange(30)])
    options = {
        "n_columns": 3,
        "max_length": 12,
        "generator": torch.Generator().manual_seed(0),
        "deadline": Deadline(),
    }
    greedy = decode_trees(backbone, bags.memory, bags.mask, **options)
    cold = decode_trees(backbone, bags.memory, bags.mask, temperatures=(1e-4,), **options)
    assert greedy == cold


VIEWS = [
    View("scale", np.zeros(3), np.array([10.0, 0.1, 1.0])),
    View("standard", np.array([3.0, -1.0, 0.5]), np.array([2.0, 0.3, 1.0])),
]
TREES = [
    f("div", f("mul", a, b), c),
    f("mul", a, f("sin", f("add", b, Tree.constant(0.7)))),
    f("exp", f("sub", a, b)),
    f("sqrt", f("add", f("square", a), f("square", c))),
]


def affine_gap(p, q):
    """Part of ``q`` that no scale and offset of ``p`` explain."""
    design = np.column_stack([p, np.ones_like(p)])
    left = q - design @ np.linalg.lstsq(design, q, rcond=None)[0]
    return np.linalg.norm(left) / np.linalg.norm(q - q.mean())


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.kind)
@pytest.mark.parametrize("tree", TREES, ids=str)
def test__units__to_user__same_values_modulo_scale_and_offset(tree, view):
    """A view formula read on raw columns is the same function, up to what is fitted anyway."""
    X = np.random.default_rng(0).uniform(1.0, 2.0, (40, 3))
    Z = view.transform(X)
    assert affine_gap(evaluate(tree, Z), evaluate(scaling.to_canonical(tree, view), X)) < 1e-9


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.kind)
@pytest.mark.parametrize("tree", TREES, ids=str)
def test__units__there_and_back__is_the_same_function(tree, view):
    """Raw columns and back to the view."""
    Z = np.random.default_rng(0).uniform(1.0, 2.0, (40, 3))
    back = scaling.to_view(scaling.to_canonical(tree, view), view)
    assert back is not None
    assert affine_gap(evaluate(tree, Z), evaluate(back, Z)) < 1e-9


def test__units__product_in_other_units__stays_a_product():
    """Powers of ten leave with the outer scale instead of standing at every column."""
    assert scaling.to_canonical(TREES[0], VIEWS[0]).size == TREES[0].size


def test__units__extreme_scale__no_term_is_lost():
    """Columns of 1e9 and 1e-9 keep their part of a sum."""
    view = View("scale", np.zeros(3), np.array([1e9, 1e-9, 1.0]))
    Z = np.random.default_rng(0).uniform(1.0, 2.0, (40, 3))
    tree = f("add", f("add", a, b), c)
    found = evaluate(scaling.to_canonical(tree, view), Z * view.scale)
    assert affine_gap(evaluate(tree, Z), found) < 1e-9
    assert scaling.to_view(tree, view) is None


def test__retokenise__refined_constant__replaces_the_decoded_one(archive, backbone):
    """The target says what the refinement found, next to a whole number as that number."""
    view = View("scale", np.zeros(3), np.ones(3))
    decoded = f("sin", f("mul", Tree.constant(1.0), a))
    candidate = archive.add(a, f("sin", f("mul", Tree.constant(2.99999), a)), 1.0, "backbone")
    ids = retokenise(backbone.vocabulary, candidate, view, decoded, 12)
    assert backbone.vocabulary.decode(ids) == f("sin", f("mul", Tree.constant(3.0), a))


def test__retokenise__constant_out_of_range__keeps_the_decoded_formula(archive, backbone):
    """Where the vocabulary has no word, the decoded tokens stay."""
    view = View("scale", np.zeros(3), np.ones(3))
    decoded = f("sin", f("mul", Tree.constant(5.0), a))
    candidate = archive.add(a, f("sin", f("mul", Tree.constant(1e7), a)), 1.0, "backbone")
    ids = retokenise(backbone.vocabulary, candidate, view, decoded, 12)
    assert backbone.vocabulary.decode(ids) == decoded


def test__preset__unknown_name__error_lists_the_names():
    """Errors say the way out."""
    with pytest.raises(ValueError, match="paper"):
        preset("slow")

"""The corpus: valid, deterministic, decontaminated."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.pretrain.corpus import examples as corpus
from equate_srbench.pretrain.corpus import generators
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig, pool, thinned

CONFIG = CorpusConfig(seed=3, batch_points=960, batches=4)
NOTHING = Filter(frozenset())


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    """A small pool."""
    return pool(CONFIG, 5, NOTHING)[0]


def test__draw__many__within_width_and_never_constant() -> None:
    """Formulas use columns of their table, up to ten, from every family."""
    r = Random(0)
    drawn = [generators.draw(r) for _ in range(500)]
    columns = [normal.to_tree(e).columns for e, _ in drawn]
    assert all(c and c[-1] < n <= 10 for c, (_, n) in zip(columns, drawn, strict=True))
    assert {n for _, n in drawn} == set(range(1, 11))


def test__pool__targets__decode_to_short_formulas(batches: list[Batch]) -> None:
    """Every target is one complete formula between start and end tokens."""
    vocabulary = CompactVocabulary()
    for batch in batches:
        for row in batch.tokens.tolist():
            assert row[0] == vocabulary.eos
            end = row.index(vocabulary.eos, 1)
            assert set(row[end + 1 :]) <= {vocabulary.pad}
            tree = vocabulary.decode(row[1:end])
            assert 1 < tree.size <= CONFIG.max_tokens
            assert vocabulary.decode(vocabulary.encode(tree)) == tree


def test__pool__points__finite_and_of_one_size(batches: list[Batch]) -> None:
    """Features are finite half-precision numbers, and a pool has one number of points."""
    assert {b.points.shape[1] for b in batches} == {batches[0].points.shape[1]}
    assert all(np.isfinite(b.points).all() and b.points.dtype == np.float16 for b in batches)
    assert sum(len(b.points) for b in batches) == 4 * (960 // batches[0].points.shape[1])


def test__pool__same_seed_and_index__same_pool(batches: list[Batch]) -> None:
    """A pool depends on the seed and its index only."""
    again = pool(CONFIG, 5, NOTHING)[0]
    for a, b in zip(batches, again, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.tokens, b.tokens)
    other = pool(CONFIG, 6, NOTHING)[0]
    assert (
        other[0].tokens.shape != again[0].tokens.shape or (other[0].tokens != again[0].tokens).any()
    )


def test__thinned__many_batches__some_points_of_each_bag_same_targets(batches: list[Batch]) -> None:
    """Half to all of the points stay, the same ones in every bag; a place fixes which."""
    n, n_kept = batches[0].points.shape[1], set()
    for place in range(200):
        batch = batches[place % len(batches)]
        made = thinned(CONFIG, 5, place, batch)
        again = thinned(CONFIG, 5, place, batch)
        np.testing.assert_array_equal(made.points, again.points)
        np.testing.assert_array_equal(made.tokens, batch.tokens)
        n_kept.add(made.points.shape[1])
        whole = {bag.tobytes() for bag in batch.points.swapaxes(0, 1)}
        kept = [bag.tobytes() for bag in made.points.swapaxes(0, 1)]
        assert len(set(kept)) == len(kept)
        assert whole.issuperset(kept)
    assert n - n // 2 <= min(n_kept) < 0.6 * n
    assert 0.9 * n < max(n_kept) <= n


def test__thinned__nothing_to_drop__all_points(batches: list[Batch]) -> None:
    """Runs from before the option keep what they had."""
    made = thinned(replace(CONFIG, dropped=0.0), 5, 0, batches[0])
    np.testing.assert_array_equal(np.sort(made.points, 1), np.sort(batches[0].points, 1))


def test__example__target_of_its_own_table__explains_it() -> None:
    """The tree over view columns gives y up to scale, offset and noise."""
    r, rng, counts = Random(1), np.random.default_rng(1), corpus.Counts()
    examples = list(corpus.examples_of(CONFIG, r, rng, 48, 60, NOTHING, counts))
    correlations = [abs(np.corrcoef(evaluate(e.tree, e.X), e.y)[0, 1]) for e in examples]
    assert np.median(correlations) > 1.0 - 1e-9
    assert min(correlations) > 0.5
    assert {e.view.kind for e in examples} == {"scale", "standard"}


def test__pool__forbidden_skeletons__dropped_and_counted() -> None:
    """A filter's formulas do not come out, and the card learns how many were dropped."""
    r, rng, counts = Random(2), np.random.default_rng(2), corpus.Counts()
    first = list(corpus.examples_of(CONFIG, r, rng, 24, 80, NOTHING, counts))
    banned = Filter.of(normal.from_tree(e.tree) for e in first)
    r, rng, counts = Random(2), np.random.default_rng(2), corpus.Counts()
    second = list(corpus.examples_of(CONFIG, r, rng, 24, 80, banned, counts))
    assert counts.contaminated > 0
    assert counts.kept == 80
    assert not any(banned.matches(normal.from_tree(e.tree)) for e in second)


@pytest.mark.parametrize(
    ("values", "good"),
    [
        ([1.0, 2.0, 3.0, 4.0], True),
        ([1.0, 1.0, 1.0, 1.0], False),
        ([1.0, np.nan, 3.0, 4.0], False),
        ([1.0, np.inf, 3.0, 4.0], False),
        ([0.0, 1e12, 2e12, 3e12], False),
    ],
)
def test__usable__values__judged(values: list[float], good: bool) -> None:
    """Undefined, constant and huge targets are refused."""
    assert corpus.usable(np.array([values * 8]))[0] == good


def test__usable__one_outlier__refused() -> None:
    """A target that one point dominates says nothing about the formula."""
    assert not corpus.usable(np.array([[0.1, 0.2] * 20 + [1e5]]))[0]

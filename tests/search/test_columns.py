"""Choosing columns: interactions, order of rows, weights, time, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from equate_srbench.problem.canonical import prepare
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.columns import narrowed, rank_columns


def ranked(X, y, weights=None, seed=0, **options):
    """The ranking with a seed."""
    return rank_columns(X, y, weights, rng=np.random.default_rng(seed), **options)


@pytest.fixture(scope="module")
def table():
    """Rows of 40 columns without any relation, normal."""
    return np.random.default_rng(5).normal(size=(200, 40))


@pytest.mark.parametrize(
    ("matter", "function"),
    [
        ([7, 2, 10], lambda a, b, c: a + np.exp(b) + c**2),
        ([3, 30], lambda a, b: a * b),
        ([0, 39, 5], lambda a, b, c: (a - b) ** 2 + 0.5 * c),
        ([11, 12], lambda a, b: np.sin(a + b)),
        ([8, 20, 31], lambda a, b, c: a * b * c),
        ([1, 6], lambda a, b: np.exp(2.0 * a) / np.exp(3.0 * b)),
    ],
    ids=["alone", "product", "difference", "sine", "three", "heavy tails"],
)
def test__rank_columns__interactions__their_columns_come_first(table, matter, function):
    """Columns that tell something only together are found."""
    y = function(*table[:, matter].T)
    assert set(ranked(table, y)[: len(matter)]) == set(matter)


def test__rank_columns__ratio_of_positive_columns__comes_first(table):
    """Inverses of columns of one sign take part in products."""
    X = np.abs(table) + 0.5
    assert set(ranked(X, X[:, 4] / X[:, 9])[:2]) == {4, 9}


def test__rank_columns__same_seed__same_ranking_of_all_columns(table):
    """Every column has a rank, and the seed decides everything."""
    y = table[:, 0] * table[:, 1] + np.random.default_rng(0).normal(size=200)
    order = ranked(table, y)
    assert sorted(order) == list(range(40))
    assert order == ranked(table, y)


def test__narrowed__order_of_rows_and_weights_for_repeats__do_not_matter(table):
    """The choice is made on canonical rows."""
    rng = np.random.default_rng(1)
    y = table[:, 0] * table[:, 1] + 0.3 * rng.normal(size=200)
    counts = rng.integers(1, 4, 200)
    order = rng.permutation(counts.sum())
    repeated = np.repeat(table, counts, axis=0)[order], np.repeat(y, counts)[order]

    def kept(*given):
        rng = np.random.default_rng(0)
        return narrowed(prepare(*given), 5, rng=rng, deadline=Deadline()).kept

    assert kept(table, y, counts.astype(float)) == kept(*repeated, None)


def test__rank_columns__time_is_up__single_columns_still_count(table):
    """Without any time the strongest single column comes first."""
    over = Deadline(0.0)
    assert ranked(table, table[:, 17] ** 3, deadline=over)[0] == 17


def test__rank_columns__constant_and_duplicate_columns__no_harm(table):
    """Columns that say nothing come last; of two copies one is enough."""
    X = table.copy()
    X[:, 3], X[:, 4] = 2.0, X[:, 5]
    order = ranked(X, X[:, 5] * X[:, 6])
    assert order[-1] == 3
    assert set(order[:2]) in ({4, 6}, {5, 6})


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test__rank_columns__hardly_any_rows__some_ranking(table, n_rows):
    """Nothing can be told, and nothing breaks."""
    assert sorted(ranked(table[:n_rows], table[:n_rows, 0])) == list(range(40))


def test__rank_columns__constant_target__some_ranking(table):
    """No column explains what does not vary."""
    assert sorted(ranked(table, np.ones(200))) == list(range(40))


@pytest.mark.slow
def test__rank_columns__many_rows_and_columns__memory_stays_flat():
    """5000 x 600, more columns than one bag holds: below 200 MB, and the product is found."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(5000, 600))
    y = X[:, 500] * X[:, 10] + X[:, 300]
    tracemalloc.start()
    order = ranked(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(order[:3]) == {10, 300, 500}
    assert peak < 200 * 2**20

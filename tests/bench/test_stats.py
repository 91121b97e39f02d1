"""Ranks, tests and intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.bench import stats


@pytest.fixture
def scores() -> pd.DataFrame:
    """Three methods on four datasets, with a tie and a failure."""
    return pd.DataFrame(
        {
            "good": [0.9, 0.99, 1.0, 0.8],
            "fair": [0.8, 0.99, 0.9, 0.7],
            "poor": [0.1, 0.2, np.nan, -50.0],
        },
        index=list("abcd"),
    )


def test__average_ranks__tie_and_failure__shared_and_last(scores):
    """Equal scores share their mean rank; a missing score is the worst."""
    found = stats.average_ranks(scores)
    assert list(found.index) == ["good", "fair", "poor"]
    assert found["good"] == pytest.approx((1 + 1.5 + 1 + 1) / 4)
    assert found["poor"] == 3.0


def test__ranks__two_failures__share_the_last_place():
    """Minus infinity and a gap are the same: no result."""
    table = pd.DataFrame({"a": [0.5], "b": [np.nan], "c": [-np.inf]})
    assert stats.ranks(table).to_numpy().tolist() == [[1.0, 2.5, 2.5]]


def test__score_table__trials__median_with_failures_below():
    """Trials are joined by their median; a failed trial is below every other."""
    frame = pd.DataFrame(
        {
            "suite": "s", "dataset": "d", "noise": 0.0, "method": ["a"] * 3 + ["b"] * 2,
            "status": ["ok", "ok", "crash", "ok", "timeout"],
            "r2_test": [0.9, 0.7, np.nan, 0.5, np.nan],
        }
    )  # fmt: skip
    table = stats.score_table(frame)
    assert table.loc[("s", "d", 0.0), "a"] == 0.7
    assert table.loc[("s", "d", 0.0), "b"] == -np.inf


def test__holm__textbook_example__known_values():
    """Smallest p times the number of tests, and so on, never decreasing, at most 1."""
    found = stats.holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(stats.holm([0.5, 0.9]), [1.0, 1.0])


@given(st.lists(st.floats(0, 1), max_size=12))
def test__holm__any_p_values__between_plain_and_bonferroni(p):
    """Holm lies between no correction and Bonferroni's."""
    found, plain = stats.holm(p), np.array(p)
    assert (found >= plain).all()
    assert (found <= np.minimum(plain * max(len(p), 1), 1.0) + 1e-12).all()


def test__wilcoxon_holm__clear_winner__small_p_and_counts(rng):
    """A method that is always a little better is found to be."""
    base = rng.uniform(0.2, 0.8, 30)
    table = pd.DataFrame({"a": base + 0.05, "b": base, "c": base})
    found = stats.wilcoxon_holm(table).set_index(["a", "b"])
    assert found.loc[("a", "b"), "p_holm"] < 1e-4
    assert found.loc[("a", "b"), "wins"] == 30
    assert found.loc[("b", "c"), "p"] == 1.0
    assert found.loc[("b", "c"), "ties"] == 30


def test__wilcoxon_holm__failed_in_both__a_tie(scores):
    """Two scores below the floor are equal, however far below."""
    table = pd.DataFrame({"a": [-np.inf, 0.5], "b": [-3.0, 0.5]})
    assert stats.wilcoxon_holm(table)["ties"].tolist() == [2]
    assert len(stats.wilcoxon_holm(scores, against="fair")) == 2


def test__wilcoxon_holm__unknown_method__error_names_the_others(scores):
    """The message lists what there is."""
    with pytest.raises(ValueError, match="no method 'best': there are good, fair, poor"):
        stats.wilcoxon_holm(scores, against="best")


def test__friedman__alike_and_different__p_tells(rng):
    """Equal methods give 1, an ordered field a tiny p, two methods an error."""
    base = rng.uniform(size=20)
    assert stats.friedman(pd.DataFrame({"a": base, "b": base, "c": base})) == 1.0
    ordered = pd.DataFrame({"a": base, "b": base - 1, "c": base - 2})
    assert stats.friedman(ordered) < 1e-6
    with pytest.raises(ValueError, match="at least 3 methods"):
        stats.friedman(ordered[["a", "b"]])


def test__bootstrap_interval__mean__covers_as_often_as_promised():
    """About 95 of 100 intervals hold the true mean."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        low, high = stats.bootstrap_interval(rng.normal(size=40), rng=rng, n_resamples=400)
        hits += low <= 0.0 <= high
    assert 178 <= hits <= 200


def test__bootstrap_interval__median_with_failures__finite_or_minus_infinity(rng):
    """Failures pull the lower end down and never make it undefined."""
    values = np.r_[np.full(4, -np.inf), np.linspace(0.5, 1.0, 5)]
    low, high = stats.bootstrap_interval(values, np.median, rng=rng)
    assert low == -np.inf
    assert 0.5 <= high <= 1.0


@pytest.mark.parametrize(
    ("values", "level", "message"), [([], 0.95, "no values"), ([1.0], 95, "between 0 and 1")]
)
def test__bootstrap_interval__bad_input__clear_error(rng, values, level, message):
    """Nothing to draw from, or a level in per cent."""
    with pytest.raises(ValueError, match=message):
        stats.bootstrap_interval(values, rng=rng, level=level)


def test__wilcoxon_holm__one_pair__p_of_scipy(rng):
    """The p values are SciPy's for the same differences."""
    from scipy.stats import wilcoxon

    table = pd.DataFrame(rng.uniform(size=(15, 2)), columns=["a", "b"])
    expected = wilcoxon(table["a"], table["b"], zero_method="pratt").pvalue
    assert stats.wilcoxon_holm(table)["p"][0] == pytest.approx(expected)

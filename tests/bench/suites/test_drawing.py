"""Values stay in their ranges and keep their signs; rows are defined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from equate_srbench.bench.suites.drawing import SIGNS, Range, RangeError, draw_rows
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse

N = 4000
KINDS = [
    Range(low, high, log=log, integer=integer, sign=sign)
    for (low, high), log, integer, sign in itertools.product(
        ((1.0, 9.0), (20.0, 50.0)), (False, True), (False, True), SIGNS
    )
]


@pytest.mark.parametrize("one", KINDS, ids=str)
def test__draw__each_kind__within_bounds_with_its_signs(one, rng):
    """Sizes are between the bounds, whole where asked for, and signs are those wanted."""
    values = one.draw(N, rng)
    size = np.abs(values)
    assert one.low <= size.min() <= size.max() <= one.high * (1 + 1e-12)
    assert set(np.sign(values)) == {"pos": {1}, "neg": {-1}, "pos_neg": {-1, 1}}[one.sign]
    if one.integer:
        assert np.array_equal(size, np.round(size))


@pytest.mark.parametrize("one", KINDS, ids=str)
def test__draw_wider__each_kind__further_out_with_the_same_signs(one, rng):
    """The wider range covers the range, goes beyond it, and no variable changes its sign."""
    values = one.draw_wider(N, rng)
    size = np.abs(values)
    assert set(np.sign(values)) == {"pos": {1}, "neg": {-1}, "pos_neg": {-1, 1}}[one.sign]
    assert size.max() > one.high
    if not one.integer or one.log:
        assert 0.0 < size.min() < one.low
    assert size.max() <= 3 * one.high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-1.0, 3.0, (-3.0, 5.0)), (1.0, 3.0, (0.5, 4.0)), (-3.0, -1.0, (-4.0, -0.5)), (0, 2, (0, 3))],
)
def test__draw_wider__uniform__half_its_width_without_crossing_zero(low, high, expected, rng):
    """Half of the width on each side, but a bound that is not beyond zero stays so."""
    values = Range(low, high).draw_wider(20 * N, rng)
    assert values.min() == pytest.approx(expected[0], abs=2e-3)
    assert values.max() == pytest.approx(expected[1], abs=2e-3)


def test__draw__log__uniform_in_the_logarithm(rng):
    """Every decade gets as many values (Kolmogorov and Smirnov)."""
    values = np.log10(Range(1e-3, 1e5, log=True).draw(N, rng))
    assert stats.kstest(values, stats.uniform(-3, 8).cdf).pvalue > 1e-3


def test__draw__integer__both_bounds_occur(rng):
    """Whole numbers between the bounds, bounds included, also from bounds that are not whole."""
    assert set(Range(1, 4, integer=True).draw(N, rng)) == {1, 2, 3, 4}
    assert set(Range(0.5, 3.5, integer=True).draw(N, rng)) == {1, 2, 3}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([3.0, 1.0], "in order"),
        ([0.0, float("nan")], "in order"),
        ({"low": 0.0, "high": 1.0, "log": True}, "positive lower bound"),
        ({"low": 0.2, "high": 0.8, "integer": True}, "no whole number"),
        ({"low": 0.0, "high": 1.0, "sign": "both"}, "use one of pos, neg, pos_neg"),
    ],
)
def test__range__nothing_to_draw__error_says_why(facts, said):
    """A range that is wrong is refused where it is made."""
    with pytest.raises(RangeError, match=said):
        Range.from_json(facts)


def test__draw_rows__partly_undefined__drawn_again(rng):
    """All rows are defined, and follow the ranges under that condition."""
    tree = parse("sqrt(a - b)", ["a", "b"])
    X, y = draw_rows(tree, {"a": Range(0, 1), "b": Range(0, 1)}, 500, rng)
    assert X.shape == (500, 2)
    assert np.isfinite(y).all()
    assert np.array_equal(evaluate(tree, X.to_numpy()), y)
    assert X["a"].mean() > 0.6 > 0.4 > X["b"].mean()  # 2/3 and 1/3


def test__draw_rows__nowhere_defined__error_counts(rng):
    """No endless loop over a formula that is never defined."""
    with pytest.raises(RangeError, match="0 finite targets in 1000 draws, 10 are wanted"):
        draw_rows(parse("log(-a)", ["a"]), {"a": Range(1, 2)}, 10, rng)


def test__draw_rows__single__beyond_its_range_is_drawn_again(rng):
    """A target that single precision cannot hold does not come as infinity."""
    tree = parse("exp(a)", ["a"])
    _, y = draw_rows(tree, {"a": Range(0, 200)}, 200, rng, single=True)
    assert np.isfinite(y).all()
    assert y.max() > 1e30
    assert np.array_equal(y, y.astype(np.float32))

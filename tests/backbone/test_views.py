"""The two scalings of a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.backbone.views import View
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

KINDS = ["scale", "standard"]


def table(seed, low=-6, high=6, shape=(40, 3)):
    """A table whose columns have sizes from 10**low to 10**high and offsets."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(low, high, shape[-1])
    return (rng.normal(size=shape) + rng.uniform(-3, 3, shape[-1])) * size


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test__to_user__any_table__reads_raw_columns(kind, seed):
    """The rewritten formula on raw columns equals the formula on the view's, bit for bit."""
    X = table(seed)
    view = View.fit(X, kind)
    inner = Tree.apply("mul", Tree.variable(2), Tree.apply("sin", Tree.variable(0)))
    tree = Tree.apply("add", inner, Tree.apply("mul", Tree.constant(2.5), Tree.variable(1)))
    np.testing.assert_array_equal(
        evaluate(view.to_canonical(tree), X), evaluate(tree, view.transform(X))
    )


@given(seed=st.integers(0, 2**32 - 1))
def test__scale__any_table__has_rms_of_one_to_ten_and_keeps_zero(seed):
    """Powers of ten only, so that ratios stay readable."""
    X = table(seed)
    X[0] = 0.0
    view = View.fit(X, "scale")
    Z = view.transform(X)
    rms = np.sqrt((Z**2).mean(0))
    assert ((rms >= 1 - 1e-9) & (rms < 10 + 1e-9)).all()
    assert not Z[0].any()
    assert not view.center.any()


@given(seed=st.integers(0, 2**32 - 1))
def test__standard__any_table__has_mean_zero_and_deviation_one(seed):
    """E2E's view."""
    Z = View.fit(table(seed), "standard").transform(table(seed))
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(Z.std(0), 1, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-310, 1e-150, 1e150, 1e300])
def test__fit__extreme_or_constant_columns__stays_finite(kind, size):
    """No overflow on the way, and a scale that can be divided by."""
    X = np.linspace(-1, 1, 21)[:, None] * size + np.zeros(2)
    X[:, 1] = size
    view = View.fit(X, kind)
    assert (view.scale > 0).all()
    assert np.isfinite(view.transform(X)).all()


@pytest.mark.parametrize("kind", KINDS)
def test__fit__batch_with_mask__equals_table_by_table(kind):
    """A batch is only a faster loop; masked rows count for nothing."""
    X = np.stack([table(seed) for seed in range(4)])
    mask = np.random.default_rng(0).random(X.shape[:2]) < 0.7
    X[~mask] = 1e9
    batch = View.fit(X, kind, mask)
    for i in range(len(X)):
        alone = View.fit(X[i][mask[i]], kind)
        np.testing.assert_allclose(batch.center[i], alone.center, rtol=1e-12)
        np.testing.assert_allclose(batch.scale[i], alone.scale, rtol=1e-12)


def test__fit__unknown_kind__is_refused():
    """Only two views exist."""
    with pytest.raises(ValueError, match="kind must be"):
        View.fit(np.ones((3, 1)), "other")


def test__to_user__scale_one__adds_nothing():
    """Columns of ordinary size stay single leaves."""
    view = View.fit(np.full((4, 2), [2.0, 30.0]), "scale")
    tree = Tree.apply("mul", Tree.variable(0), Tree.variable(1))
    expected = Tree.apply(
        "mul", Tree.variable(0), Tree.apply("div", Tree.variable(1), Tree.constant(10.0))
    )
    assert view.to_canonical(tree) == expected

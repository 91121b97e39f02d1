"""Numeric features and float tokens of points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equate_srbench.backbone.features import n_features, point_features, point_tokens
from equate_srbench.backbone.views import View
from equate_srbench.expr.tokens.e2e_vocabulary import float_tokens

KINDS = ["scale", "standard"]
sizes = st.floats(-1e150, 1e150) | st.floats(-10, 10) | st.sampled_from([0.0, 5e-324, -1e150])


@pytest.mark.parametrize("kind", KINDS)
@given(data=arrays(np.float64, (6, 4), elements=sizes))
def test__point_features__any_finite_input__is_bounded(kind, data):
    """Values from 5e-324 to 1e150 give float32 within -8 .. 8, without a warning."""
    X, y = data[:, :3], data[:, 3]
    view = View.fit(X, kind)
    features = point_features(view.transform(X), y, view)
    assert features.dtype == np.float32
    assert features.shape == (6, n_features())
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= 8


@pytest.mark.parametrize("kind", KINDS)
def test__point_features__batch__equals_bag_by_bag(kind):
    """Masked rows and absent columns of a batch change nothing for the others."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(2, 3, (5, 30, 4)), rng.normal(size=(5, 30))
    mask, present = rng.random((5, 30)) < 0.8, np.arange(4) < np.array([[1], [2], [3], [4], [2]])
    view = View.fit(X, kind, mask)
    batch = point_features(view.transform(X), y, view, mask=mask, present=present)
    assert not batch[~mask].any()
    for i in range(5):
        rows, n = mask[i], int(present[i].sum())
        alone = View.fit(X[i][rows][:, :n], kind)
        expected = point_features(alone.transform(X[i][rows][:, :n]), y[i][rows], alone)
        np.testing.assert_allclose(batch[i][rows], expected, atol=1e-5)


@given(st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
def test__point_features__scaled_target__changes_the_size_channel_only(factor, seed):
    """The network sees the target modulo its outer scale, and its size in one channel."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    view = View.fit(X, "scale")
    first, second = (point_features(X, target, view) for target in (y, factor * y))
    np.testing.assert_allclose(np.delete(first, -2, 1), np.delete(second, -2, 1), atol=1e-4)


def test__point_features__more_columns_than_the_model__is_refused():
    """The error carries both numbers."""
    X = np.ones((3, 4))
    with pytest.raises(ValueError, match="4 columns, the model takes 3"):
        point_features(X, X[:, 0], View.fit(X, "scale"), max_columns=3)


def test__point_tokens__two_columns__pads_the_others():
    """Three tokens per number: columns, fillers, target."""
    ids = point_tokens(np.array([[1.0, -2.5]]), np.array([0.0]))
    words = [float_tokens().words[i] for i in ids[0]]
    assert words[:6] == ["+", "N1000", "E-3", "-", "N2500", "E-3"]
    assert words[6:30] == ["<INPUT_PAD>"] * 24
    assert words[30:] == ["+", "N0000", "E-3"]


def test__point_tokens__more_columns_than_the_model__is_refused():
    """The error carries both numbers."""
    with pytest.raises(ValueError, match="11 columns"):
        point_tokens(np.ones((2, 11)), np.ones(2))

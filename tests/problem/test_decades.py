"""Targets over many decades are seen, and weighted by their size."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.text.parser import parse
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.decades import relative_weights, spans_decades
from equate_srbench.runtime.clock import Deadline

RNG = np.random.default_rng(0)
X = RNG.uniform(0.0, 12.0, (300, 2))


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.exp(X[:, 0]), True),
        (-np.exp(2.0 * X[:, 0]), True),
        (10.0 ** X[:, 0] * np.sin(X[:, 1]), True),
        (np.sin(X[:, 0]), False),
        (X[:, 0] ** 3, False),
        (RNG.standard_cauchy(300), False),
        (np.zeros(300), False),
        (np.where(X[:, 0] < 6.0, 0.0, X[:, 0]), False),
    ],
)
def test__spans_decades__most_of_the_values__not_some_near_zero(y, expected):
    """Values near a zero and outliers do not count."""
    assert spans_decades(y) is expected


def test__relative_weights__squared_errors_are_relative():
    """Of the same sum; where a tenth of each value is missing, all rows are as wrong."""
    y = np.exp(X[:, 0])
    given = RNG.uniform(0.5, 2.0, 300)
    for weights in (None, given):
        found = relative_weights(y, weights)
        assert found.sum() == pytest.approx(300.0 if weights is None else given.sum())
        share = found * y**2 / (1.0 if weights is None else weights)
        far = y > np.percentile(y, 3.0)
        assert np.ptp(share[far]) < 1e-9 * share.max()
    assert np.isfinite(relative_weights(np.array([0.0, 1e-9, -1e9]), None)).all()


def test__is_exact__many_decades__small_values_count():
    """What is right for the largest values only is not exact; the whole law is."""
    y = X[:, 0] ** 9 * np.exp(X[:, 1]) + X[:, 0]
    archive = Archive(X, y, deadline=Deadline())
    part, whole = archive.refine([parse(t, ["a", "b"]) for t in ("a**9*exp(b)", "a**9*exp(b) + a")],
                                 "edit")  # fmt: skip
    assert part.loss < 1e-18 * archive.variance
    assert archive.is_exact(whole)
    assert not archive.is_exact(part)
    assert archive.law is whole

"""Points between the rows."""

from __future__ import annotations

import numpy as np

from equate_srbench.teacher.labels import between


def test__between__one_column__within_neighbours(rng):
    """In one column every point lies between two rows that are close."""
    X = np.concatenate([np.arange(10.0), np.arange(100.0, 110.0)])[:, None]
    points = between(X, 500, rng)
    assert points.shape == (500, 1)
    assert not ((points > 9.0) & (points < 100.0)).any()
    assert points.min() >= 0.0
    assert points.max() <= 109.0


def test__between__two_columns__on_a_line_between_two_rows(rng):
    """Each point is a mean of two rows, so it cannot leave the hull."""
    X = rng.standard_normal((12, 2)) * [1.0, 1e6]
    for point in between(X, 50, rng):
        ahead = [
            np.allclose(point, a + t * (b - a))
            for a in X
            for b in X
            if (a != b).any() and -1e-9 <= (t := (point - a) @ (b - a) / ((b - a) @ (b - a))) <= 1
        ]
        assert any(ahead)


def test__between__two_rows__the_way_between_them(rng):
    """The smallest table that has a between, and no points at all."""
    assert between(np.array([[0.0], [1.0]]), 5, rng).shape == (5, 1)
    assert between(np.array([[0.0], [1.0]]), 0, rng).shape == (0, 1)

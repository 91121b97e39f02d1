"""Sample points between the rows, for a teacher to label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from equate_srbench.teacher.smooth import centre_and_scale

Array = NDArray[np.float64]

#: Nearest neighbours to interpolate towards.
NEIGHBOURS = 3


def between(X: Array, n_points: int, rng: np.random.Generator) -> Array:
    """Random convex combinations of a row and one of its nearest neighbours.

    They lie inside the convex hull of the rows, where a teacher interpolates.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        At least two rows; distances are in standardised columns.
    n_points : int
    rng : numpy Generator

    Returns
    -------
    ndarray of shape (n_points, n_columns)
    """
    centre, scale = centre_and_scale(X)
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(X) - 1)).fit((X - centre) / scale)
    neighbours = near.kneighbors(return_distance=False)  # of each row, without itself
    rows = rng.integers(len(X), size=n_points)
    others = neighbours[rows, rng.integers(neighbours.shape[1], size=n_points)]
    share = rng.uniform(size=(n_points, 1))
    points: Array = (1.0 - share) * X[rows] + share * X[others]
    return points

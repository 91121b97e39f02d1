"""Distributions of the columns of the corpus: ranges, clusters, trajectories."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random

import numpy as np
from numpy.typing import NDArray

_POSITIVE = ((1.0, 5.0), (1.0, 3.0), (1.0, 10.0), (1.0, 2.0), (0.0, 1.0), (0.1, 2.0), (0.5, 4.0))
_SYMMETRIC = (1.0, 2.0, 3.0, 5.0, math.pi, 10.0)
MOST_CLUSTERS = 6


class Family(IntEnum):
    """Distribution family of the rows."""

    UNIFORM = 0
    LOGARITHMIC = 1
    NORMAL = 2
    CLUSTERS = 3
    PATH = 4


@dataclass(slots=True)
class Spec:
    """Distribution of the rows of a table; columns are independent given it.

    Attributes
    ----------
    family : Family
    a, b, c : ndarray of shape (n_columns,)
        UNIFORM: minimum, width. LOGARITHMIC: power of ten. NORMAL: mean, standard deviation.
        PATH: frequency, phase, offset.
    centres, widths : ndarray of shape (n_clusters, n_columns)
        CLUSTERS only.
    path : (float, float, float)
        PATH only: length, decay, amplitude.
    above : float
        Minimum of every column after a shift; 0 means no shift.
    """

    family: Family
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    centres: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    widths: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    path: tuple[float, float, float] = (0.0, 0.0, 0.0)
    above: float = 0.0


def table(
    r: Random, rng: np.random.Generator, n_points: int, n_columns: int, positive: bool = False
) -> tuple[NDArray[np.float64], Spec]:
    """Draw columns, in the units of the formula, and their distribution.

    A table has one family: positive ranges, symmetric ranges, logarithmic, normal, clusters, or a
    smooth trajectory (as of a differential equation). ``positive`` shifts every column above zero.

    Returns
    -------
    X : ndarray of shape (n_points, n_columns)
    spec : Spec
    """
    u = r.random()
    shape = (n_points, n_columns)
    a, b, c = np.zeros((3, n_columns))
    if u < 0.64:
        if u < 0.5:
            fixed = r.choice(_POSITIVE) if r.random() < 0.7 else None
            low, high = np.array([fixed or r.choice(_POSITIVE) for _ in range(n_columns)]).T
            a, b = low, high - low
        else:
            limit = r.choice(_SYMMETRIC)
            a, b = a - limit, b + 2.0 * limit
        X, spec = a + b * rng.random(shape), Spec(Family.UNIFORM, a, b, c)
    elif u < 0.72:
        a = a + r.choice((0.5, 1.0))
        X, spec = 10.0 ** (a * (2.0 * rng.random(shape) - 1.0)), Spec(Family.LOGARITHMIC, a, b, c)
    elif u < 0.82:
        X = rng.standard_normal(shape)
        b = b + r.choice((0.5, 1.0, 2.0))
        a = a + r.choice((0.0, 0.0, 3.0))
        X, spec = X * b + a, Spec(Family.NORMAL, a, b, c)
    elif u < 0.92:
        n = r.randint(2, MOST_CLUSTERS)
        centres, widths = rng.normal(size=(n, n_columns)) * 2.0, rng.random((n, n_columns))
        member = rng.integers(n, size=n_points)
        X = centres[member] + widths[member] * rng.standard_normal(shape)
        spec = Spec(Family.CLUSTERS, a, b, c, centres, widths)
    else:
        length, t = _times(r, rng, n_points)
        a, b = rng.random((2, n_columns)) * [[2.0], [6.3]]
        decay = r.choice((0.0, 0.1, 0.3))
        amplitude = r.choice((1.0, 2.0, 5.0))
        c = rng.normal(size=n_columns)
        X = np.sin(a * t + b) * np.exp(-decay * t) * amplitude + c
        spec = Spec(Family.PATH, a, b, c, path=(length, decay, amplitude))
    if positive:
        spec.above = 0.1 * r.choice((1.0, 10.0))
        X = X - X.min(0) + spec.above
    return X, spec


def _times(r: Random, rng: np.random.Generator, n_points: int) -> tuple[float, NDArray[np.float64]]:
    t = rng.random((n_points, 1))
    length = r.choice((3.0, 6.0, 12.0))
    return length, t * length

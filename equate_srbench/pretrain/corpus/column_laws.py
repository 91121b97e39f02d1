"""Distributions of the columns of the corpus: ranges, clusters, trajectories."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    OWN = 5


class ColumnLaw(IntEnum):
    """ColumnLaw of one column of a table whose columns have laws of their own."""

    DECADES = 0
    NARROW = 1
    INTERVAL = 2
    INTEGERS = 3
    ONE_SIGN = 4
    CONSTANT = 5


#: Probabilities of the laws of columns in a formula; a column that is in none is constant with
#: probability ``IDLE_CONSTANT``.
LAWS = {
    ColumnLaw.DECADES: 0.4,
    ColumnLaw.NARROW: 0.15,
    ColumnLaw.INTERVAL: 0.2,
    ColumnLaw.INTEGERS: 0.1,
    ColumnLaw.ONE_SIGN: 0.15,
}
IDLE_CONSTANT = 0.3
#: Widths of log-uniform columns in decades, and their probabilities.
DECADES = ((1, 2, 3, 4, 6, 10, 20, 30), (0.28, 0.32, 0.14, 0.1, 0.06, 0.05, 0.03, 0.02))
#: Signs of log-uniform columns, 0 for both, and their probabilities.
SIGNS = ((1, -1, 0), (0.7, 0.1, 0.2))
#: Probability that a column, or a target, is rounded.
ROUNDED, ROUNDED_TARGET = 0.15, 0.12


@dataclass(slots=True)
class Spec:
    """Distribution of the rows of a table; columns are independent given it.

    Attributes
    ----------
    family : Family
    a, b, c : ndarray of shape (n_columns,)
        UNIFORM: minimum, width. LOGARITHMIC: power of ten. NORMAL: mean, standard deviation.
        PATH: frequency, phase, offset. OWN: minimum, width (of the logarithm for DECADES), and to
        what values are rounded: a step, or digits for DECADES; 0 leaves them.
    centres, widths : ndarray of shape (n_clusters, n_columns)
        CLUSTERS only.
    path : (float, float, float)
        PATH only: length, decay, amplitude.
    above : float
        Minimum of every column after a shift; 0 means no shift.
    law, sign : ndarray of shape (n_columns,)
        OWN only: a ``ColumnLaw`` for each column; 1, -1, or 0 for both signs.
    digits : float
        Significant digits to which the target is rounded; 0 leaves it.
    """

    family: Family
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    centres: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    widths: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    path: tuple[float, float, float] = (0.0, 0.0, 0.0)
    above: float = 0.0
    law: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    sign: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    digits: float = 0.0


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


# -- columns with laws of their own -------------------------------------------------------------


def own_table(
    r: Random,
    rng: np.random.Generator,
    n_points: int,
    used: Sequence[bool],
    positive: bool = False,
) -> tuple[NDArray[np.float64], Spec]:
    """Draw columns as in real tables, and their distribution.

    Each column has a law of its own, or all have the same: log-uniform over 1 to 30 decades, a
    narrow range far from zero, an interval, integers, one sign, or constant. Some are rounded.

    Parameters
    ----------
    r, rng : generators
    n_points : int
    used : sequence of bool, n_columns
        Whether the formula has the column; only others are constant.
    positive : bool, default=False
        No column has negative values.

    Returns
    -------
    X : ndarray of shape (n_points, n_columns)
    spec : Spec
    """
    common = _law(r) if r.random() < 0.5 else None
    laws = [
        ColumnLaw.CONSTANT if not is_used and r.random() < IDLE_CONSTANT
        else common if common is not None else _law(r)
        for is_used in used
    ]  # fmt: skip
    numbers = np.array([_numbers(r, law, positive) for law in laws]).T
    a, b, c, sign = numbers.reshape(4, len(laws))
    law = np.array(laws, dtype=np.float64)
    spec = Spec(Family.OWN, a, b, c, law=law, sign=sign)
    if r.random() < ROUNDED_TARGET:
        spec.digits = float(r.choice((2, 3, 3, 4)))
    return _own_rows(rng, n_points, spec), spec


def _law(r: Random) -> ColumnLaw:
    return r.choices(tuple(LAWS), tuple(LAWS.values()))[0]


def _numbers(r: Random, law: ColumnLaw, positive: bool) -> tuple[float, float, float, float]:
    """Minimum, width, rounding and sign of a column."""
    is_rounded, sign = r.random() < ROUNDED, 1.0
    if law == ColumnLaw.DECADES:
        width = float(r.choices(*DECADES)[0])
        sign = 1.0 if positive else float(r.choices(*SIGNS)[0])
        low = r.choice((0.5, 1.0)) - width if r.random() < 0.6 else -0.5 * width
        return low, width, float(r.choice((2, 3))) if is_rounded else 0.0, sign
    if law == ColumnLaw.INTEGERS:
        return float(r.randint(0, 5)), float(r.choice((3, 5, 10, 20, 50, 100))), 1.0, sign
    if law == ColumnLaw.INTERVAL:
        limit = r.choice((1.0, 1.0, 2.0, 3.0, 5.0, 10.0, 50.0))
        low = 0.0 if positive or r.random() < 0.4 else -limit
        width = limit - low
    else:
        low = 10.0 ** r.uniform(-1.0, 1.0)
        if law == ColumnLaw.NARROW:
            width = low * 10.0 ** r.uniform(-2.5, 0.0)
        elif law == ColumnLaw.CONSTANT:
            return low, 0.0, 0.0, sign
        else:
            width = low * r.choice((1.0, 4.0, 9.0))
        sign = -1.0 if not positive and r.random() < 0.35 else 1.0
    return low, width, width / r.choice((8, 20, 100)) if is_rounded else 0.0, sign


def _own_rows(rng: np.random.Generator, n_points: int, spec: Spec) -> NDArray[np.float64]:
    x = spec.a + spec.b * rng.random((n_points, len(spec.a)))
    is_power = spec.law == ColumnLaw.DECADES
    x = np.where(is_power, 10.0 ** np.where(is_power, x, 0.0), x)
    x = np.where(is_power, rounded(x, spec.c), stepped(x, np.where(is_power, 0.0, spec.c)))
    signs = np.where(rng.random(x.shape) < 0.5, -1.0, 1.0)
    out: NDArray[np.float64] = x * np.where(spec.sign == 0.0, signs, spec.sign)
    return out


def stepped(x: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """``x`` rounded to multiples of ``step``, where that is not 0."""
    steps = np.where(step > 0.0, step, 1.0)
    return np.where(step > 0.0, np.round(x / steps) * steps, x)


def rounded(x: NDArray[np.float64], digits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """``x`` rounded to ``digits`` significant digits, where that is not 0."""
    size = np.abs(x)
    steps = 10.0 ** (np.floor(np.log10(np.where(size > 0.0, size, 1.0))) - digits + 1.0)
    return np.where((np.asarray(digits) > 0.0) & (size > 0.0), np.round(x / steps) * steps, x)

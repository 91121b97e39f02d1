"""Feature selection for wide tables: bags of columns, searched for products by matching pursuit.

A column that acts only through another one, such as either factor of a product of centred
columns, is not correlated with the target, and so no ranking of single columns finds it. All pairs
of a few hundred columns can be tried, though: the correlations of the target with every product of
two functions of columns are one matrix product.

Every bag of columns is searched greedily (matching pursuit): the function of one column, or the
product of functions of two or three, that tells most about what is left of the target is fitted
together with those found before, until chance could explain the next one. Its columns are credited
with the nats gained. The first bags hold the strongest columns, all of them where they fit; further
bags are drawn with weights by what earlier ones found, so that columns that hide behind others get
their turn. Every second bag sees ranks (as normal quantiles) instead of values: products of powers
are sums there, and no row far out decides. Evidence is the mean over the bags a column was in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from equate_srbench.problem.canonical import Problem
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

#: Share of a fit's time.
TIME = 0.2
#: Most rows that columns are judged on.
MOST_ROWS = 1000
#: Most columns of one bag: matrices over pairs of its functions stay below 7 MB.
MOST_COLUMNS = 256
#: Bags of the strongest columns, and bags drawn by weight; odd ones see ranks.
FIRST_BAGS, DRAWN_BAGS = 2, 10
#: A drawn bag has this share of the columns of a first one, but not fewer than ``FEWEST``.
SHARE, FEWEST = 0.5, 12
#: Maximum number of terms per bag.
STEPS = 12
#: Functions of one column are cut at so many standard deviations, so that no row decides alone.
CUT = 6.0
#: Share of the target's variance that counts as nothing.
VARIANCE_FLOOR = 1e-10
#: Rows of a matrix over pairs that are held at once while all columns of a table are compared.
BLOCK = 512


def narrowed(
    problem: Problem, most: int, *, rng: np.random.Generator, deadline: Deadline
) -> Problem:
    """Keep the ``most`` columns that are most informative about the target.

    Takes up to ``TIME`` of what is left until ``deadline``, counted in processor time, so that
    how busy a machine is does not decide.
    """
    own = deadline.within(TIME * deadline.left(), time.thread_time)
    ranked = rank_columns(problem.X, problem.y, problem.weights, rng=rng, deadline=own)
    return problem.of_columns(ranked[:most])


def rank_columns(
    X: Array,
    y: Array,
    weights: Array | None,
    *,
    rng: np.random.Generator,
    deadline: Deadline | None = None,
) -> list[int]:
    """Rank columns by how much they explain of ``y``, alone and in products, most first.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
        How many rows a row stands for.
    rng : numpy Generator
        Draws the bags.
    deadline : Deadline, optional
        What was found until then is the answer.

    Returns
    -------
    list of int
        All columns.
    """
    deadline = deadline or Deadline()
    some = np.linspace(0, len(y) - 1, min(len(y), MOST_ROWS)).astype(int)
    counts = (np.ones(len(y)) if weights is None else weights)[some]
    n_columns = X.shape[1]
    X, y = X[some], y[some]
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        views = [
            _view(X, y, counts),
            _view(_scores(X, counts), _scores(y[:, None], counts), counts),
        ]
        strength = np.max([_strengths(*view, deadline) for view in views], axis=0)
        found, total, seen = np.zeros(n_columns), strength.copy(), np.ones(n_columns)
        for bag in range(FIRST_BAGS + DRAWN_BAGS):
            if deadline.over:
                break
            members = _draw(bag, found, total / seen, rng)
            table, target = views[bag % 2]
            credit, left = _pursue(table.of_columns(members), target, deadline)
            found[members] += credit
            total[members] += left
            seen[members] += 1.0
    mean = found / np.maximum(seen - 1.0, 1.0)
    return sorted(range(n_columns), key=lambda j: (-mean[j], -total[j] / seen[j], j))


def _view(X: Array, y: Array, counts: Array) -> tuple[Functions, Array]:
    """Functions of columns, and the target on the same scale."""
    table = Functions.of(X, counts)
    return table, _standardised(y.ravel(), table.weights)


def _draw(bag: int, found: Array, strength: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Columns of a bag, in their order."""
    most = min(len(strength), MOST_COLUMNS)
    weight = strength**2 + found / max(found.sum(), 1e-9) + 1e-6
    if bag < FIRST_BAGS:
        return np.sort(np.argsort(-weight, kind="stable")[:most])
    size = min(max(int(SHARE * most), FEWEST), len(strength))
    return np.sort(rng.choice(len(strength), size, replace=False, p=weight / weight.sum()))


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions of columns as standardised rows.

    Attributes
    ----------
    values : ndarray of shape (n_functions, n_columns, n_rows), float32
        Zero where a function is not defined or constant; the first function is the column itself.
    weights : ndarray of shape (n_rows,)
        Sum to 1.
    n_rows : float
        How many rows the weights stand for.
    """

    values: Array32
    weights: Array
    n_rows: float

    @classmethod
    def of(cls, X: Array, counts: Array) -> Functions:
        """Column, square, inverse (of one sign and not near 0), sine and cosine."""
        weights = counts / counts.sum()
        z = _standardised(X.T, weights)
        size = np.abs(X.T)
        apart = size.min(axis=1) > 0.02 * size.max(axis=1)
        apart &= (X.T > 0).all(axis=1) | (X.T < 0).all(axis=1)
        inverse = np.where(apart[:, None], 1.0 / X.T, 0.0)
        made = [z, z**2, inverse, np.sin(z), np.cos(z)]
        values = np.stack([_standardised(f, weights).astype(np.float32) for f in made])
        return cls(values, weights, float(counts.sum()))

    def of_columns(self, columns: NDArray[np.int64]) -> Functions:
        """The same for some columns."""
        return Functions(self.values[:, columns], self.weights, self.n_rows)

    @property
    def flat(self) -> Array32:
        """All functions of all columns, shape (n_functions * n_columns, n_rows)."""
        return self.values.reshape(-1, self.values.shape[2])

    def nats(self, correlation: Array, tried: float) -> Array:
        """Nats that a term explains, less what the best of so many would explain by chance."""
        rest = np.maximum(1.0 - np.asarray(correlation, np.float64) ** 2, VARIANCE_FLOOR)
        gained: Array = -0.5 * self.n_rows * np.log(rest) - np.log(max(tried, 1.0))
        return gained


def _standardised(values: Array, weights: Array) -> Array:
    """Rows of mean 0 and variance 1, outliers cut; zero where constant."""
    least = 1e-9 * np.abs(values).max(axis=-1, keepdims=True)
    values = values - (values @ weights)[..., None]
    spread = np.sqrt(values**2 @ weights)[..., None]
    good = spread > least
    return np.clip(np.where(good, values / spread, 0.0), -CUT, CUT)


def _scores(X: Array, counts: Array) -> Array:
    """Columns with their values replaced by normal quantiles of their ranks; equal ones stay so."""
    out = np.empty_like(X)
    for j, column in enumerate(X.T):
        _, place = np.unique(column, return_inverse=True)
        heights = np.bincount(place, weights=counts)
        out[:, j] = ndtri((np.cumsum(heights) - 0.5 * heights) / counts.sum())[place]
    return out


def _norms(rows: Array32, columns: Array32, weights: Array32) -> Array32:
    """Inverse standard deviations of all products of two functions; 0 where there is none."""
    mean = (rows * weights) @ columns.T
    variance = (rows**2 * weights) @ (columns**2).T - mean**2
    return np.where(variance > 1e-3, 1.0 / np.sqrt(np.maximum(variance, 1e-3)), 0.0)


def _strengths(table: Functions, target: Array, deadline: Deadline) -> Array:
    """Largest absolute correlation of each column's functions and products with the target."""
    K, p, _ = table.values.shape
    flat, w = table.flat, table.weights.astype(np.float32)
    wanted = w * target.astype(np.float32)
    single = np.abs(flat @ wanted)
    best = single.copy()
    order = np.argsort(-single, kind="stable")  # if the time is short, begin with the strongest
    for start in range(0, len(flat), BLOCK):
        if deadline.over:
            break
        block = order[start : start + BLOCK]
        found = np.abs((flat[block] * wanted) @ flat.T) * _norms(flat[block], flat, w)
        found[block[:, None] % p == np.arange(K * p) % p] = 0.0  # two functions of one column
        best[block] = np.maximum(best[block], found.max(axis=1))
    return np.asarray(best.reshape(K, p).max(axis=0), np.float64)


def _pursue(bag: Functions, target: Array, deadline: Deadline) -> tuple[Array, Array]:
    """Search one bag.

    Returns
    -------
    credit : ndarray of shape (n_columns,)
        Nats explained by the terms that a column is in, shared among the columns of a term.
    left : ndarray of shape (n_columns,)
        Largest absolute correlation with what the terms leave.
    """
    K, p, _ = bag.values.shape
    flat, w = bag.flat, bag.weights.astype(np.float32)
    norms = _norms(flat, flat, w)
    norms[np.arange(K * p)[:, None] % p == np.arange(K * p) % p] = 0.0
    root = np.sqrt(bag.weights)
    terms, rest = [root], target
    credit, left = np.zeros(p), np.zeros(p)
    for _ in range(STEPS):
        if deadline.over or rest**2 @ bag.weights < VARIANCE_FLOOR:
            break
        wanted = _standardised(rest, bag.weights).astype(np.float32) * w
        single = np.abs(flat @ wanted)
        pairs = np.abs((flat * wanted) @ flat.T) * norms
        left = np.maximum(single, pairs.max(axis=1)).reshape(K, p).max(axis=0)
        nats, members = _best_of(bag, single, pairs)
        if nats <= 0.0:
            nats, members = _triple(bag, wanted, deadline)
        if nats <= 0.0:
            break
        owners = np.unique(np.array(members) % p)
        credit[owners] += nats / len(owners)
        terms.append(root * np.prod(flat[members], axis=0, dtype=np.float64))
        basis = np.stack(terms, axis=1)
        rest = target - basis @ np.linalg.lstsq(basis, root * target, rcond=None)[0] / root
    return credit, np.asarray(left, np.float64)


def _best_of(bag: Functions, single: Array32, pairs: Array32) -> tuple[float, list[int]]:
    """Nats and functions of the best term of one or two functions."""
    one, two = int(single.argmax()), int(pairs.argmax())
    first, second = divmod(two, len(single))
    alone = float(bag.nats(single[one], len(single)))
    joint = float(bag.nats(pairs[first, second], 0.5 * pairs.size))
    return (alone, [one]) if alone >= joint else (joint, [first, second])


def _triple(bag: Functions, wanted: Array32, deadline: Deadline) -> tuple[float, list[int]]:
    """Nats and columns of the best product of three columns; exact for the most promising."""
    z = bag.values[0]
    p = len(z)
    tops = []
    for i in range(p - 2):
        if deadline.over:
            break
        later = z[i + 1 :]
        found = np.triu(np.abs((later * (wanted * z[i])) @ later.T), 1)
        j, k = divmod(int(found.argmax()), len(later))
        tops.append((-float(found[j, k]), i, i + 1 + j, i + 1 + k))
    best: tuple[float, list[int]] = (0.0, [])
    for _, i, j, k in sorted(tops)[:50]:
        values = _standardised(np.prod(z[[i, j, k]], axis=0, dtype=np.float64), bag.weights)
        nats = float(bag.nats(np.abs(values @ wanted), p**3 / 6))
        if nats > best[0]:
            best = nats, [i, j, k]
    return best

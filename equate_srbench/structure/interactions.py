"""Which columns of a function interact, by mixed differences, and partitions that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.decomposition import Groups

Array = NDArray[np.float64]

#: Pairs of rows between which differences are taken.
N_PAIRS = 100


def differences(
    f: Callable[[Array], Array], X: Array, columns: Sequence[int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Mean squared differences of a function between rows, in one column and mixed in two.

    Parameters
    ----------
    f : callable
    X : ndarray of shape (n_rows, n_columns)
    columns : sequence of int
    rng : numpy Generator

    Returns
    -------
    sums, products : ndarray of shape (len(columns), len(columns))
        ``(f + f_ij - f_i - f_j)^2``, and ``(f f_ij - f_i f_j)^2`` as a share of the size of both;
        the diagonal has ``(f_i - f)^2``.
    """
    m = min(N_PAIRS, len(X))
    A, B = X[rng.permutation(len(X))[:m]], X[rng.permutation(len(X))[:m]]

    def moved(*some: int) -> Array:
        mixed = A.copy()
        mixed[:, some] = B[:, some]
        return f(mixed)

    base, one = moved(), [moved(j) for j in columns]
    k = len(columns)
    sums, products = np.zeros((k, k)), np.zeros((k, k))
    for a in range(k):
        sums[a, a] = products[a, a] = np.mean((one[a] - base) ** 2)
        for b in range(a):
            both = moved(columns[a], columns[b])
            sums[a, b] = sums[b, a] = np.mean((both + base - one[a] - one[b]) ** 2)
            u, v = both * base, one[a] * one[b]
            share = np.sum((u - v) ** 2) / max(np.sum((np.abs(u) + np.abs(v)) ** 2), 1e-300)
            products[a, b] = products[b, a] = share
    return sums, products


def partitions(strength: Array, columns: Sequence[int]) -> Iterator[Groups]:
    """Partitions by single linkage, from single columns to two groups."""
    k = len(columns)
    name = list(range(k))
    order = sorted((-strength[a, b], a, b) for a in range(k) for b in range(a))
    for _, a, b in [(0.0, 0, 0), *order]:
        if a != b and name[a] == name[b]:
            continue
        name = [name[b] if n == name[a] else n for n in name]
        found: dict[int, list[int]] = {}
        for place, n in enumerate(name):
            found.setdefault(n, []).append(columns[place])
        if len(found) == 1:
            return
        yield tuple(sorted(tuple(sorted(g)) for g in found.values()))

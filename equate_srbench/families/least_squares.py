"""Sparse least squares: backward elimination by description length, on one QR decomposition."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Share of the target's mean square below which a residual is rounding.
FLOOR = 1e-24
#: Smallest part of a column of unit length that is not a combination of those before it.
DEPENDENT = 1e-12
#: Longest sums whose columns are exchanged, and most exchanges.
MOST_EXCHANGED, EXCHANGES = 8, 4
#: Deletions between two decompositions: each is a cancellation in the inverse.
REFRESH = 8


@dataclass(frozen=True, slots=True)
class SparseFit:
    """Least squares on some columns of a design.

    Attributes
    ----------
    chosen : ndarray of shape (n_terms,), int
        Columns of the design, ascending.
    coefficients : ndarray of shape (n_terms,)
    error : float
        Residual sum of squares as a share of the target's.
    length : float
        Description length in nats, up to a constant of the target.
    """

    chosen: NDArray[np.intp]
    coefficients: Array
    error: float
    length: float


def eliminate(
    design: Array, target: Array, costs: Array, *, floor: float = FLOOR, kept: int = 1
) -> list[SparseFit]:
    """Delete columns one by one, always the one that shortens the description most.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_terms)
        Finite; columns of any scale. Rows and ``target`` carry the roots of the weights.
    target : ndarray of shape (n_rows,)
    costs : ndarray of shape (n_terms,)
        Nats of a term: its nodes and its coefficient.
    floor : float, default=1e-24
        Share of the target's sum of squares that counts as no error.
    kept : int, default=1
        Number of first columns that stay: the constant.

    Returns
    -------
    list of SparseFit
        The shortest description, and shorter formulas that are next to it; may be empty.
    """
    norms = np.linalg.norm(design, axis=0)
    total = float(target @ target)
    usable = np.flatnonzero(np.isfinite(norms) & (norms > 0.0))
    if not 0.0 < total < np.inf or len(usable) == 0:
        return []
    q, r = np.linalg.qr(design[:, usable] / norms[usable])
    independent = np.abs(np.diag(r)) > DEPENDENT
    if not independent.all():  # of dependent columns the first stays
        usable = usable[independent]
        q, r = np.linalg.qr(design[:, usable] / norms[usable])
    found = q.T @ target
    rest = target - q @ found
    least = float(rest @ rest)
    path = _path(r, found, least, total, len(target), costs[usable], floor, kept)
    if least > floor * total:  # noise: of terms that are alike, the first deleted may be the law's
        best = _exchanged(r, found, least, len(target), costs[usable], path[0], kept)
        path = [best, *(chosen for chosen in path if not np.array_equal(chosen, best))]
    out = []
    for chosen in path:
        fit = solve(design, target, usable[chosen], costs, floor=floor)
        if fit is not None:
            out.append(fit)
    return sorted(out, key=lambda fit: fit.length)


def solve(
    design: Array,
    target: Array,
    chosen: NDArray[np.intp],
    costs: Array,
    *,
    floor: float = FLOOR,
) -> SparseFit | None:
    """Least squares on the columns ``chosen``; None if the coefficients are not finite."""
    columns = design[:, chosen]
    norms = np.linalg.norm(columns, axis=0)
    scaled, *_ = np.linalg.lstsq(columns / norms, target, rcond=None)
    rest = target - columns / norms @ scaled
    more, *_ = np.linalg.lstsq(columns / norms, rest, rcond=None)  # the last digits
    coefficients = (scaled + more) / norms
    rest = target - columns / norms @ (scaled + more)
    error = float(rest @ rest / (target @ target))
    if not (np.isfinite(coefficients).all() and math.isfinite(error)):
        return None
    length = 0.5 * len(target) * math.log(max(error, floor)) + float(costs[chosen].sum())
    return SparseFit(chosen, coefficients, error, length)


def _path(
    r: Array, found: Array, rest: float, total: float, n: int, costs: Array, floor: float, kept: int
) -> list[NDArray[np.intp]]:
    """Columns of the best step of the elimination, and of the best two with fewer columns."""
    active = np.arange(r.shape[1])
    least = floor * total
    steps: list[tuple[float, NDArray[np.intp]]] = []
    since = REFRESH
    inverse = gram = coefficients = r
    while True:
        if since >= REFRESH or len(active) <= REFRESH:
            q, small = np.linalg.qr(r[:, active])
            inside = q.T @ found
            lost = found - q @ inside
            now = rest + float(lost @ lost)
            inverse = np.linalg.inv(small)
            gram, coefficients, since = inverse @ inverse.T, inverse @ inside, 0
        length = 0.5 * n * math.log(max(now, least)) + float(costs[active].sum())
        steps.append((length, active))
        free = np.flatnonzero(active >= kept)
        if len(free) == 0 or len(active) == 1:
            break
        gain = coefficients**2 / np.diag(gram)
        loss = 0.5 * n * np.log1p(gain / max(now, least)) - costs[active]
        if (gone := _negligible(gain, free, max(now, least))) is not None:
            active, since = np.delete(active, gone), REFRESH
            continue
        j = int(free[np.argmin(loss[free])])
        now += float(gain[j])
        coefficients = np.delete(coefficients - gram[:, j] * (coefficients[j] / gram[j, j]), j)
        gram = gram - np.outer(gram[:, j], gram[j] / gram[j, j])
        gram = np.delete(np.delete(gram, j, axis=0), j, axis=1)
        active, since = np.delete(active, j), since + 1
    steps.sort(key=lambda step: (step[0], len(step[1])))
    best = steps[0]
    shorter = [s for s in steps if len(s[1]) < len(best[1])]
    return [s[1] for s in (best, *shorter[:2])]


def _exchanged(
    r: Array, found: Array, rest: float, n: int, costs: Array, chosen: NDArray[np.intp], kept: int
) -> NDArray[np.intp]:
    """Columns after deletions, additions and exchanges of one column that shorten the description.

    Local search by exchange (Miller 2002, chapter 3), from where the elimination ended.
    """
    if len(chosen) > MOST_EXCHANGED:
        return chosen
    now = _length(r, found, rest, n, costs, chosen)
    for _ in range(EXCHANGES):
        best, shortest = chosen, now
        for without in [chosen, *(np.delete(chosen, i) for i in range(len(chosen))
                                  if chosen[i] >= kept)]:  # fmt: skip
            if len(without) == 0:
                continue
            q, _ = np.linalg.qr(r[:, without])
            lost = found - q @ (q.T @ found)
            outside = r - q @ (q.T @ r)
            size = np.sum(outside**2, axis=0)
            sound = size > DEPENDENT
            gain = np.where(sound, (outside.T @ lost) ** 2 / np.where(sound, size, 1.0), 0.0)
            left = rest + float(lost @ lost)
            lengths = 0.5 * n * np.log(np.maximum(left - gain, rest)) + costs
            lengths[without] = np.inf
            own = float(costs[without].sum())
            options = [(0.5 * n * math.log(left) + own, without)]
            j = int(np.argmin(lengths))
            options.append((float(lengths[j]) + own, np.sort(np.append(without, j))))
            for length, columns in options:
                if length < shortest - 1e-6:
                    best, shortest = columns, length
        if shortest >= now:
            break
        chosen, now = best, shortest
    return chosen


def _length(
    r: Array, found: Array, rest: float, n: int, costs: Array, chosen: NDArray[np.intp]
) -> float:
    q, _ = np.linalg.qr(r[:, chosen])
    lost = found - q @ (q.T @ found)
    return 0.5 * n * math.log(rest + float(lost @ lost)) + float(costs[chosen].sum())


def _negligible(gain: Array, free: NDArray[np.intp], now: float) -> NDArray[np.intp] | None:
    """Terms that are all together below the residual, as those that are not in an exact law."""
    small = free[np.argsort(gain[free], kind="stable")]
    n_small = int(np.searchsorted(np.cumsum(gain[small]), 1e-2 * now))
    return small[:n_small] if n_small > 1 else None

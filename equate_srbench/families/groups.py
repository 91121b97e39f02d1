"""Groups of columns: ``f(x z / v, w)`` is a law of two columns, ``f(x - z, w)`` too.

The gradient of a law of ``r`` monomials, by the logarithms of the columns, lies in a space of ``r``
dimensions, which the exponents span (dimensional analysis; active subspaces, Constantine, del
Rosario & Iaccarino 2016). It is read off a polynomial surface; in echelon form the exponents are
whole numbers or halves, so that a coarse gradient is enough. Groups are kept if polynomials of
them fit as well as the surface of all columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, standardised
from equate_srbench.families.ridge import improved
from equate_srbench.families.term_trees import (
    exponents_up_to,
    monomial,
    monomial_values,
    weighted_sum,
)

Array = NDArray[np.float64]

#: Largest number of groups, largest exponent, and distance of a coarse and of an improved exponent
#: to a half.
MOST_GROUPS, LARGEST, NEAR, NEAR_IMPROVED = 3, 4.0, 0.15, 0.05
#: Most terms of the surface, and quotients that are looked at.
MAX_TERMS, N_QUOTIENTS = 84, 2
#: Degree of the polynomial of the groups, by their number.
DEGREES = {1: 9, 2: 6, 3: 4}
#: Surfaces that leave more of the variance say nothing, and how much worse groups may fit.
NO_SURFACE, WORSE = 0.3, 1.2


def grouped(rows: FamilyRows) -> list[FamilyRows]:
    """The same rows over fewer columns; empty if there are no groups.

    A monomial times a function of monomials comes first, then functions of monomials, and of sums
    and differences.
    """
    out = _quotients(rows) + _groups(rows, logarithmic=True) + _groups(rows, logarithmic=False)
    return [
        look for look in out
        if all(np.isfinite(v).all() for v in (look.X, look.y, look.weights) if v is not None)
    ]  # fmt: skip


def _groups(rows: FamilyRows, logarithmic: bool) -> list[FamilyRows]:
    """A function of monomials, or of sums, and of the other columns."""
    surface = _Surface.of(rows, logarithmic)
    if surface is None:
        return []
    k, n_others = len(surface.own), len(surface.others)
    directions = np.linalg.svd(surface.gradient, full_matrices=False)[2]
    for r in range(1, min(k, MOST_GROUPS + 1 - n_others)):
        exponents = surface.exponents(directions[:r], alone=not n_others)
        if exponents is None or surface.worse(exponents, surface.target):
            continue
        return [rows.over(surface.trees(exponents))]
    return []


def _quotients(rows: FamilyRows) -> list[FamilyRows]:
    """``m f(u)``: the gradient of the logarithm is ``e + s(x) d`` with exponents ``e`` of ``m``."""
    surface = _Surface.of(rows, True)
    if surface is None or not surface.is_log or surface.others:
        return []
    directions = np.linalg.svd(
        surface.gradient - surface.gradient.mean(axis=0), full_matrices=False
    )[2]
    logs = surface.values
    for r in range(1, min(len(surface.own), MOST_GROUPS)):
        exponents = surface.exponents(directions[:r], quotient=True)
        if exponents is None:
            continue
        mean = surface.outside(exponents)
        found: dict[tuple[float, ...], None] = {}
        for zeros in combinations(range(len(surface.own)), r):
            block = exponents[:, zeros]
            if not abs(np.linalg.det(block)) > 1e-9:
                continue
            outside = mean - np.linalg.solve(block.T, mean[list(zeros)]) @ exponents
            near = np.round(2.0 * outside) / 2.0
            if np.abs(near - outside).max() < NEAR and np.abs(near).max() <= LARGEST:
                found.setdefault(tuple(near.tolist()))
        looks = []
        for e in sorted(found, key=lambda e: (np.count_nonzero(e), np.abs(e).sum(), e)):
            factor = monomial([Tree.variable(j) for j in surface.own], e)
            rest = surface.target * surface.unit - logs @ np.array(e)
            if factor is not None and not surface.worse(exponents, rest / surface.unit):
                looks.append(rows.over(surface.trees(exponents), factor))
        if looks:
            return looks[:N_QUOTIENTS]
    return []


@dataclass(frozen=True, slots=True)
class _Surface:
    """Polynomial surface of a table.

    Attributes
    ----------
    own, others : list of int
        Columns that may be in groups, and the other ones.
    values : ndarray of shape (n_rows, n_own)
        The former, or their logarithms.
    rest : ndarray of shape (n_rows, n_others)
    spread : ndarray of shape (n_own,)
        Standard deviations of ``values``.
    gradient : ndarray of shape (n_rows, n_own)
        Of the target in its units, by ``values``.
    target : ndarray of shape (n_rows,)
        ``y`` or its logarithm, standardised.
    unit : float
        Standard deviation of the latter.
    is_log, logarithmic : bool
        Whether the target and the columns are logarithms.
    left : float
        Share of the variance that the surface leaves.
    """

    own: list[int]
    others: list[int]
    values: Array
    rest: Array
    spread: Array
    gradient: Array
    target: Array
    unit: float
    is_log: bool
    logarithmic: bool
    left: float

    @classmethod
    def of(cls, rows: FamilyRows, logarithmic: bool) -> _Surface | None:
        """Of the columns that matter; None if there is nothing to group, or no good surface."""
        columns = list(rows.columns)
        own = [j for j in columns if not logarithmic or (rows.X[:, j] > 0.0).all()]
        if len(own) < 2:
            return None
        others = [j for j in columns if j not in own]
        X = np.log(rows.X[:, own]) if logarithmic else rows.X[:, own]
        size = np.abs(X).max(axis=0)
        spread = size * (X / np.where(size > 0.0, size, 1.0)).std(axis=0)
        found = _fitted(standardised(np.concatenate([X, rows.X[:, others]], axis=1)), rows.y)
        if found is None or not (spread > 0.0).all():
            return None
        gradient, target, unit, is_log, left = found
        gradient = gradient[:, : len(own)] * unit / spread
        if not np.isfinite(gradient).all():
            return None
        return cls(own, others, X, rows.X[:, others], spread, gradient, target, unit, is_log,
                   logarithmic, left)  # fmt: skip

    def exponents(
        self, directions: Array, *, alone: bool = True, quotient: bool = False
    ) -> Array | None:
        """Whole exponents that span the directions, of which a single one is improved first."""
        if len(directions) > 1 or not alone:
            return _echelon(directions, self.spread, NEAR)
        Z = standardised(self.values)
        start = directions[0] * self.spread
        found, _ = improved(Z, self.target, start / np.linalg.norm(start), Z if quotient else None)
        return _echelon((found / self.spread)[None, :], self.spread, NEAR_IMPROVED)

    def worse(self, exponents: Array, target: Array) -> bool:
        """Whether polynomials of the groups leave more of a target than the surface did."""
        Z = standardised(np.concatenate([self.values @ exponents.T, self.rest], axis=1))
        return bool(_left(Z, target, DEGREES[Z.shape[1]]) > WORSE * self.left + 1e-12)

    def outside(self, exponents: Array) -> Array:
        """Exponents of the monomial before a polynomial of the groups, by least squares."""
        Z = standardised(self.values @ exponents.T)
        A = monomial_values(Z, exponents_up_to(Z.shape[1], DEGREES[Z.shape[1]]))
        # a group is no part of it: one column of each is left out
        free = np.setdiff1d(np.arange(len(self.own)), _pivots(exponents))
        logs = standardised(self.values[:, free])
        c, *_ = np.linalg.lstsq(np.concatenate([logs, A], axis=1), self.target, rcond=None)
        out = np.zeros(len(self.own))
        out[free] = c[: len(free)] * self.unit / self.spread[free]
        return out

    def trees(self, exponents: Array) -> list[Tree]:
        """Trees of the groups and of the other columns."""
        parts = [Tree.variable(j) for j in self.own]
        out = []
        for e in exponents.tolist():
            at = [i for i, power in enumerate(e) if power != 0.0]
            own, powers = [parts[i] for i in at], [e[i] for i in at]
            tree = monomial(own, powers) if self.logarithmic else weighted_sum(own, powers)
            assert tree is not None
            out.append(tree)
        return [*out, *(Tree.variable(j) for j in self.others)]


def _fitted(Z: Array, y: Array) -> tuple[Array, Array, float, bool, float] | None:
    """Gradients of the polynomial that fits ``y`` or its logarithm best, and that target.

    Returns
    -------
    tuple of ndarray of shape (n_rows, n_columns), ndarray of shape (n_rows,), float, bool, float
        Gradient and target standardised, the target's deviation, whether it is a logarithm, and
        the share of the variance that is left.
    """
    n, k = Z.shape
    degree = next((d for d in (6, 5, 4, 3, 2) if math.comb(k + d, d) <= min(MAX_TERMS, n // 3)), 0)
    if degree == 0:
        return None
    exponents = exponents_up_to(k, degree)
    A = monomial_values(Z, exponents)
    raw = [y]
    if (y > 0.0).all() or (y < 0.0).all():
        raw.append(np.log(np.abs(y)))
    B = standardised(np.stack(raw, axis=1))
    c, *_ = np.linalg.lstsq(A, B, rcond=None)
    shares = np.sum((B - A @ c) ** 2, axis=0) / (n - len(exponents))
    best = len(raw) - 1 if shares[-1] < 3.0 * shares[0] else 0
    if not shares[best] < NO_SURFACE:
        return None
    place = {tuple(e): i for i, e in enumerate(exponents.tolist())}
    gradient = np.zeros((n, k))
    for i, e in enumerate(exponents.tolist()):
        for j in range(k):
            if e[j]:
                lower = place[tuple([*e[:j], e[j] - 1, *e[j + 1 :]])]
                gradient[:, j] += c[i, best] * e[j] * A[:, lower]
    return gradient, B[:, best], float(raw[best].std()), best == 1, float(shares[best])


def _pivots(exponents: Array) -> list[int]:
    """A column for each row such that the block of these is regular."""
    n = len(exponents)
    return next(
        list(block) for block in combinations(range(exponents.shape[1]), n)
        if abs(np.linalg.det(exponents[:, block])) > 1e-9
    )  # fmt: skip


def _left(Z: Array, target: Array, degree: int) -> float:
    """Mean square that a polynomial of the columns leaves, by spare rows."""
    A = monomial_values(Z, exponents_up_to(Z.shape[1], degree))
    if A.shape[1] > len(A) // 2:
        return math.inf
    c, *_ = np.linalg.lstsq(A, target, rcond=None)
    rest = target - A @ c
    return float(rest @ rest) / (len(A) - int(A.shape[1]))


def _echelon(directions: Array, spread: Array, distance: float) -> Array | None:
    """The space in reduced echelon form, of whole numbers; None if it has no such form.

    Pivots are the columns in which the space is largest, in units of their deviations.
    """
    rows = directions.copy()
    pivots: list[int] = []
    for i in range(len(rows)):
        sizes = np.abs(rows[i:]) * spread
        sizes[:, pivots] = -1.0
        at, j = divmod(int(np.argmax(sizes)), rows.shape[1])
        rows[[i, i + at]] = rows[[i + at, i]]
        if not abs(rows[i, j]) > 1e-6:
            return None
        rows[i] /= rows[i, j]
        for other in range(len(rows)):
            if other != i:
                rows[other] -= rows[other, j] * rows[i]
        pivots.append(j)
    # a small pivot makes large exponents: the largest of a row of halves is at most LARGEST
    out = []
    for row in rows:
        for scale in (1.0, 2.0, 0.5, 3.0):
            near = np.round(row * scale * 2.0) / 2.0
            if np.abs(near - row * scale).max() < distance and np.abs(near).max() <= LARGEST:
                break
        else:
            return None
        if (near != np.round(near)).any():
            near = near * 2.0
        divisor = np.gcd.reduce(np.abs(near).astype(np.int64))
        out.append(near / max(int(divisor), 1))
    found = np.array(out)
    return found if np.count_nonzero(found) > len(found) else None

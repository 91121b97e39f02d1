"""Sparse polynomials of columns, or of their logarithms and inverses, in every view at once.

One QR decomposition of all monomials serves all views of the target: a view in which the target is
a polynomial shows by a residual of rounding. Only there, and in the best few of the others, terms
are deleted one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, Proposal, floor_of, is_plain
from equate_srbench.families.least_squares import SparseFit, eliminate
from equate_srbench.families.term_trees import (
    exponents_up_to,
    monomial,
    monomial_values,
    weighted_sum,
)
from equate_srbench.problem.target_views import TargetView

Array = NDArray[np.float64]

#: Largest degree by number of columns, and most monomials.
DEGREES = {1: 9, 2: 8, 3: 6, 4: 5, 5: 4, 6: 3, 7: 3, 8: 2}
MAX_TERMS = 126
#: Share of the variance left in a view that is exact.
EXACT_SHARE = 1e-20
#: Views that are tried although none is exact, and longest sums that are proposed there and else.
N_VIEWS, LONGEST, LONGEST_EXACT = 3, 10, 30


@dataclass(frozen=True, slots=True)
class Basis:
    """Columns of a polynomial, with all monomials up to a degree.

    Attributes
    ----------
    trees : tuple of Tree
        The columns, or functions of them.
    exponents : ndarray of shape (n_terms, n_columns), int
        By total degree.
    design : ndarray of shape (n_rows, n_terms)
        Of columns divided by ``scale``.
    scale : ndarray of shape (n_columns,)
        Powers of two.
    """

    trees: tuple[Tree, ...]
    exponents: NDArray[np.int64]
    design: Array
    scale: Array

    @classmethod
    def of(cls, trees: Sequence[Tree], values: Array, degree: int) -> Basis:
        """All monomials up to ``degree`` of the columns of ``values``."""
        largest = np.abs(values).max(axis=0)
        scale = np.ldexp(1.0, np.frexp(np.where(largest > 0.0, largest, 1.0))[1])
        exponents = exponents_up_to(values.shape[1], degree)
        return cls(tuple(trees), exponents, monomial_values(values / scale, exponents), scale)

    def part(self, i: int) -> Tree | None:
        """Tree of a monomial; None for the constant."""
        return monomial(self.trees, self.exponents[i].tolist())

    def coefficient(self, i: int, scaled: float) -> float:
        """A coefficient of the scaled design, for the columns as they are."""
        return float(scaled * np.prod(self.scale ** -self.exponents[i].astype(np.float64)))

    def costs(self, n_rows: int) -> Array:
        """Nats of each term: half a logarithm of the rows for its coefficient, and its nodes."""
        powers = np.where(self.exponents > 1, 4, 2 * (self.exponents == 1)).sum(axis=1)
        return np.asarray(0.5 * math.log(max(n_rows, 3)) + 2.0 + powers, dtype=np.float64)

    def tree(self, fit: SparseFit, plain: bool) -> Tree | None:
        """The sum; without its constant where ``plain``, as the refiner fits one around it."""
        chosen = [i for i in fit.chosen.tolist() if not (plain and not self.exponents[i].any())]
        at = dict(zip(fit.chosen.tolist(), fit.coefficients.tolist(), strict=True))
        values = [self.coefficient(i, at[i]) for i in chosen]
        return weighted_sum([self.part(i) for i in chosen], values)


def bases(rows: FamilyRows) -> list[Basis]:
    """Bases of columns, of their logarithms, and of columns with logarithms and inverses."""
    columns = list(rows.columns)
    if not columns:
        return []
    most = min(MAX_TERMS, rows.n // 3)
    plain = [Tree.variable(j) for j in columns]
    out = [Basis.of(plain, rows.X[:, columns], _degree(len(columns), most))]
    positive = [j for j in columns if (rows.X[:, j] > 0.0).all()]
    if positive:
        logs = [Tree.apply("log", Tree.variable(j)) for j in positive]
        values = np.log(rows.X[:, positive])
        out.append(Basis.of(logs, values, min(_degree(len(positive), most), 3)))
        roots = [Tree.apply("sqrt", Tree.variable(j)) for j in positive]
        degree = min(_degree(len(columns) + len(positive), most), 3)
        both = np.concatenate([rows.X[:, columns], np.sqrt(rows.X[:, positive])], axis=1)
        out.append(Basis.of([*plain, *roots], both, degree))
        mixed = np.concatenate([rows.X[:, columns], values], axis=1)
        trees = [*plain, *logs]
        nonzero = [j for j in columns if (rows.X[:, j] != 0.0).all()]
        trees += [Tree.apply("inv", Tree.variable(j)) for j in nonzero]
        mixed = np.concatenate([mixed, 1.0 / rows.X[:, nonzero]], axis=1)
        out.append(Basis.of(trees, mixed, min(_degree(len(trees), most), 2)))
    return [basis for basis in out if basis.exponents.any()]


def propose(rows: FamilyRows) -> list[Proposal]:
    """Sparse polynomials in the views where they fit.

    Parameters
    ----------
    rows : FamilyRows

    Returns
    -------
    list of Proposal
        Exact ones first.
    """
    out: list[tuple[bool, Proposal]] = []
    for basis in bases(rows):
        for exact, seen, size in _promising(basis, rows):
            roots = np.ones(rows.n) if exact else _roots(seen)
            target = seen.target
            fits = eliminate(
                basis.design[:, :size] * roots[:, None], target * roots,
                basis.costs(rows.n)[:size], floor=floor_of(target), kept=0,
            )  # fmt: skip
            for fit in fits[: 2 if exact else 3]:
                if len(fit.chosen) > (LONGEST_EXACT if exact else LONGEST):
                    continue
                tree = basis.tree(fit, is_plain(seen))
                if tree is not None and tree.columns:
                    out.append((exact, Proposal(seen.wrap(tree), "polynomial")))
    return [p for exact, p in out if exact] + [p for exact, p in out if not exact]


def _degree(n_columns: int, most: int) -> int:
    """Largest degree with at most ``most`` monomials; 0 if there are too few rows for 1."""
    degree = DEGREES.get(n_columns, 2 if n_columns < 15 else 1)
    while degree > 0 and math.comb(n_columns + degree, degree) > most:
        degree -= 1
    return degree


def _roots(seen: TargetView) -> Array:
    """Roots of the weights with mean square 1."""
    weights = seen.weights / seen.weights.max()
    return np.asarray(np.sqrt(weights / weights.mean()))


def _promising(basis: Basis, rows: FamilyRows) -> list[tuple[bool, TargetView, int]]:
    """Views with whether they are exact, and the number of first monomials that they need."""
    norms = np.linalg.norm(basis.design, axis=0)
    if not (np.isfinite(norms).all() and (norms > 0.0).all()) or not rows.views:
        return []
    q, _ = np.linalg.qr(basis.design / norms)
    units = np.array([np.abs(v.target).max() for v in rows.views])
    targets = np.stack([v.target for v in rows.views], axis=1) / units
    inside = q.T @ targets
    rest = targets - q @ inside
    totals = np.sum((targets - targets.mean(axis=0)) ** 2, axis=0)
    degrees = basis.exponents.sum(axis=1)
    ends = np.searchsorted(degrees, np.arange(degrees[-1] + 1), side="right")
    # residuals of all degrees: what the later monomials explain is added back
    tails = np.stack([np.sum(inside[end:] ** 2, axis=0) for end in ends])
    errors = (np.sum(rest**2, axis=0) + tails) / totals
    floors = np.maximum(EXACT_SHARE, 1e-29 * np.sum(targets**2, axis=0) / totals)
    price = 0.5 * math.log(rows.n) + 3.0
    found: list[tuple[bool, TargetView, int]] = []
    ranked = []
    for i, seen in enumerate(rows.views):
        exact = np.flatnonzero(errors[:, i] < floors[i])
        if len(exact):
            found.append((True, seen, int(ends[exact[0]])))
            continue
        lengths = 0.5 * rows.n * np.log(errors[:, i]) + price * np.sqrt(ends)
        weights = seen.weights / seen.weights.max()
        # seen from y: weighted residuals against the weighted variance
        lost = float(weights @ rest[:, i] ** 2) * float(units[i]) ** 2 * float(seen.weights.max())
        ranked.append((lost, i, int(ends[np.argmin(lengths)])))
    if len(found) < N_VIEWS:
        ranked.sort()
        found += [(False, rows.views[i], end) for _, i, end in ranked[: N_VIEWS - len(found)]]
    return found[: 2 * N_VIEWS]

"""Ratios of polynomials ``P / Q``: the null space of ``[P, -t Q]``.

A target ``t = P / Q`` makes the columns of ``P`` and ``t Q`` dependent: the coefficients are the
singular vector of singular value 0 (the linear problem behind AAA, Nakatsukasa, Sete & Trefethen
2018). Degrees are tried from small to large on one QR decomposition. With noise, the linear problem
is weighted by the last denominator (Sanathanan & Koerner 1963).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, Proposal, floor_of
from equate_srbench.families.least_squares import eliminate
from equate_srbench.families.polynomials import Basis
from equate_srbench.families.term_trees import scaled_simply, weighted_sum
from equate_srbench.problem.target_views import TargetView

Array = NDArray[np.float64]

#: Largest degree by number of columns.
DEGREES = {1: 6, 2: 4, 3: 3, 4: 2, 5: 2, 6: 1, 7: 1, 8: 1}
#: Smallest singular value of columns of unit length that counts as 0.
NULL = 1e-13
#: Degrees of numerator and denominator that are tried with noise.
NOISY = ((1, 1), (2, 1), (1, 2), (2, 2))
VIEWS = ("identity", "square", "root", "exp", "log", "square of minus", "tan")


def propose(rows: FamilyRows) -> list[Proposal]:
    """Ratios of polynomials, exact ones in several views, noisy ones in the identity view."""
    groups = [rows.columns[:k] for k in (1, 2, 3, len(rows.columns)) if k <= len(rows.columns)]
    out: list[Proposal] = []
    for columns in dict.fromkeys(groups):
        degree = DEGREES.get(len(columns), 1)
        trees = [Tree.variable(j) for j in columns]
        basis = Basis.of(trees, rows.X[:, list(columns)], degree)
        while degree > 1 and 2 * len(basis.exponents) > rows.n // 2:
            degree -= 1
            basis = Basis.of(trees, rows.X[:, list(columns)], degree)
        if 2 * len(basis.exponents) > rows.n // 2:
            continue
        for seen in rows.named(*VIEWS):
            tree = _exact(basis, seen)
            if tree is not None:
                out.append(Proposal(seen.wrap(tree), "ratio"))
    if not out and rows.columns:
        for seen in rows.named("identity"):
            out += _noisy(rows, seen)
    return out


def _exact(basis: Basis, seen: TargetView) -> Tree | None:
    """The ratio of lowest degree that the target is, or None."""
    target = seen.target / np.abs(seen.target).max()
    A = np.concatenate([basis.design, target[:, None] * basis.design], axis=1)
    norms = np.linalg.norm(A, axis=0)
    if not (np.isfinite(norms).all() and (norms > 0.0).all()):
        return None
    r = np.linalg.qr(A / norms)[1]
    if _least(r) > NULL:
        return None
    degrees = basis.exponents.sum(axis=1)
    m = len(degrees)
    ends = np.searchsorted(degrees, np.arange(degrees[-1] + 1), side="right")
    pairs = sorted(((p, q) for p in range(len(ends)) for q in range(1, len(ends))),
                   key=lambda pq: (ends[pq[0]] + ends[pq[1]], pq))  # fmt: skip
    for p, q in pairs:
        columns = np.concatenate([np.arange(ends[p]), m + np.arange(ends[q])])
        if _least(r[:, columns]) <= NULL:
            return _ratio(basis, r, _sparse(r, columns), norms, float(np.abs(seen.target).max()))
    return None


def _least(r: Array) -> float:
    """Smallest singular value."""
    return float(np.linalg.svd(r, compute_uv=False)[-1])


def _sparse(r: Array, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Columns without those that the null vector does not need, high degrees tried first."""
    vector = np.abs(np.linalg.svd(r[:, columns])[2][-1])
    likely = columns[vector > 1e-9]
    if len(likely) < len(columns) and len(likely) > 1 and _least(r[:, likely]) <= NULL:
        columns = likely
    for column in columns[::-1].tolist():
        fewer = columns[columns != column]
        if len(fewer) > 1 and _least(r[:, fewer]) <= NULL:
            columns = fewer
    return columns


def _ratio(
    basis: Basis, r: Array, columns: NDArray[np.intp], norms: Array, unit: float
) -> Tree | None:
    """Tree of the null vector: ``P c_P + t Q c_Q = 0`` is ``t = -P c_P / (Q c_Q)``."""
    m = len(basis.exponents)
    vector = np.linalg.svd(r[:, columns])[2][-1] / norms[columns]
    above = [(int(i), float(v)) for i, v in zip(columns, vector, strict=True) if i < m]
    below = [(int(i) - m, float(v)) for i, v in zip(columns, vector, strict=True) if i >= m]
    if not above or not below:
        return None
    top = [-unit * basis.coefficient(i, v) for i, v in above]
    bottom = [basis.coefficient(i, v) for i, v in below]
    return _quotient(basis, [i for i, _ in above], top, [i for i, _ in below], bottom)


def _quotient(
    basis: Basis, above: list[int], top: list[float], below: list[int], bottom: list[float]
) -> Tree | None:
    values = np.array([*top, *bottom])
    if not np.isfinite(values).all() or (values == 0.0).any():
        return None
    values = scaled_simply(values)
    upper = weighted_sum([basis.part(i) for i in above], values[: len(top)].tolist())
    lower = weighted_sum([basis.part(i) for i in below], values[len(top) :].tolist())
    if upper is None or lower is None:
        return None
    return Tree.apply("div", upper, lower)


def _noisy(rows: FamilyRows, seen: TargetView) -> list[Proposal]:
    """Sparse ratios of low degree by weighted linear least squares."""
    columns = list(rows.columns[:3])
    target = seen.target / np.abs(seen.target).max()
    out = []
    for p, q in NOISY:
        basis = Basis.of([Tree.variable(j) for j in columns], rows.X[:, columns], max(p, q))
        degrees = basis.exponents.sum(axis=1)
        above, below = np.flatnonzero(degrees <= p), np.flatnonzero((degrees <= q) & (degrees > 0))
        A = np.concatenate([basis.design[:, above], -target[:, None] * basis.design[:, below]], 1)
        if A.shape[1] > rows.n // 4 or not np.isfinite(A).all():
            continue
        under = np.ones(rows.n)
        for _ in range(4):
            c, *_ = np.linalg.lstsq(A / under[:, None], target / under, rcond=None)
            under = np.abs(1.0 + basis.design[:, below] @ c[len(above) :])
            under = np.maximum(under, 1e-3 * float(np.median(under)) + 1e-12)
        costs = np.concatenate([basis.costs(rows.n)[above], basis.costs(rows.n)[below]])
        fits = eliminate(A / under[:, None], target / under, costs, floor=floor_of(target), kept=0)
        for fit in fits[:2]:
            at = [(i, c) for i, c in zip(fit.chosen.tolist(), fit.coefficients.tolist(),
                                         strict=True)]  # fmt: skip
            unit = float(np.abs(seen.target).max())
            tops = [(int(above[i]), unit * c) for i, c in at if i < len(above)]
            lows = [(0, 1.0), *((int(below[i - len(above)]), c) for i, c in at if i >= len(above))]
            tree = _quotient(
                basis, [i for i, _ in tops], [basis.coefficient(i, c) for i, c in tops],
                [i for i, _ in lows], [basis.coefficient(i, c) for i, c in lows],
            )  # fmt: skip
            if tree is not None and len(lows) > 1 and len(at) <= 10:
                out.append(Proposal(seen.wrap(tree), "ratio"))
    return out

"""One affine combination inside one function: ``g(a . x + b)``.

The gradient of such a law has one direction: the leading eigenvector of the mean outer product of
the gradients of a quadratic or cubic surface (sliced inverse regression and active subspaces look
for the same; Li 1991, Constantine 2014). The direction is improved by variable projection, a
polynomial of the combination being the linear part; then functions ``g`` are tried on a grid of
scales and shifts, and the best are fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, Proposal, bulk, is_plain, standardised
from equate_srbench.families.projection import Linear, projected
from equate_srbench.families.term_trees import (
    exponents_up_to,
    monomial_values,
    power_of,
    weighted_sum,
)
from equate_srbench.problem.target_views import TargetView
from equate_srbench.refine import Refiner

Array = NDArray[np.float64]

#: Degree of the polynomial of the combination, and steps of its direction.
DEGREE, STEPS = 9, 12
#: Residual (share of the variance) above which there is no single combination.
NO_RIDGE = 0.15
VIEWS = ("identity", "log", "square", "inverse", "root")
#: Starts that are fitted per view, formulas kept of them, and most proposals; what is left of a
#: solved view.
N_TRIED, N_KEPT, MOST, SOLVED = 24, 4, 20, 1e-20
#: Powers of a single column that are arguments.
POWERS = (1.0, 2.0, 0.5, -1.0, -0.5, -2.0)
#: Rows that the grid is looked at on.
FEW_ROWS = 120
_SLOPES = (0.3, 1.0, 2.0, 4.0, 8.0)
_SHIFTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_OUTSIDE = (1.02, 1.2, 1.6, 2.5, 6.0)
_PERIODS = tuple(np.pi * np.concatenate([np.arange(0.25, 3.0, 0.25), np.arange(3.0, 12.0, 0.5)]))


def propose(rows: FamilyRows) -> list[Proposal]:
    """Functions of one affine combination; of single columns where there is only one."""
    out: list[tuple[float, Proposal]] = []
    seen = next(iter(rows.named("identity")), None)
    if seen is None:
        return []
    views = rows.named(*VIEWS)
    if len(rows.columns) > 1:
        columns = list(rows.columns)
        found = _direction(standardised(rows.X[:, columns]), seen)
        slopes = None if found is None else found / _spreads(rows.X[:, columns])
        if slopes is not None and np.isfinite(slopes).all():
            parts = [Tree.variable(j) for j in columns]
            out += _functions(parts, slopes, rows.X[:, columns] @ slopes, views)
    for j in rows.columns[:2]:
        x = rows.X[:, j]
        powers = POWERS if len(rows.columns) == 1 and (x > 0.0).all() else (1.0,)
        for power in powers:
            z = x**power
            if np.isfinite(z).all():
                tree = power_of(Tree.variable(j), power)
                out += _functions([tree], np.ones(1), z, views)
    best = sorted(range(len(out)), key=lambda i: (max(out[i][0], SOLVED), i))
    return [out[i][1] for i in best[:MOST]]


def _spreads(X: Array) -> Array:
    """Standard deviations without overflow."""
    size = np.abs(X).max(axis=0)
    return np.asarray(size * (X / size).std(axis=0))


def _direction(Z: Array, seen: TargetView) -> Array | None:
    """Unit vector of the combination of standardised columns; None if one does not do."""
    target = standardised(seen.target[:, None])[:, 0]
    if Z.shape[1] == 1:
        return np.ones(1)
    starts = _starts(Z, target)
    best, least = None, NO_RIDGE
    for start in starts:
        direction, error = improved(Z, target, start)
        if error < least:
            best, least = direction, error
        if least < 1e-6:
            break
    return best


def _starts(Z: Array, target: Array) -> list[Array]:
    """Leading eigenvectors of gradient outer products of a cubic, a quadratic, and the slope."""
    n, k = Z.shape
    out = []
    for degree in (3, 2, 1):
        exponents = exponents_up_to(k, degree)
        if len(exponents) > n // 2:
            continue
        A = monomial_values(Z, exponents)
        c, *_ = np.linalg.lstsq(A, target, rcond=None)
        place = {tuple(e): i for i, e in enumerate(exponents.tolist())}
        gradient = np.zeros((n, k))
        for i, e in enumerate(exponents.tolist()):
            for j in range(k):
                if e[j]:
                    lower = place[tuple([*e[:j], e[j] - 1, *e[j + 1 :]])]
                    gradient[:, j] += c[i] * e[j] * A[:, lower]
        out.append(np.linalg.eigh(gradient.T @ gradient)[1][:, -1])
    return out


def improved(
    Z: Array, target: Array, start: Array, others: Array | None = None
) -> tuple[Array, float]:
    """The direction by variable projection, and the share of the variance that is left.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_columns)
    target : ndarray of shape (n_rows,)
    start : ndarray of shape (n_columns,)
        Of unit length.
    others : ndarray of shape (n_rows, n_others), optional
        Columns beside the polynomial of the combination.
    """

    def moved(direction: Array, step: Array) -> Array:
        new = direction + step
        return np.asarray(new / np.linalg.norm(new))

    more = np.zeros((len(Z), 0)) if others is None else others
    return projected(
        start, lambda a: _linearised(Z, target, a, more), moved, float(target @ target), steps=STEPS
    )


def _linearised(
    Z: Array, target: Array, direction: Array, others: Array
) -> tuple[Array, Array] | None:
    """Slopes and residual of the best polynomial of the combination."""
    z = Z @ direction
    if not np.isfinite(z).all() or not np.ptp(z) > 0.0:
        return None
    middle, half = 0.5 * (z.max() + z.min()), 0.5 * float(np.ptp(z))
    t = (z - middle) / half
    basis = chebyshev.chebvander(t, min(DEGREE, len(z) // 4))
    n = basis.shape[1]
    linear = Linear.of(np.concatenate([basis, others], axis=1))
    c, rest = linear.solve(target)
    c = c[:n]
    slope = chebyshev.chebval(t, chebyshev.chebder(c)) / half if n > 1 else np.zeros_like(t)
    jacobian = slope[:, None] * Z
    return linear.outside(jacobian), rest


def _functions(
    parts: Sequence[Tree], slopes: Array, z: Array, views: Sequence[TargetView]
) -> list[tuple[float, Proposal]]:
    """The best functions of the combination ``z`` of parts on a grid of scales and shifts."""
    middle, half = bulk(z)
    if not 0.0 < half < np.inf:
        return []
    t = (z - middle) / half
    names, s, b = _table()
    few = slice(FEW_ROWS)
    inner = s[:, None] * t[few] + b[:, None]
    values = np.empty_like(inner)
    for name, own in _places().items():
        values[own] = _evaluated(name, inner[own])
    values = values - values.mean(axis=1)[:, None]
    square = np.sum(values**2, axis=1)
    out = []
    for seen in views:
        roots = np.sqrt(seen.weights[few] / seen.weights[few].sum())
        target = (seen.target[few] - roots**2 @ seen.target[few]) / np.abs(seen.target).max()
        score = (values @ target) ** 2 / (square * float(target @ target))
        score = np.where(np.isfinite(score) & (square > 1e-12), score, -1.0)
        best = [i for i in np.argsort(-score, kind="stable").tolist()[:N_TRIED] if score[i] > 0.5]
        for left, i, scale, shift in _fitted([(names[i], s[i], b[i]) for i in best], t, seen):
            name = names[best[i]]
            tree = _tree(name, parts, slopes * (scale / half), shift - scale * middle / half)
            if tree is None:
                continue
            if not is_plain(seen):
                factor, offset = _outer(_evaluated(name, scale * t + shift), seen)
                tree = Tree.apply("mul", Tree.constant(factor), tree)
                tree = Tree.apply("add", tree, Tree.constant(offset))
            out.append((left, Proposal(seen.wrap(tree), "ridge")))
    return out


def _fitted(
    starts: list[tuple[str, float, float]], t: Array, seen: TargetView
) -> list[tuple[float, int, float, float]]:
    """What is left, start, scale and shift of the best starts, fitted, one of each function."""
    if not starts:
        return []
    x = Tree.variable(0)
    trees = []
    for name, scale, shift in starts:
        inner = Tree.apply("mul", Tree.constant(scale), x)
        if name != "exp":
            inner = Tree.apply("add", Tree.constant(shift if shift != 0.0 else 1e-3), inner)
        trees.append(_applied(name, inner))
    target = seen.target / np.abs(seen.target).max()
    refiner = Refiner(t[:, None], target, seen.weights / seen.weights.max(), check_input=False)
    fitted = refiner.fit(trees, max_steps=25)
    out: dict[str, tuple[float, int, float, float]] = {}
    for i in np.argsort(fitted.unexplained, kind="stable").tolist():
        name = starts[i][0]
        if name in out or not fitted.unexplained[i] < 0.2 or len(out) >= N_KEPT:
            continue
        values = fitted.constants(i)
        scale, shift = (values[0], 0.0) if name == "exp" else (values[1], values[0])
        out[name] = (float(fitted.unexplained[i]), i, scale, shift)
    exact = [v for v in out.values() if v[0] < 1e-9]
    return exact[:2] or list(out.values())


def _outer(values: Array, seen: TargetView) -> tuple[float, float]:
    """Scale and offset of values for the target of a view."""
    design = np.stack([values, np.ones_like(values)], axis=1)
    roots = np.sqrt(seen.weights / seen.weights.max())
    c, *_ = np.linalg.lstsq(design * roots[:, None], seen.target * roots, rcond=None)
    return float(c[0]), float(c[1])


@cache
def _places() -> dict[str, list[int]]:
    """Where the table has which function."""
    names = _table()[0]
    return {name: [i for i, n in enumerate(names) if n == name] for name in dict.fromkeys(names)}


@cache
def _table() -> tuple[list[str], Array, Array]:
    """Names of functions with the scales and shifts that are tried, of a variable in -1 .. 1."""
    entries: list[tuple[str, float, float]] = []
    entries += [("exp", sign * s, 0.0) for s in (0.3, 1.0, 2.0, 4.0, 8.0) for sign in (-1, 1)]
    entries += [(f, sign, b) for f in ("log", "sqrt", "inv", "square inv", "log square")
                for b in _OUTSIDE for sign in (-1, 1)]  # fmt: skip
    entries += [("square", 1.0, b) for b in (-6.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 6.0)]
    entries += [("cube", 1.0, b) for b in (-6.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 6.0)]
    entries += [(f, s, b * max(s / 2.0, 1.0)) for f in ("tanh", "arctan", "gauss", "lorentz")
                for s in _SLOPES for b in _SHIFTS]  # fmt: skip
    entries += [("sin", s, b) for s in _PERIODS for b in np.pi * np.arange(4) / 4]
    entries += [("abs", 1.0, b) for b in (-0.6, -0.3, 0.0, 0.3, 0.6)]
    names, s, b = zip(*entries, strict=True)
    return list(names), np.array(s), np.array(b)


def _applied(name: str, u: Tree) -> Tree:
    """The function as a tree."""
    if name == "gauss":
        return Tree.apply("inv", Tree.apply("exp", Tree.apply("square", u)))
    if name == "lorentz":
        square = Tree.apply("square", u)
        return Tree.apply("inv", Tree.apply("add", square, Tree.constant(1.0)))
    if name == "square inv":
        return Tree.apply("inv", Tree.apply("square", u))
    if name == "log square":
        return Tree.apply("square", Tree.apply("log", u))
    return Tree.apply(name, u)


def _evaluated(name: str, u: Array) -> Array:
    values = evaluate(_applied(name, Tree.variable(0)), u.reshape(-1, 1))
    return values.reshape(u.shape)


def _tree(name: str, parts: Sequence[Tree], slopes: Array, shift: float) -> Tree | None:
    values = slopes.tolist()
    if name == "inv" or name == "abs":  # scale belongs to the outer factor
        largest = float(np.abs(slopes).max())
        values, shift = (slopes / largest).tolist(), shift / largest
    if name == "exp":
        inner = weighted_sum(parts, values)
    else:
        inner = weighted_sum([*parts, None], [*values, shift if shift != 0.0 else 1e-3])
    return None if inner is None else _applied(name, inner)

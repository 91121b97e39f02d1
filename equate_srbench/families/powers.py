"""Power laws with real exponents, times an exponential, and sums of two or three of them.

A single law is linear in logarithms. Sums start from the best pairs and triples of monomials with
half-integer exponents, found in closed form from their correlations with the target; the exponents
are fitted from there.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, Proposal, floor_of, is_plain
from equate_srbench.families.least_squares import eliminate
from equate_srbench.families.term_trees import monomial, product_of, simple, weighted_sum
from equate_srbench.problem.target_views import TargetView

Array = NDArray[np.float64]

#: Exponents of the dictionary, by number of columns; for columns with zeros or of both signs the
#: whole ones that are defined.
GRIDS: dict[int, tuple[float, ...]] = {
    1: (-4, -3, -2.5, -2, -1.5, -1, -0.5, -0.25, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6),
    2: (-3, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 3),
    3: (-2, -1, -0.5, 0.5, 1, 2),
    4: (-1, 1, 2),
}
#: Most monomials, pairs of them, triples, and terms that are extended to a triple.
MAX_TERMS, N_PAIRS, N_TRIPLES = 260, 6, 3
VIEWS = ("identity", "inverse", "square", "square of minus", "log")
#: Share of a monomial that is not in another one, below which both are the same.
SAME = 1e-8


def propose(rows: FamilyRows) -> list[Proposal]:
    """Single power laws in logarithms, then sums of two and three."""
    out = _single(rows)
    columns = list(rows.columns[:4])
    exponents = _grid(rows.X[:, columns])
    if len(exponents) < 2 or rows.n < 10:
        return out
    values = _values(rows.X[:, columns], exponents)
    usable = np.isfinite(values).all(axis=0)
    values, exponents = values[:, usable], exponents[usable]
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    usable = np.isfinite(norms) & (norms > 1e-10 * np.abs(values).max(axis=0))
    centred, exponents = centred[:, usable] / norms[usable], exponents[usable]
    gram = centred.T @ centred
    for seen in rows.named(*VIEWS):
        out += _sums(rows, seen, columns, exponents, centred, gram)
    return out


def _single(rows: FamilyRows) -> list[Proposal]:
    """``c x^a z^b exp(d w)`` by elimination in the logarithm of the target."""
    positive = [j for j in rows.columns if (rows.X[:, j] > 0.0).all()]
    plain = [Tree.variable(j) for j in rows.columns]
    out = []
    for seen in rows.named("log", "log of minus", "log of one minus", "log of less one"):
        with_inverse = [j for j in rows.columns if (rows.X[:, j] != 0.0).all()]
        design = np.concatenate(
            [np.ones((rows.n, 1)), np.log(rows.X[:, positive]), rows.X[:, list(rows.columns)],
             1.0 / rows.X[:, with_inverse]], axis=1,
        )  # fmt: skip
        parts = [*plain, *(Tree.apply("inv", Tree.variable(j)) for j in with_inverse)]
        costs = np.full(design.shape[1], 0.5 * math.log(rows.n) + 4.0)
        for m in (1 + len(positive), design.shape[1]):
            if not 1 < m <= rows.n // 3 or not np.isfinite(design[:, :m]).all():
                continue
            roots = np.sqrt(seen.weights / seen.weights.max())
            fits = eliminate(
                design[:, :m] * roots[:, None], seen.target * roots, costs[:m],
                floor=floor_of(seen.target),
            )  # fmt: skip
            for fit in fits[:2]:
                at = dict(zip(fit.chosen.tolist(), fit.coefficients.tolist(), strict=True))
                factors = [
                    power for i, j in enumerate(positive, 1)
                    if i in at and (power := monomial([Tree.variable(j)], [simple(at[i])]))
                ]  # fmt: skip
                first = 1 + len(positive)
                rates = [(parts[i - first], c) for i, c in at.items() if i >= first]
                if rates:
                    rate = weighted_sum([p for p, _ in rates], [c for _, c in rates])
                    if rate is None:
                        continue
                    factors.append(Tree.apply("exp", rate))
                tree = product_of(factors)
                if tree is not None:
                    inner = Tree.apply("log", tree)
                    if seen.transform.name.startswith("log of") and len(at) > 0 and 0 in at:
                        inner = Tree.apply("add", inner, Tree.constant(at[0]))
                    plain_log = seen.transform.name in ("log", "log of minus")
                    whole = tree if plain_log else seen.wrap(inner)
                    out.append(Proposal(whole, "power"))
    return out


def _grid(X: Array) -> Array:
    """Exponents of the dictionary, (n_terms, n_columns), by total size, without the constant."""
    choices = []
    for column in X.T:
        grid = GRIDS[X.shape[1]]
        if not (column > 0.0).all():
            grid = tuple(e for e in grid if e == round(e) and (e > 0 or (column != 0.0).all()))
        choices.append((0.0, *grid))
    found = [e for e in product(*choices) if any(e)]
    found.sort(key=lambda e: (sum(map(abs, e)), e))
    return np.array(found[:MAX_TERMS], dtype=np.float64).reshape(-1, X.shape[1])


def _values(X: Array, exponents: Array) -> Array:
    """Values of the monomials, (n_rows, n_terms), of columns scaled to 1."""
    scaled = X / np.abs(X).max(axis=0)
    out = np.ones((len(X), len(exponents)))
    for j in range(X.shape[1]):
        own, place = np.unique(exponents[:, j], return_inverse=True)
        out *= (scaled[:, j, None] ** own)[:, place]
    return out


def _sums(
    rows: FamilyRows, seen: TargetView, columns: list[int], exponents: Array, A: Array, gram: Array
) -> list[Proposal]:
    """The best single terms, pairs and triples, as trees with coefficients."""
    target = seen.target - seen.target.mean()
    norm = float(np.linalg.norm(target))
    if not 0.0 < norm < np.inf:
        return []
    target = target / norm
    c = A.T @ target
    shared = 1.0 - gram**2
    explained = (c[:, None] ** 2 + c**2 - 2.0 * np.outer(c, c) * gram) / shared
    explained[~(shared > SAME)] = -1.0
    upper = np.triu_indices(len(c), 1)
    order = np.argsort(-explained[upper], kind="stable")[:N_PAIRS]
    pairs = [(int(upper[0][i]), int(upper[1][i])) for i in order]
    chosen: list[tuple[int, ...]] = [(int(np.argmax(np.abs(c))),), *pairs]
    chosen += [t for pair in pairs[:N_TRIPLES] if (t := _extended(pair, A, target)) is not None]
    out = []
    for terms in chosen:
        own = np.concatenate([np.ones((rows.n, 1)), _values(rows.X[:, columns], exponents[list(terms)])], 1)
        own = own / np.linalg.norm(own, axis=0)
        scaled, *_ = np.linalg.lstsq(own, seen.target, rcond=None)
        exact = float(np.sum((seen.target - own @ scaled) ** 2)) <= 1e-20 * norm**2
        tree = _sum_tree(rows, seen, columns, exponents[list(terms)], simple_powers=exact)
        if tree is not None:
            out.append(Proposal(seen.wrap(tree), "power"))
    return out


def _extended(pair: tuple[int, int], A: Array, target: Array) -> tuple[int, ...] | None:
    """The pair with the monomial that explains most of what it leaves."""
    q, _ = np.linalg.qr(A[:, list(pair)])
    rest = target - q @ (q.T @ target)
    free = A - q @ (q.T @ A)
    size = np.sum(free**2, axis=0)
    score = np.where(size > SAME, (free.T @ rest) ** 2 / size, -1.0)
    best = int(np.argmax(score))
    return (*pair, best) if score[best] > 0.0 else None


def _sum_tree(
    rows: FamilyRows, seen: TargetView, columns: list[int], exponents: Array, simple_powers: bool
) -> Tree | None:
    """Sum of monomials; exponents of positive columns are constants to fit unless exact."""
    parts: list[Tree | None] = []
    values = [np.ones(rows.n)]
    for powers in exponents.tolist():
        values.append(np.prod(rows.X[:, columns] ** np.array(powers), axis=1))
        factors = []
        for j, e in zip(columns, powers, strict=True):
            if e == 0.0:
                continue
            if simple_powers or not (rows.X[:, j] > 0.0).all():
                factor = monomial([Tree.variable(j)], [e])
            else:
                factor = Tree.apply("pow", Tree.variable(j), Tree.constant(e))
            if factor is not None:
                factors.append(factor)
        parts.append(product_of(factors))
    design = np.stack(values, axis=1)
    norms = np.linalg.norm(design, axis=0)
    if not np.isfinite(design / norms).all():
        return None
    scaled, *_ = np.linalg.lstsq(design / norms, seen.target, rcond=None)
    coefficients = (scaled / norms).tolist()
    if is_plain(seen):
        return weighted_sum(parts, coefficients[1:])
    size = float(np.abs(seen.target).max())
    if abs(coefficients[0]) < 1e-9 * size:
        return weighted_sum(parts, coefficients[1:])
    return weighted_sum([None, *parts], coefficients)

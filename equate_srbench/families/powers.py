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
from equate_srbench.families.term_trees import (
    monomial,
    near_exponent,
    product_of,
    simple,
    weighted_sum,
)
from equate_srbench.problem.target_views import TargetView
from equate_srbench.refine import Refiner

Array = NDArray[np.float64]

#: Exponents of the dictionary, by number of columns; for columns with zeros or of both signs the
#: whole ones that are defined.
GRIDS: dict[int, tuple[float, ...]] = {
    1: (-4, -3, -2.5, -2, -1.5, -1, -0.5, -0.25, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6),
    2: (-3, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 3),
    3: (-2, -1, -0.5, 0.5, 1, 2),
    4: (-1, 1, 2),
}
#: Most monomials, pairs of them, pairs with the same monomial, and pairs extended to triples.
MAX_TERMS, N_PAIRS, N_SAME, N_TRIPLES = 260, 8, 2, 2
#: Steps of the exponents of all starts, then of the best ones: the valleys are narrow.
FIRST_STEPS, STEPS, N_FITTED = 15, 100, 3
#: Share of the variance that the best pair explains at least.
LEAST_EXPLAINED = 0.8
VIEWS = ("identity", "inverse", "square", "square of minus")
#: Largest exponent of a fit.
LARGEST = 12.0
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
    pairs = _diverse(explained)
    if not pairs or explained[pairs[0]] < LEAST_EXPLAINED:
        return []
    chosen: list[tuple[int, ...]] = [(int(np.argmax(np.abs(c))),), *pairs]
    chosen += [t for pair in pairs[:N_TRIPLES] if (t := _extended(pair, A, target)) is not None]
    left = [_left(A[:, list(terms)], target) for terms in chosen]
    exact = [i for i, share in enumerate(left) if share < 1e-20]
    if exact:
        laws = [exponents[list(chosen[min(exact, key=lambda i: len(chosen[i]))])]]
    else:
        laws = _fitted(rows, seen, columns, [exponents[list(terms)] for terms in chosen])
    trees = [_sum_tree(rows, seen, columns, law) for law in laws]
    return [Proposal(seen.wrap(tree), "power") for tree in trees if tree is not None]


def _diverse(explained: Array) -> list[tuple[int, int]]:
    """Best pairs, no monomial in more than ``N_SAME`` of them."""
    upper = np.triu_indices(len(explained), 1)
    out: list[tuple[int, int]] = []
    used: dict[int, int] = {}
    for i in np.argsort(-explained[upper], kind="stable")[:2000].tolist():
        pair = int(upper[0][i]), int(upper[1][i])
        if len(out) >= N_PAIRS:
            break
        if max(used.get(j, 0) for j in pair) < N_SAME:
            out.append(pair)
            for j in pair:
                used[j] = used.get(j, 0) + 1
    return out


def _left(A: Array, target: Array) -> float:
    """Share of a centred target of length 1 that centred columns leave."""
    q, _ = np.linalg.qr(A)
    return float(np.sum((target - q @ (q.T @ target)) ** 2))


def _fitted(
    rows: FamilyRows, seen: TargetView, columns: list[int], laws: list[Array]
) -> list[Array]:
    """Laws with the exponents of positive columns fitted: all a little, then the best fully."""
    X = rows.X[:, columns]
    free = np.asarray((X > 0.0).all(axis=0))
    scaled = X / np.abs(X).max(axis=0)
    target = seen.target / np.abs(seen.target).max()
    refiner = Refiner(scaled, target, seen.weights / seen.weights.max(), check_input=False)
    for steps in (FIRST_STEPS, STEPS):
        starts = [(law, tree) for law in laws if (tree := _start(law, free, scaled, target))]
        fits = refiner.fit([tree for _, tree in starts], max_steps=steps)
        best: dict[int, list[tuple[float, Array]]] = {}
        for i in np.argsort(fits.unexplained, kind="stable").tolist():
            error, law = float(fits.unexplained[i]), starts[i][0].copy()
            of_length = best.setdefault(len(law), [])
            if np.isfinite(error) and len(of_length) < N_FITTED:
                law[:, free] = _exponents(fits.constants(i), len(law))
                if np.abs(law).max() <= LARGEST:
                    of_length.append((error, law))
        # longer sums fit better, which says nothing: each length has its own
        found = [fit for n in sorted(best) for fit in best[n]]
        exact = [law for error, law in found if error < 1e-20]
        laws = exact[:1] or [law for _, law in found]
    return [np.vectorize(near_exponent)(law) for law in laws]


def _start(law: Array, free: NDArray[np.bool_], X: Array, target: Array) -> Tree | None:
    """Sum of monomials with the exponents of ``free`` columns as constants, the first factor 1."""
    A = np.stack([np.ones(len(X)), *(np.prod(X**e, axis=1) for e in law)], axis=1)
    norms = np.linalg.norm(A, axis=0)
    if not np.isfinite(norms).all() or not (norms > 0.0).all():
        return None
    c = (np.linalg.lstsq(A / norms, target, rcond=1e-14)[0] / norms)[1:]
    out: Tree | None = None
    for e, factor in zip(law.tolist(), (c / c[0] if c[0] != 0.0 else c).tolist(), strict=True):
        if not math.isfinite(factor):
            return None
        fixed = [
            _whole(Tree.variable(j), int(e[j])) for j in np.flatnonzero(~free).tolist() if e[j]
        ]
        term = product_of(fixed)
        for j in np.flatnonzero(free).tolist():
            power = Tree.apply("pow", Tree.variable(j), Tree.constant(e[j]))
            term = power if term is None else Tree.apply("mul", term, power)
        if term is None:
            return None
        out = term if out is None else Tree.apply(
            "add", out, Tree.apply("mul", Tree.constant(factor), term)
        )  # fmt: skip
    return out


def _whole(x: Tree, n: int) -> Tree:
    """``x ** n`` without a constant, which would be fitted."""
    if n < 0:
        return Tree.apply("inv", _whole(x, -n))
    if n == 1:
        return x
    half = Tree.apply("square", _whole(x, n // 2))
    return Tree.apply("mul", x, half) if n % 2 else half


def _exponents(constants: tuple[float, ...], n_terms: int) -> Array:
    """Fitted exponents of ``_start``, (n_terms, n_free): each term but the first has a factor."""
    padded = np.array([1.0, *constants]).reshape(n_terms, -1)
    return padded[:, 1:]


def _extended(pair: tuple[int, int], A: Array, target: Array) -> tuple[int, ...] | None:
    """The pair with the monomial that explains most of what it leaves."""
    q, _ = np.linalg.qr(A[:, list(pair)])
    rest = target - q @ (q.T @ target)
    free = A - q @ (q.T @ A)
    size = np.sum(free**2, axis=0)
    score = np.where(size > SAME, (free.T @ rest) ** 2 / size, -1.0)
    best = int(np.argmax(score))
    return (*pair, best) if score[best] > 0.0 else None


def _sum_tree(rows: FamilyRows, seen: TargetView, columns: list[int], law: Array) -> Tree | None:
    """Sum of monomials with least-squares coefficients."""
    bases = [Tree.variable(j) for j in columns]
    parts: list[Tree | None] = [monomial(bases, powers) for powers in law.tolist()]
    design = [np.ones(rows.n)]
    design += [np.prod(rows.X[:, columns] ** powers, axis=1) for powers in law]
    A = np.stack(design, axis=1)
    norms = np.linalg.norm(A, axis=0)
    if not np.isfinite(A / norms).all():
        return None
    scaled, *_ = np.linalg.lstsq(A / norms, seen.target, rcond=None)
    coefficients = (scaled / norms).tolist()
    negligible = abs(coefficients[0]) < 1e-9 * float(np.abs(seen.target).max())
    if is_plain(seen) or negligible:
        return weighted_sum(parts, coefficients[1:])
    return weighted_sum([None, *parts], coefficients)

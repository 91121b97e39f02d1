"""Sums of products of functions of single columns: ``sin(x) cos(z)``, ``exp(-x) / (z + 1) + w``.

A dictionary of functions of each column, on a grid of their parameters, gives all products of two
in closed form: one matrix product per pair of columns is the correlation of all of them with the
target. The best are fitted, multiplied by a third function where that explains more, and further
products are added to what is left (matching pursuit, Mallat & Zhang 1993), all parameters being
fitted together after each (Pati et al. 1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.factors import Dictionary, Factor
from equate_srbench.families.family_rows import FamilyRows, Proposal, is_plain
from equate_srbench.families.term_trees import product_of, weighted_sum
from equate_srbench.problem.target_views import TargetView
from equate_srbench.refine import Refined, Refiner
from equate_srbench.refine.refiner import evaluate_many

Array = NDArray[np.float64]

#: Columns that are looked at, and rows that the dictionary is correlated on.
MAX_COLUMNS, SCORED_ROWS, FEW_ROWS = 4, 200, 100
#: Columns of larger values are left out: powers of them overflow.
HUGE = 1e60
#: Products that are started alone, that pairs are made of, pairs that are started, and most with
#: functions of the same kinds; products looked at per pair of columns, and pairs of products.
N_STARTS, N_TRIED, N_PAIRS, N_SAME = 96, 300, 48, 3
N_BEST, N_RANKED = 400, 6000
#: Products that get a third factor, sums fitted fully of each number of parameters, sums that get
#: one more product, most products in one; steps of all starts and of the best.
N_KEPT, N_FRONT, N_BASES, N_TERMS, FIRST_STEPS, STEPS = 4, 2, 2, 3, 10, 30
#: Share of the variance that the first product leaves at most, that each further one leaves of
#: what was left, and that a solved view leaves.
MOST_LEFT, GAIN, SOLVED = 0.85, 0.6, 1e-18
#: Share that is left above which no second and third product are looked for: they explain little
#: then, or the target is none of this family.
LIMITS, LIMITS_OF_VIEWS = {2: 0.6, 3: 0.03}, {2: 0.02, 3: 1e-4}
VIEWS = ("identity", "log", "inverse", "square")

Product = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """``offset + scale (p_0 + c_1 p_1 + ...)`` with the share of the variance that it leaves."""

    products: tuple[Product, ...]
    coefficients: tuple[float, ...]
    scale: float = 1.0
    offset: float = 0.0
    left: float = math.inf

    @property
    def tree(self) -> Tree:
        """Without scale and offset; the first coefficient is 1."""
        out = _times(self.products[0])
        for c, product in zip(self.coefficients[1:], self.products[1:], strict=True):
            out = Tree.apply("add", out, Tree.apply("mul", Tree.constant(c), _times(product)))
        return out

    def fitted(self, fits: Refined, i: int) -> Sum:
        """The same with the constants of a fit."""
        values = list(fits.constants(i))
        coefficients, products = [1.0], []
        for k, product in enumerate(self.products):
            if k:
                coefficients.append(values.pop(0))
            factors = []
            for f in product:
                own = tuple(values[: len(f.parameters)])
                del values[: len(f.parameters)]
                factors.append(Factor(f.kind, f.column, own, f.order))
            products.append(tuple(factors))
        scale, offset = float(fits.scale[i]), float(fits.offset[i])
        left = float(fits.unexplained[i])
        return Sum(tuple(products), tuple(coefficients), scale, offset, left)

    def written(self, plain: bool) -> Tree | None:
        """As people write it; without scale and offset around a ``plain`` target."""
        parts: list[Tree | None] = []
        values: list[float] = []
        for c, product in zip(self.coefficients, self.products, strict=True):
            found = [f.written for f in product]
            parts.append(product_of([tree for tree, _ in found]))
            values.append(c * self.scale * math.prod(sign for _, sign in found))
        if not plain and abs(self.offset) > 1e-9 * max(map(abs, values)):
            parts.append(None)
            values.append(self.offset)
        return weighted_sum(parts, values)


def _times(product: Product) -> Tree:
    out = product[0].tree
    for factor in product[1:]:
        out = Tree.apply("mul", out, factor.tree)
    return out


class _Pursuit:
    """Matching pursuit in one table; ``rows``: at least 12, with at least one column."""

    def __init__(self, rows: FamilyRows, columns: list[int]) -> None:
        self.rows = rows
        self.columns = columns
        self.X = rows.X[:SCORED_ROWS]
        self.dictionaries = [Dictionary.of(self.X[:, j], j) for j in self.columns]
        self.pairs = list(combinations_with_replacement(range(len(self.columns)), 2))
        self.ranges = {j: (float(np.abs(x).max()), float(np.ptp(x)))
                       for j in self.columns for x in [self.X[:, j]]}  # fmt: skip
        self.inverse: dict[tuple[int, int], Array] = {}

    def solve(self, seen: TargetView) -> list[Sum]:
        """The best sums of one view, the best first."""
        plain, unit = is_plain(seen), float(np.abs(seen.target).max())
        target = seen.target / unit
        weights = seen.weights / seen.weights.max()
        refiner = Refiner(self.rows.X, target, weights, check_input=False)
        few = Refiner(self.rows.X[:FEW_ROWS], target[:FEW_ROWS], weights[:FEW_ROWS],
                      check_input=False)  # fmt: skip
        rest = target[: len(self.X)] - target[: len(self.X)].mean()
        terms = self._terms(rest)
        first = terms.diverse()[: N_STARTS if plain else N_STARTS // 3]
        starts = [Sum((terms.product(i),), (1.0,)) for i in first]
        found = self._fitted(starts, few, FIRST_STEPS)
        if len(self.columns) > 2:
            more = self._fitted(self._threefold(found[:N_KEPT], rest), few, FIRST_STEPS)
            found = sorted(found + more, key=lambda s: s.left)
        out: list[Sum] = []
        earlier: list[Sum] = []
        limits = LIMITS if plain else LIMITS_OF_VIEWS
        for n in range(1, N_TERMS + 1):
            if out and out[0].left > limits[n]:
                break
            if n == 2:
                starts = [
                    Sum((terms.product(i), terms.product(j)), (1.0, c))
                    for i, j, c in terms.best_pairs(rest)
                ]
                found = self._fitted([*starts, *self._extended(out, target)], few, FIRST_STEPS)
            elif n > 2:
                found = self._fitted(self._extended(out, target), few, FIRST_STEPS)
            found = self._fitted(_front(found, N_FRONT), refiner, STEPS)
            enough = GAIN * out[0].left if out else MOST_LEFT
            if not found or found[0].left > enough:
                break
            out, earlier = [self._pruned(s, refiner) for s in found], [*out[:2], *earlier]
            if found[0].left < SOLVED:
                break
        return [
            Sum(s.products, s.coefficients, s.scale * unit, s.offset * unit, s.left)
            for s in [*out[:2], *earlier]
        ]

    def _fitted(self, sums: list[Sum], refiner: Refiner, steps: int) -> list[Sum]:
        """Sums with fitted parameters, the best first, those that are not finite left out."""
        if not sums:
            return []
        fits = refiner.fit([s.tree for s in sums], max_steps=steps)
        out = []
        for i, before in enumerate(sums):
            after = before.fitted(fits, i) if math.isfinite(fits.unexplained[i]) else before
            sound = all(f.is_sound(*self.ranges[f.column]) for p in after.products for f in p)
            best = after if sound else before
            if math.isfinite(best.left):
                out.append(best)
        return sorted(out, key=lambda s: s.left)

    def _pruned(self, found: Sum, refiner: Refiner) -> Sum:
        """Without the products that add nothing."""
        sizes = np.array(found.coefficients) * self._values(found.products).std(axis=0)
        keep = np.flatnonzero(~(np.abs(sizes) < 1e-8 * np.abs(sizes).max())).tolist()
        if len(keep) == len(sizes):
            return found
        fewer = Sum(
            tuple(found.products[i] for i in keep),
            tuple(found.coefficients[i] / found.coefficients[keep[0]] for i in keep),
        )
        return next(iter(self._fitted([fewer], refiner, STEPS)), found)

    def _extended(self, sums: list[Sum], target: Array) -> list[Sum]:
        """The best sums, of different numbers of parameters, with one more product."""
        out = []
        for base in _front(sums, 1)[:N_BASES]:
            values = evaluate_many([base.tree], self.X)[0]
            if base.scale == 0.0:
                continue
            rest = target[: len(self.X)] - base.scale * values - base.offset
            rest = rest - rest.mean()
            terms = self._terms(rest)
            products = [terms.product(i) for i in terms.diverse()[: N_STARTS // 2]]
            more = self._values(products)
            sizes = rest @ more / np.sum((more - more.mean(axis=0)) ** 2, axis=0) / base.scale
            for product, size in zip(products, sizes.tolist(), strict=True):
                if math.isfinite(size):
                    out.append(Sum((*base.products, product), (*base.coefficients, size)))
        return out

    def _values(self, products: Sequence[Product]) -> Array:
        return evaluate_many([_times(product) for product in products], self.X).T

    def _terms(self, rest: Array) -> _Terms:
        """Products of two functions that explain most of ``rest``, the best first."""
        found: list[tuple[NDArray[Any], ...]] = []
        for p, (a, b) in enumerate(self.pairs):
            left, right = self.dictionaries[a], self.dictionaries[b]
            T = (left.values * rest[:, None]).T @ right.values
            if (a, b) not in self.inverse:
                self.inverse[a, b] = _inverse(left.values, right.values)
            score = _folded(T * T * self.inverse[a, b], left.n_still, right.n_still)
            score[0, 0] = 0.0
            if a == b:
                score[~left.is_first] = 0.0
                score[:, left.is_power] = 0.0
            flat = score.ravel()
            best = np.argpartition(flat, -min(N_BEST, len(flat)))[-N_BEST:]
            i, j = np.divmod(best, score.shape[1])
            (i1, i2), (j1, j2) = left.places[:, i], right.places[:, j]
            # amplitudes of cosine and sine; the second row or column is 0 if that is no wave
            two, more = (i1 != i2), (j1 != j2)
            M = np.array([[T[i1, j1], T[i1, j2] * more],
                          [T[i2, j1] * two, T[i2, j2] * two * more]])  # fmt: skip
            kinds = (p * 100 + left.kinds[i]) * 100 + right.kinds[j]
            found.append((flat[best], np.full(len(i), p), i, j, kinds, M.transpose(2, 0, 1)))
        score, pair, i, j, kinds, M = (np.concatenate(v) for v in zip(*found, strict=True))
        order = np.lexsort((-score, kinds))
        # place within its kind
        first = np.r_[0, 1 + np.flatnonzero(np.diff(kinds[order]))]
        within = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
        chosen = order[(within < N_SAME) & (score[order] > 0.0)]
        chosen = chosen[np.argsort(-score[chosen], kind="stable")][:N_TRIED]
        u, _, v = np.linalg.svd(M[chosen])
        return _Terms(self.dictionaries, self.pairs, pair[chosen], i[chosen], j[chosen],
                      kinds[chosen], u[:, :, 0], v[:, 0, :])  # fmt: skip

    def _threefold(self, sums: list[Sum], rest: Array) -> list[Sum]:
        """Single products with the best function of each column that is not in them."""
        if not sums:
            return []
        out = []
        for s, values in zip(sums, self._values([s.products[0] for s in sums]).T, strict=True):
            size = float(np.abs(values).max())
            if not 0.0 < size < np.inf:
                continue
            part = (values / size)[:, None]
            for j, dictionary in zip(self.columns, self.dictionaries, strict=True):
                if any(f.column == j for f in s.products[0]):
                    continue
                T = (part * rest[:, None]).T @ dictionary.values
                score = _folded(T * T * _inverse(part, dictionary.values), 1, dictionary.n_still)
                best = int(np.argmax(score))
                first, second = dictionary.places[:, best].tolist()
                factor = dictionary.factor(best, float(T[0, first]), float(T[0, second]))
                if factor is not None:
                    out.append(Sum(((*s.products[0], factor),), (1.0,)))
        return out


@dataclass(frozen=True, slots=True)
class _Terms:
    """Products of two functions of dictionaries, the best first.

    ``pair``, ``left``, ``right``: which columns and functions, (n_terms,); ``kinds``: a number for
    products that differ in parameters only; ``u``, ``v``: amplitudes of cosine and sine in both
    functions, (n_terms, 2).
    """

    dictionaries: list[Dictionary]
    pairs: list[tuple[int, int]]
    pair: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    kinds: NDArray[np.int64]
    u: Array
    v: Array

    def product(self, k: int) -> Product:
        """Term ``k``."""
        a, b = self.pairs[self.pair[k]]
        factors = (
            self.dictionaries[a].factor(int(self.left[k]), *self.u[k].tolist()),
            self.dictionaries[b].factor(int(self.right[k]), *self.v[k].tolist()),
        )
        return tuple(f for f in factors if f is not None)

    def diverse(self) -> list[int]:
        """The first of each kind."""
        first = np.unique(self.kinds, return_index=True)[1]
        return [int(k) for k in np.sort(first)[:N_STARTS]]

    def values(self) -> Array:
        """Of all terms, (n_rows, n_terms)."""
        out = np.empty((len(self.dictionaries[0].values), len(self.pair)))
        for p, (a, b) in enumerate(self.pairs):
            own = np.flatnonzero(self.pair == p)
            both = np.ones((len(out), len(own)))
            for at, chosen, c in (
                (a, self.left[own], self.u[own]),
                (b, self.right[own], self.v[own]),
            ):
                B, (first, second) = self.dictionaries[at].values, self.dictionaries[at].places
                first, second = first[chosen], second[chosen]
                # a function that is no wave has both places alike
                c = np.where((first == second)[:, None], [1.0, 0.0], c)
                both = both * (B[:, first] * c[:, 0] + B[:, second] * c[:, 1])
            out[:, own] = both
        return out

    def sizes(self) -> Array:
        """Largest values of the terms, which ``values`` has divided out; (n_terms,)."""
        out = np.empty(len(self.pair))
        for p, (a, b) in enumerate(self.pairs):
            own = self.pair == p
            left, right = self.dictionaries[a].sizes, self.dictionaries[b].sizes
            out[own] = left[self.left[own]] * right[self.right[own]]
        return out

    def best_pairs(self, target: Array) -> Iterator[tuple[int, int, float]]:
        """Terms that explain most together, with the coefficient of the second to the first."""
        A = self.values()
        A = A - A.mean(axis=0)
        norms = np.linalg.norm(A, axis=0)
        sound = norms > 1e-9 * math.sqrt(len(A))
        A = np.where(sound, A / np.where(sound, norms, 1.0), 0.0)
        norms = norms / self.sizes()
        gram, c = A.T @ A, A.T @ target
        shared = 1.0 - gram**2
        explained = (c[:, None] ** 2 + c**2 - 2.0 * np.outer(c, c) * gram) / shared
        explained[~(shared > 1e-6) | ~sound | ~sound[:, None]] = -1.0
        first, second = np.triu_indices(len(c), 1)
        scores = explained[first, second]
        order = np.argsort(-scores, kind="stable")[:N_RANKED]
        kinds = np.sort(np.stack([self.kinds[first[order]], self.kinds[second[order]]]), axis=0)
        unlike = np.sort(np.unique(kinds, axis=1, return_index=True)[1])[:N_PAIRS]
        for k in order[unlike].tolist():
            i, j = int(first[k]), int(second[k])
            own = (c[i] - gram[i, j] * c[j]) / norms[i]
            other = (c[j] - gram[i, j] * c[i]) / norms[j]
            if scores[k] > 0.0 and own != 0.0 and math.isfinite(other / own):
                yield i, j, float(other / own)


def _front(sums: list[Sum], most: int) -> list[Sum]:
    """The best few of each number of parameters: more of them always fit better."""
    out: list[Sum] = []
    used: dict[int, int] = {}
    for s in sums:
        n = len(s.products) + sum(len(f.parameters) for product in s.products for f in product)
        if used.get(n, 0) < most:
            used[n] = used.get(n, 0) + 1
            out.append(s)
    return out


def _inverse(left: Array, right: Array) -> Array:
    """One over the variances of all products, times the rows; 0 where there is none."""
    mean = left.T @ right
    square = (left * left).T @ (right * right)
    spread = square - mean * mean / len(left)
    sound = spread > 1e-10 * square
    return np.where(sound, 1.0 / np.where(sound, spread, 1.0), 0.0)


def _folded(score: Array, still_left: int, still_right: int) -> Array:
    """Scores of functions: those of a wave are the sums over cosine and sine."""
    if (n := score.shape[1] - still_right) > 0:
        score = np.concatenate(
            [score[:, :still_right], score[:, still_right : still_right + n // 2]
             + score[:, still_right + n // 2 :]], axis=1,
        )  # fmt: skip
    if (n := score.shape[0] - still_left) > 0:
        score = np.concatenate(
            [score[:still_left], score[still_left : still_left + n // 2]
             + score[still_left + n // 2 :]], axis=0,
        )  # fmt: skip
    return score


def propose(rows: FamilyRows) -> list[Proposal]:
    """Sums of products in a few views."""
    sizes = np.abs(rows.X).max(axis=0, initial=0.0)
    columns = [j for j in rows.columns[:MAX_COLUMNS] if 1.0 / HUGE < sizes[j] < HUGE]
    if not columns or rows.n < 12:
        return []
    pursuit = _Pursuit(rows, columns)
    out: list[Proposal] = []
    for seen in rows.named(*VIEWS):
        found = pursuit.solve(seen)
        trees = [s.written(is_plain(seen)) for s in found]
        out += [Proposal(seen.wrap(tree), "product") for tree in trees if tree is not None]
        if found and found[0].left < SOLVED:
            break
    return out

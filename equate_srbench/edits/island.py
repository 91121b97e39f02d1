"""One island: a population of formulas for one view of the target."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.inversion import NodeTarget, node_targets
from equate_srbench.edits.library import Library
from equate_srbench.enumeration.matching import Matches
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.floor import EXACT
from equate_srbench.problem.target_views import TargetView
from equate_srbench.refine import Refined, Refiner
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: Scales above this, or below its inverse, have squares outside the range of float64.
MAX_SCALE = 1e150


@dataclass(slots=True)
class Individual:
    """A refined formula in the population.

    Attributes
    ----------
    tree : Tree
        Inner formula, before scale and offset.
    scale, offset : float
    error : float
        Squared error in ``y`` as a fraction of its variance (approximate in transformed views).
    """

    tree: Tree
    scale: float
    offset: float
    error: float

    def key(self, pressure: float) -> float:
        """Error with parsimony pressure; smaller is better."""
        return max(self.error, EXACT) * (1.0 + pressure * self.tree.size)


class Island:
    """Searches ``target ~ a f + b`` by random edits and by grafts from a library.

    Parameters
    ----------
    view : TargetView
        On the search rows.
    X : ndarray of shape (n_rows, n_columns)
        Search rows.
    variance : float
        Variance of ``y`` on the search rows: the unit of errors.
    library : Library
    mutator : Mutator
    capacity : int, default=300
        Population size.
    pressure : float, default=0.04
        Parsimony pressure: errors are multiplied by ``1 + pressure * size``.
    """

    def __init__(
        self,
        view: TargetView,
        X: Array,
        variance: float,
        library: Library,
        mutator: Mutator,
        *,
        capacity: int = 300,
        pressure: float = 0.04,
    ) -> None:
        self.view, self.X, self.library, self.mutator = view, X, library, mutator
        self.refiner = Refiner(X, view.target, view.weights, check_input=False)
        self._unit = float(view.weights.mean()) / variance
        self.capacity, self.pressure = capacity, pressure
        self.population: list[Individual] = []
        self.seen: set[tuple[int, ...]] = set()
        self.best_of_size: dict[int, Individual] = {}
        self.rounds = 0
        self.tried = 0

    @property
    def rng(self) -> random.Random:
        """The island's random generator."""
        return self.mutator.rng

    @property
    def best(self) -> float:
        """Smallest penalised error so far."""
        return self.population[0].key(self.pressure) if self.population else math.inf

    # -- starts -----------------------------------------------------------------------------

    def start(self, *, pairs: int = 60, deadline: Deadline) -> list[Individual]:
        """Initial population: best library entries, best sums of them, and random trees."""
        library, view = self.library, self.view
        trees = []
        if len(library) > 1:
            single = library.match(view.target[None], view.weights[None], k=40)
            trees = [library.trees[i] for i in single.index[0]]
            trees += self._functions_of_products()
            for i, j, _ in library.pairs(view.target, view.weights, k=pairs):
                trees.append(_sum([library.trees[i], library.trees[j]]))
            for entries in library.sums(view.target, view.weights):
                trees.append(_sum([library.trees[i] for i in entries]))
        trees += [self.mutator.tree() for _ in range(100)]
        return self.absorb(trees, deadline=deadline)

    def _functions_of_products(self, k: int = 40) -> list[Tree]:
        """``exp(c m)``, ``sin(c m)``, ``log(1 + c m)``, ...; the library has only c = 1."""
        view, library = self.view, self.library
        found = library.match(view.target[None], view.weights[None], k=k, among=library.products)
        out = []
        for i in found.index[0]:
            scaled = Tree.apply("mul", Tree.constant(0.5), library.trees[i])
            shifted = Tree.apply("add", Tree.constant(1.0), scaled)
            out += [Tree.apply(name, scaled) for name in ("exp", "sin", "cos", "tanh")]
            out += [Tree.apply(name, shifted) for name in ("log", "sqrt", "inv")]
        return out

    # -- one round --------------------------------------------------------------------------

    def step(self, children: int, *, deadline: Deadline) -> list[Individual]:
        """One generation: vary, refine and select; returns new individuals best of their size."""
        self.rounds += 1
        trees = self.edits(children // 2)
        if len(self.library) > 1:
            trees += self.grafts(children - len(trees))
        if self.rounds % 8 == 0:
            trees += [self.mutator.tree(4) for _ in range(children // 4)]
        return self.absorb(trees, deadline=deadline)

    def _parent(self) -> Individual:
        """Tournament selection of size four or, one time in three, the best of some size."""
        rng = self.rng
        if self.best_of_size and rng.random() < 0.33:
            return self.best_of_size[rng.choice(list(self.best_of_size))]
        n = len(self.population)
        return self.population[min(rng.randrange(n) for _ in range(4))]

    def edits(self, n: int) -> list[Tree]:
        """``n`` random edits of selected parents."""
        return [self.mutator.edit(self._parent().tree, self._parent().tree) for _ in range(n)]

    def grafts(self, n: int, *, parents: int = 10, n_targets: int = 96) -> list[Tree]:
        """Replace, add to, or multiply nodes by the library entries closest to their targets."""
        jobs: list[tuple[Individual, NodeTarget, str]] = []
        chosen = {id(p): p for p in (self._parent() for _ in range(parents))}
        for parent in chosen.values():
            if not 1.0 / MAX_SCALE < abs(parent.scale) < MAX_SCALE:
                continue
            inner = (self.view.target - self._offset(parent)) / parent.scale
            w = self.view.weights * parent.scale**2
            for node in node_targets(parent.tree, self.X, inner, w):
                jobs += [(parent, node, way) for way in ("replace", "add", "mul")]
        if not jobs:
            return []
        jobs = self.rng.sample(jobs, min(n_targets, len(jobs)))
        columns, weights, spread = _stack(jobs)
        usable = np.flatnonzero((spread > 0) & np.isfinite(spread))
        if len(usable) == 0:
            return []
        found = self.library.match(columns[usable], weights[usable], k=4)
        unit = self._unit / float(self.view.weights.mean()) / len(self.X)
        ranked = []
        for row, i in enumerate(usable):
            parent, node, way = jobs[i]
            for rank in range(found.index.shape[1]):
                error = found.error[row, rank] * spread[i] * unit
                gain = error / max(parent.error, EXACT)
                ranked.append((gain, parent, node.at, way, row, rank))
        ranked.sort(key=lambda job: job[0])
        out: list[Tree] = []
        for gain, parent, at, way, row, rank in ranked:
            if len(out) >= n or gain > 1.5:
                break
            tree = _graft(parent.tree, at, way, self._part(found, row, rank))
            if tree.size <= self.mutator.max_size and tree.symbols not in self.seen:
                out.append(tree)
        return out

    def _offset(self, parent: Individual) -> float:
        """The fitted offset, or 0, 1 or -1, since it does not lead to laws like ``exp(u) - 1``."""
        rng = self.rng
        return parent.offset if rng.random() < 0.6 else rng.choice((0.0, 0.0, 1.0, -1.0))

    def _part(self, found: Matches, row: int, rank: int) -> Tree:
        """``slope * u + intercept`` without negligible factors."""
        tree = self.library.trees[int(found.index[row, rank])]
        slope = float(found.slope[row, rank])
        intercept = float(found.intercept[row, rank])
        if abs(slope - 1.0) > 1e-3:
            tree = Tree.apply("mul", Tree.constant(slope), tree)
        if abs(intercept) > 1e-3 * (abs(slope) + abs(intercept)):
            tree = Tree.apply("add", Tree.constant(intercept), tree)
        return tree

    def blocks(self, parents: int = 12) -> list[Tree]:
        """Subtrees of the best formulas, for the library that the islands share."""
        parts = {}
        for p in self.population[:parents]:
            for at in range(1, p.tree.size):
                part = p.tree.subtree(at)
                if 4 <= part.size <= 12 and part.columns:
                    parts[part.symbols] = part
        return list(parts.values())

    # -- selection --------------------------------------------------------------------------

    def absorb(
        self, trees: list[Tree], *, max_steps: int = 8, deadline: Deadline
    ) -> list[Individual]:
        """Refine new skeletons and select; returns those that are the best of their size."""
        fresh = {t.symbols: t for t in trees if t.symbols not in self.seen}
        batch = list(fresh.values())
        self.seen.update(fresh)
        if not batch:
            return []
        fitted = self.refiner.fit(batch, max_steps=max_steps, deadline=deadline)
        self.tried += len(batch)
        news = []
        for i in np.flatnonzero(np.isfinite(fitted.loss)):
            new = self._individual(fitted, int(i), batch[i])
            self.population.append(new)
            size = new.tree.size
            if size not in self.best_of_size or new.error < self.best_of_size[size].error:
                self.best_of_size[size] = new
                news.append(new)
        self._select()
        return [n for n in news if self.best_of_size.get(n.tree.size) is n]

    def _individual(self, fitted: Refined, i: int, tree: Tree) -> Individual:
        return Individual(
            tree.with_constants(fitted.constants(i)),
            float(fitted.scale[i]),
            float(fitted.offset[i]),
            float(fitted.loss[i]) * self._unit,
        )

    def _select(self) -> None:
        """Keep the fittest, at most three per niche of equal log error (two decimals)."""
        self.population.sort(key=lambda p: p.key(self.pressure))
        kept: list[Individual] = []
        count: dict[float, int] = {}
        for p in self.population:
            niche = round(math.log(max(p.error, EXACT)), 2)
            count[niche] = count.get(niche, 0) + 1
            if count[niche] <= 3:
                kept.append(p)
                if len(kept) == self.capacity:
                    break
        self.population = kept
        smallest = math.inf
        for size in sorted(
            self.best_of_size
        ):  # a size whose best is no better than a smaller one's
            if self.best_of_size[size].error >= smallest:
                del self.best_of_size[size]
            else:
                smallest = self.best_of_size[size].error


def _sum(terms: list[Tree]) -> Tree:
    """``a + c b + ...`` with constants to fit; outer scale and offset are always fitted."""
    out = terms[0]
    for term in terms[1:]:
        out = Tree.apply("add", out, Tree.apply("mul", Tree.constant(1.0), term))
    return out


def _stack(jobs: list[tuple[Individual, NodeTarget, str]]) -> tuple[Array, Array, Array]:
    """Node targets, weights and weighted variances of the jobs; weight 0 where not finite."""
    wanted = np.stack([node.target for _, node, _ in jobs])
    value = np.stack([node.value for _, node, _ in jobs])
    weights = np.stack([node.weights for _, node, _ in jobs])
    add = np.array([way == "add" for *_, way in jobs])
    mul = np.array([way == "mul" for *_, way in jobs])
    with np.errstate(all="ignore"):
        wanted[add] -= value[add]
        wanted[mul] /= value[mul]
        weights[mul] *= value[mul] ** 2
        ok = np.isfinite(wanted) & np.isfinite(weights)
        wanted[~ok], weights[~ok] = 0.0, 0.0
        weights[ok.mean(axis=1) < 0.9] = np.nan
        total = weights.sum(axis=1)
        mean = (weights * wanted).sum(axis=1) / total
        spread = (weights * (wanted - mean[:, None]) ** 2).sum(axis=1)
    return wanted, weights, spread


def _graft(tree: Tree, at: int, way: str, part: Tree) -> Tree:
    if way == "replace":
        return tree.replace(at, part)
    return tree.replace(at, Tree.apply(way, tree.subtree(at), part))

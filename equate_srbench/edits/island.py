"""One island: a population of formulas for one view of the target, and the race that fills it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.grafts import Parent, grafts
from equate_srbench.edits.library import Library
from equate_srbench.edits.population import Population
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.target_views import IDENTITY, TargetView
from equate_srbench.refine import Refiner
from equate_srbench.refine.programs import Programs
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: Rows of a first look.
FEW_ROWS = 32
#: Steps of the constants on these, and on all search rows.
FEW_STEPS, STEPS = 3, 8
#: Who passes the look: a few rows may look this much worse than the worst that is kept of a size.
SLACK = 2.0
#: The largest size of some rounds is drawn between this and the search's: long formulas that fit by
#: approximation would else crowd out the way to a short law.
SMALL = 8
#: Share of the rounds with a smaller largest size.
SMALLER = 0.5
#: A new best is promoted if its error falls by more than this share.
PROMOTED_GAIN = 0.01
#: Formulas that are no better than shorter ones pay for scheduling islands, per node.
PRICE = 0.04


class Island:
    """Searches ``target ~ a f + b`` by random edits and by grafts from a library.

    Parameters
    ----------
    view : TargetView
        On the search rows.
    variance : float
        Variance of ``y`` on the search rows: the unit of errors.
    library : Library
        Its ``X`` has the search rows.
    population : Population
    rng : numpy Generator
    """

    def __init__(
        self,
        view: TargetView,
        variance: float,
        library: Library,
        population: Population,
        rng: np.random.Generator,
    ) -> None:
        self.view, self.library, self.population, self.rng = view, library, population, rng
        X, y, w = library.X, view.target, view.weights
        self.all = Refiner(X, y, w, check_input=False)
        few = np.argsort(y, kind="stable")[_spread(len(y), FEW_ROWS)]
        few = few if (w[few] > 0.0).any() and np.ptp(y[few]) > 0.0 else np.arange(len(y))
        self.few = Refiner(X[few], y[few], w[few], check_input=False)
        mean = float(np.average(y, weights=w))
        self._spread = float(np.average((y - mean) ** 2, weights=w))  # of the target
        #: Error in ``y`` as a share of its variance, of the target's unexplained share 1.
        self.unit = self._spread * float(w.mean()) / variance
        self.looked = self.refined = self.rounds = 0
        self._promoted = np.full(len(population.held), np.inf)

    @property
    def promise(self) -> float:
        """Smallest error in ``y`` so far, with a price for length; smaller is better."""
        error = self.population.error[:, 0]
        return float((error * (1.0 + PRICE * np.arange(len(error)))).min()) * self.unit

    # -- starts -----------------------------------------------------------------------------

    def start(self, *, pairs: int = 60, deadline: Deadline) -> None:
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
        self.race(Programs(trees), 100, deadline=deadline)

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

    def step(self, edits: int, n_grafts: int, *, deadline: Deadline) -> None:
        """One round: grafts and random edits race for a place in the population."""
        self.rounds += 1
        population, largest = self.population, self.population.limit
        if largest > SMALL and self.rng.random() < SMALLER:
            population.limit = int(self.rng.integers(SMALL, largest + 1))
        try:
            self.race(self._grafts(n_grafts), edits, deadline=deadline)
        finally:  # an interrupt may come in between
            population.limit = largest

    def _grafts(self, n: int, n_parents: int = 10, n_targets: int = 96) -> Programs:
        front, held = self.population.parents(), self.population.held
        chosen: dict[tuple[int, int], None] = {}
        for _ in range(n_parents if len(front) else 0):
            size = int(front[self.rng.integers(len(front), size=2).max()])
            place = int(self.rng.integers(held[size], size=2).min())
            chosen[size, place] = None
        parents = [self._parent(size, place) for size, place in chosen]
        return grafts(
            parents, self.library, self.view.target, self.view.weights, n=n, n_targets=n_targets,
            rng=self.rng,
        )  # fmt: skip

    def _parent(self, size: int, place: int) -> Parent:
        """With the fitted offset, or 0, 1 or -1: it does not lead to laws like ``exp(u) - 1``."""
        population, rng = self.population, self.rng
        offset = float(population.offset[size, place])
        if rng.random() >= 0.6:
            offset = float(rng.choice((0.0, 0.0, 1.0, -1.0)))
        return Parent(
            population.program(size, place).tree(0),
            float(population.scale[size, place]),
            offset,
            float(population.error[size, place]) * self._spread * float(self.view.weights.mean()),
        )

    def race(self, given: Programs, n_children: int, *, deadline: Deadline) -> None:
        """Let given formulas and random children race; the best of each size are kept.

        A few rows and steps tell most of those apart that would not be kept; the others are fitted
        on all search rows.
        """
        population = self.population
        programs = population.breed(given, n_children)
        few = self.few.fit(programs, max_steps=FEW_STEPS, deadline=deadline)
        error = np.maximum(few.unexplained, population.floor)
        bound = population.bounds()[programs.sizes]
        passed = np.flatnonzero(np.isfinite(error) & (error <= SLACK * bound))
        fitted = self.all.fit(programs.repeated(passed), max_steps=STEPS, deadline=deadline)
        population.settle(fitted)
        self.looked += len(programs)
        self.refined += len(passed)

    def news(self) -> list[Tree]:
        """Formulas for ``y`` that are new on the front since the last call, shortest first."""
        out = []
        for size in self.population.front():
            error = self.population.error[size, 0]
            if error < (1.0 - PROMOTED_GAIN) * self._promoted[size]:
                self._promoted[size] = error
                out.append(self._formula(int(size)))
        return out

    def _formula(self, size: int) -> Tree:
        tree = self.population.program(size).tree(0)
        if self.view.transform is IDENTITY and self.view.factor is None:
            return tree  # scale and offset are fitted again
        scale = float(self.population.scale[size, 0])
        offset = float(self.population.offset[size, 0])
        if abs(scale - 1.0) > 1e-9:
            tree = Tree.apply("mul", Tree.constant(scale), tree)
        if offset != 0.0:
            tree = Tree.apply("add", Tree.constant(offset), tree)
        return self.view.wrap(tree)

    def blocks(self, parents: int = 12) -> list[Tree]:
        """Subtrees of the best formulas, for the library that the islands share."""
        parts = {}
        for size in self.population.front()[-parents:]:
            tree = self.population.program(int(size)).tree(0)
            for at in range(1, tree.size):
                part = tree.subtree(at)
                if 4 <= part.size <= 12 and part.columns:
                    parts[part.symbols] = part
        return list(parts.values())


def _spread(n: int, k: int) -> NDArray[np.int64]:
    """``k`` of ``n`` places at equal distances, or all."""
    return np.unique(np.linspace(0, n - 1, min(n, k)).astype(np.int64))


def _sum(terms: list[Tree]) -> Tree:
    """``a + c b + ...`` with constants to fit; outer scale and offset are always fitted."""
    out = terms[0]
    for term in terms[1:]:
        out = Tree.apply("add", out, Tree.apply("mul", Tree.constant(1.0), term))
    return out

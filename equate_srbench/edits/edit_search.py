"""Beyond the paper: an island model of genetic programming on several views of the target.

Islands (one per view of the target) vary their populations by random edits and by grafts from a
library; better islands are scheduled more often. The best of each size on an island is converted
back to a formula for ``y``, refined on all fit rows and added to the archive.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.island import Individual, Island
from equate_srbench.edits.library import Library
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.target_views import (
    IDENTITY,
    TRANSFORMS,
    TargetView,
    Transform,
    monomial_factor,
    view,
)
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EditSettings:
    """Hyperparameters of the edit search.

    Attributes
    ----------
    rows : int
        Search rows, sampled from the fit rows.
    library : int
        Largest number of entries of a library.
    population, children : int
        Population size per island, and offspring per generation.
    max_size, pressure
        Largest number of nodes of an inner formula, and parsimony pressure: errors are multiplied
        by ``1 + pressure * size``.
    late_size, late_pressure
        The same after half of the time or of the patience without a short formula: what remains
        is noise, or needs many terms.
    """

    rows: int = 200
    library: int = 8000
    population: int = 300
    children: int = 240
    max_size: int = 30
    pressure: float = 0.04
    late_size: int = 45
    late_pressure: float = 0.01


class EditSearch:
    """Runs the islands and feeds one archive.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
    settings : EditSettings
    """

    def __init__(
        self,
        archive: Archive,
        columns: list[int],
        *,
        rng: np.random.Generator,
        settings: EditSettings | None = None,
    ) -> None:
        self.archive = archive
        self.settings = settings or EditSettings()
        self.random = random.Random(int(rng.integers(2**63)))  # noqa: S311
        n = len(archive.y)
        rows = np.sort(rng.permutation(n)[: self.settings.rows])
        self.X, self.y = np.ascontiguousarray(archive.X[rows]), archive.y[rows]
        self.weights = None if archive.weights is None else archive.weights[rows]
        self.variance = max(float(self.y.var()), np.finfo(float).tiny)
        self.columns = [j for j in columns if np.ptp(self.X[:, j]) > 0]
        self.rng = rng
        self.islands: list[Island] = []
        self._views: list[tuple[Tree | None, Transform]] | None = None
        self._libraries: dict[tuple[int, ...], Library] = {}

    @property
    def exact(self) -> bool:
        """Whether the archive holds a short formula that is exact on the fit rows."""
        return self.archive.law is not None

    def run(
        self,
        deadline: Deadline,
        *,
        starts: list[Tree] | None = None,
        tick: Callable[[], None] | None = None,
        patience: float = math.inf,
        length: Callable[[Candidate], float] | None = None,
    ) -> None:
        """Search until the deadline, an exact formula, or the patience is exhausted.

        Parameters
        ----------
        deadline : Deadline
        starts : list of Tree, optional
            Initial inner formulas (from the backbone and the ascent).
        tick : callable, optional
            Called after every generation (progress, callbacks).
        patience : float, default=inf
            Formulas tried without improvement of ``length`` before the search stops.
        length : callable, optional
            Criterion, such as the description length of a candidate; default: its loss.
        """
        if not self.columns:
            return
        self._populate(deadline, starts or [], tick)
        judge = length or (lambda candidate: candidate.loss)
        best, since = min(map(judge, self.archive.candidates)), self._tried()
        half = 0.5 * deadline.left()
        late = False
        while self.islands and not deadline.over and not self.exact:
            island = self._next_island()
            if not island.population:  # the time was over before its start
                island.start(deadline=deadline)
                if not island.population:
                    self.islands.remove(island)
                continue
            before = island.tried
            news = self._promote(island, island.step(self.settings.children, deadline=deadline))
            self.archive.tried["edit"] += island.tried - before
            reached = min((judge(c) for c in news if c is not None), default=math.inf)
            if reached < best:
                best, since = reached, self._tried()
            waited = self._tried() - since
            if waited > patience:
                break
            if not late and (waited > 0.5 * patience or deadline.left() < half):
                late = True
                self._widen()
            if island.rounds % 5 == 0:
                island.library.extend(island.blocks())
            if tick is not None:
                tick()

    def _widen(self) -> None:
        """Switch to the late settings, which allow larger formulas."""
        for island in self.islands:
            island.pressure = self.settings.late_pressure
            island.mutator.max_size = self.settings.late_size

    def _tried(self) -> int:
        return sum(island.tried for island in self.islands)

    def _populate(
        self, deadline: Deadline, starts: list[Tree], tick: Callable[[], None] | None
    ) -> None:
        """Create one island per view in which the target is defined, the identity first.

        A second run goes on with the views that the first did not reach.
        """
        if self.islands:
            self._promote(self.islands[0], self.islands[0].absorb(starts, deadline=deadline))
        if self._views is None:
            factor = monomial_factor(self.X, self.y)
            divisors = [None] if factor is None else [None, factor]
            self._views = [(divisor, seen) for divisor in divisors for seen in TRANSFORMS]
        while self._views and not (deadline.over or self.exact):
            divisor, transform = self._views.pop(0)
            seen_as = view(transform, self.X, self.y, self.weights, divisor)
            if seen_as is None:
                continue
            island = self._island(seen_as, divisor)
            self.islands.append(island)
            news = island.start(deadline=deadline)
            self.archive.tried["edit"] += island.tried
            if transform is IDENTITY and divisor is None:
                news += island.absorb(starts, deadline=deadline)
            self._promote(island, news)
            if tick is not None:
                tick()

    def _island(self, seen_as: TargetView, divisor: Tree | None) -> Island:
        taken = () if divisor is None else divisor.columns
        columns = [j for j in self.columns if j not in taken] or self.columns
        key = tuple(columns)
        if key not in self._libraries:
            self._libraries[key] = Library(
                self.X, columns, capacity=self.settings.library, rng=self.rng
            )
        mutator = Mutator(columns, self.random, self.settings.max_size)
        return Island(
            seen_as,
            self.X,
            self.variance,
            self._libraries[key],
            mutator,
            capacity=self.settings.population,
            pressure=self.settings.pressure,
        )

    def _next_island(self) -> Island:
        """The identity view one time in four, else better islands more often."""
        if self.random.random() < 0.25:
            return self.islands[0]
        ranked = sorted(self.islands, key=lambda i: i.best)
        place = 0
        while place + 1 < len(ranked) and self.random.random() < 0.45:
            place += 1
        return ranked[place]

    def _promote(self, island: Island, news: list[Individual]) -> list[Candidate | None]:
        """Convert individuals to formulas for ``y`` and refine them on all fit rows."""
        trees = [island.view.wrap(_folded(p)) if not _plain(island) else p.tree for p in news]
        return self.archive.refine(trees, "edit")


def _plain(island: Island) -> bool:
    return island.view.transform is IDENTITY and island.view.factor is None


def _folded(p: Individual) -> Tree:
    """The formula with scale and offset as nodes, as the inverse of a transform needs them."""
    tree = p.tree
    if abs(p.scale - 1.0) > 1e-9:
        tree = Tree.apply("mul", Tree.constant(p.scale), tree)
    if p.offset != 0.0:
        tree = Tree.apply("add", Tree.constant(p.offset), tree)
    return tree

"""Beyond the paper: an island model of genetic programming on several views of the target.

Islands (one per view of the target) vary their populations by random edits and by grafts from a
library; better islands are scheduled more often. The front of error and size of an island is
converted back to formulas for ``y``, refined on all fit rows and added to the archive.

Python only schedules: what an island does in a round is compiled code on arrays that holds no lock,
so islands run side by side on threads. Everything that they share changes between the rounds, in
the order of the islands, so that results depend on the seed and on the number of threads only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.library import Library
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.floor import EXACT
from equate_srbench.problem.target_views import (
    IDENTITY,
    TRANSFORMS,
    TargetView,
    Transform,
    monomial_factor,
    view,
)
from equate_srbench.refine.programs import Programs
from equate_srbench.runtime.clock import Deadline

if TYPE_CHECKING:  # loads compiled code
    from equate_srbench.edits.island import Island

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
    population : int
        Formulas kept per island and number of nodes.
    edits, grafts : int
        Random edits, and most grafts, of an island in a round.
    max_size, late_size : int
        Largest number of nodes of an inner formula, at first and after half of the time or of the
        patience without a short formula: what remains is noise, or needs many terms.
    """

    rows: int = 200
    library: int = 8000
    population: int = 12
    edits: int = 2000
    grafts: int = 120
    max_size: int = 30
    late_size: int = 45


class EditSearch:
    """Runs the islands and feeds one archive.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
    settings : EditSettings
    n_jobs : int, default=1
        Islands that run side by side on threads; -1 is one per processor.
    """

    def __init__(
        self,
        archive: Archive,
        columns: list[int],
        *,
        rng: np.random.Generator,
        settings: EditSettings | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.archive = archive
        self.settings = settings or EditSettings()
        self.n_jobs = n_jobs if n_jobs > 0 else len(os.sched_getaffinity(0))
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
        self._counted: dict[int, int] = {}

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
        """Search until the deadline, the patience is exhausted, or a short formula is exact.

        After a long exact formula only shorter ones are looked for. A second run goes on with the
        islands of the first.

        Parameters
        ----------
        deadline : Deadline
        starts : list of Tree, optional
            Initial inner formulas (from the backbone and the ascent).
        tick : callable, optional
            Called after every round (progress, callbacks).
        patience : float, default=inf
            Formulas fitted on all search rows without improvement of ``length`` before the search
            stops.
        length : callable, optional
            Criterion, such as the description length of a candidate; default: its loss.
        """
        if not self.columns:
            return
        self._populate(deadline, starts or [], tick)
        judge = length or (lambda candidate: candidate.loss)
        course = _Course(self, min(map(judge, self.archive.candidates)), patience, deadline)
        with ThreadPoolExecutor(self.n_jobs) as pool:  # leaving it waits for the round's end
            while self.islands and not deadline.over and course.goes_on():
                news = self._round(pool, deadline)
                course.note(min(map(judge, news), default=math.inf))
                if tick is not None:
                    tick()

    def _round(self, pool: ThreadPoolExecutor, deadline: Deadline) -> list[Candidate]:
        """Some islands make a step; what is new in the archive."""
        chosen = self._next_islands()

        def step(island: Island) -> None:
            island.step(self.settings.edits, self.settings.grafts, deadline=deadline)

        if len(chosen) == 1:
            step(chosen[0])
        else:
            for done in [pool.submit(step, island) for island in chosen]:
                done.result()
        news = [c for island in chosen for c in self._promote(island)]
        for island in chosen:
            if island.rounds % 5 == 0:
                island.library.extend(island.blocks())
        return [c for c in news if c is not None]

    def limit(self, size: int) -> None:
        """Set the largest number of nodes of new formulas on all islands."""
        for island in self.islands:
            island.population.limit = size

    @property
    def refined(self) -> int:
        """Number of formulas fitted on all search rows."""
        return sum(island.refined for island in self.islands)

    def _populate(
        self, deadline: Deadline, starts: list[Tree], tick: Callable[[], None] | None
    ) -> None:
        """Create one island per view in which the target is defined, the identity first.

        A second run goes on with the views that the first did not reach.
        """
        if self.islands and starts:
            self.islands[0].race(Programs(starts), 0, deadline=deadline)
            self._promote(self.islands[0])
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
            island.start(deadline=deadline)
            if transform is IDENTITY and divisor is None and starts:
                island.race(Programs(starts), 0, deadline=deadline)
            self._promote(island)
            if tick is not None:
                tick()

    def _island(self, seen_as: TargetView, divisor: Tree | None) -> Island:
        from equate_srbench.edits.island import Island
        from equate_srbench.edits.population import Population

        settings = self.settings
        taken = () if divisor is None else divisor.columns
        columns = [j for j in self.columns if j not in taken] or self.columns
        key = tuple(columns)
        if key not in self._libraries:
            self._libraries[key] = Library(self.X, columns, capacity=settings.library, rng=self.rng)
        population = Population(
            columns,
            largest=max(settings.max_size, settings.late_size),
            capacity=settings.population,
            seed=int(self.rng.integers(2**63)),
            floor=EXACT,
        )
        population.limit = settings.max_size
        own = np.random.default_rng(self.rng.integers(2**63))
        return Island(seen_as, self.variance, self._libraries[key], population, own)

    def _next_islands(self) -> list[Island]:
        """As many as there are threads; the identity view one time in four, else better ones."""
        ranked = sorted(self.islands, key=lambda i: i.promise)
        chosen: list[Island] = []
        while len(chosen) < min(self.n_jobs, len(self.islands)):
            place = 0
            while place + 1 < len(ranked) and self.rng.random() < 0.45:
                place += 1
            island = self.islands[0] if self.rng.random() < 0.25 else ranked[place]
            if island not in chosen:
                chosen.append(island)
        return chosen

    def _promote(self, island: Island) -> list[Candidate | None]:
        """Refine what is new on the front of an island on all fit rows."""
        found = self.archive.refine(island.news(), "edit")
        self.archive.tried["edit"] += island.looked - self._counted.get(id(island), 0)
        self._counted[id(island)] = island.looked
        return found


class _Course:
    """When a search goes on, and with formulas of which size.

    Parameters
    ----------
    search : EditSearch
    best : float
        Value of the criterion so far.
    patience : float
        Refined formulas without a better value after which the search stops.
    deadline : Deadline
    """

    def __init__(
        self, search: EditSearch, best: float, patience: float, deadline: Deadline
    ) -> None:
        self.search, self.patience, self.deadline = search, patience, deadline
        self._best, self._since = best, search.refined
        self._half, self._is_late = 0.5 * deadline.left(), False
        self._checked, self._shortest = 0, math.inf

    def note(self, reached: float) -> None:
        """A round has ended; its best value of the criterion."""
        if reached < self._best:
            self._best, self._since = reached, self.search.refined

    def goes_on(self) -> bool:
        """Whether there is another round; sets the largest size of its formulas."""
        search, waited = self.search, self.search.refined - self._since
        is_late = waited > 0.5 * self.patience or self.deadline.left() < self._half
        if is_late and not self._is_late and self._shortest == math.inf:
            search.limit(search.settings.late_size)
        self._is_late = self._is_late or is_late
        self._look_for_shorter()
        return not search.exact and waited <= self.patience

    def _look_for_shorter(self) -> None:
        """Limit new formulas to fewer nodes than the shortest exact one has."""
        archive = self.search.archive
        new = archive.candidates[self._checked :]
        self._checked = len(archive.candidates)
        shortest = min((c.inner.size for c in new if archive.is_exact(c)), default=math.inf)
        if shortest < self._shortest:
            self._shortest = shortest
            self.search.limit(max(1, int(shortest) - 1))

"""``FitPipeline``: the phases of a fit in order, on one archive, until the deadline."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equate_srbench.backbone import checkpoint
from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.enumeration.library_search import LibrarySearch
from equate_srbench.equate import pretrained
from equate_srbench.equate.neural import NeuralResult, propose
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.sympy.simplify import simplify, warm_up
from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_search import FamilySearch
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.decades import relative_weights
from equate_srbench.problem.randomness import looks_random
from equate_srbench.problem.selection import price_of_node
from equate_srbench.refine.snap import snap
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe
from equate_srbench.search.base import Search
from equate_srbench.search.grouped_search import GroupedSearch
from equate_srbench.search.shorten import pareto_front, shorten, shorten_front
from equate_srbench.search.starts import simple_formulas

#: Tables with fewer rows skip the neural part: there is too little to adapt to.
MIN_ROWS = 5
#: Shares of the time left that the phases before the edits may take on a busy machine. Their work
#: is counted, so that they rarely do.
FAMILIES_SHARE, LIBRARY_SHARE, FIRST_EDITS_SHARE, NEURAL_SHARE = 0.15, 0.25, 0.15, 0.35
#: The same of the search over groups of columns, which runs only where there are any.
GROUPED_SHARE = 0.25
#: Share of the time left for a search on relative errors, where the target spans many decades.
RELATIVE_SHARE = 0.25
#: Formulas of it that are shortened.
RELATIVE_FRONT = 4
#: Share of the time left that the neural part may take in processor time.
NEURAL_WORK = 0.25
#: Formulas of the first round of edits, which comes before the neural part.
FIRST_EDITS = 30_000
#: Formulas after a long exact one: within so many there may be a shorter one.
AFTER_EXACT = 60_000
#: Longest answer, in nodes, that is plausible for what it is: waiting for a better one may end.
PLAUSIBLE = 12
#: Noise is the same at all sizes: half as long formulas have at most this many times the loss, and
#: the longest no less than its inverse.
FLAT = 2.0
#: Formulas of at most this many nodes are not simplified further.
SHORT = 8
#: Tables with fewer rows get less neural work: their subsets overlap.
FULL_ROWS = 300


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Parameters of the phases, resolved once per fit.

    Attributes
    ----------
    backbone : str or path-like
    settings : EquateSettings
        Of the neural part, as the preset and the user have them.
    device : str
        Resolved by ``pick_device``.
    is_paper : bool
        Preset ``paper``: all of the time is the neural part's, whatever the table.
    chooses_parsimony : bool
        Whether the weight of simplicity is calibrated by what the backbone found.
    n_jobs : int
        Threads of the edits; -1 is one per processor.
    """

    backbone: str | os.PathLike[str]
    settings: EquateSettings
    device: str
    is_paper: bool
    chooses_parsimony: bool
    n_jobs: int = 1


class FitPipeline(Search):
    """The phases of a fit: families, library, edit, propose, align, ascend, edit, shorten.

    Parameters
    ----------
    archive : Archive
        On the fit rows.
    rng : numpy Generator
    options : PipelineOptions
    all_rows : ndarray of shape (n_all_rows, n_columns), optional
        As in ``Search``.
    """

    def __init__(
        self,
        archive: Archive,
        rng: np.random.Generator,
        options: PipelineOptions,
        all_rows: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(archive, rng, all_rows)
        self.options = options
        self._shortened: Candidate | None = None
        self._total = archive.deadline.left()

    def start(self) -> None:
        """A few simple formulas, whatever the time; not in the published method."""
        archive = self.archive
        if not (self.is_trivial or self.options.is_paper):
            archive.refine(simple_formulas(archive.X, archive.y), "family", deadline=Deadline())
            self.n_started = sum(archive.tried.values())

    def run(self, tick: Callable[[str], None]) -> None:
        """All phases; ``tick(phase)`` is called often. A short exact formula ends the search."""
        if self.is_trivial:
            return
        sources = self.options.settings.sources
        edits = self._edit_search() if "edits" in sources else None
        phases: list[Callable[[], None]] = []
        if "families" in sources:
            phases.append(lambda: self._solve(tick))
        if "library" in sources:
            phases.append(lambda: self._match(tick))
        if edits and "backbone" in sources:
            phases.append(lambda: self._edit_first(edits, tick))
        if edits and self.archive.is_wide:
            phases.append(lambda: self._search_relative(tick))
        if "backbone" in sources:
            phases.append(lambda: self._adapt(tick))
        if edits:
            phases.append(lambda: self._edit_last(edits, tick))
        for phase in phases:
            if self.archive.law is not None or self.archive.deadline.over:
                break
            phase()
            self._shorten_exact(tick)
        self._shorten(tick)

    def _shorten_exact(self, tick: Callable[[str], None]) -> None:
        """Shorten a long exact formula as soon as there is one: the short one ends the search."""
        archive = self.archive
        if self._shortened is None and archive.law is None and archive.is_exact(archive.best):
            self._shortened = archive.best
            self._shorten(tick)

    def _solve(self, tick: Callable[[str], None]) -> None:
        """Families that linear algebra solves."""
        archive = self.archive
        tick("families")
        FamilySearch(archive, list(range(archive.X.shape[1])), rng=self.rng).run(
            archive.deadline.within(FAMILIES_SHARE * archive.deadline.left()),
            tick=lambda: tick("families"),
        )

    def _match(self, tick: Callable[[str], None]) -> None:
        """All small formulas, and pairs of them."""
        archive = self.archive
        tick("library")
        library = LibrarySearch(
            archive, list(range(archive.X.shape[1])), rng=self.rng,
            resolution=archive.floor.largest_rounding(),
        )  # fmt: skip
        library.run(
            archive.deadline.within(LIBRARY_SHARE * archive.deadline.left()),
            tick=lambda: tick("library"),
        )
        if library.notes:
            self.notes["library"] = library.notes
        if archive.law is None:
            GroupedSearch(archive, list(range(archive.X.shape[1])), rng=self.rng).run(
                archive.deadline.within(GROUPED_SHARE * archive.deadline.left()),
                tick=lambda: tick("library"),
            )

    def _adapt(self, tick: Callable[[str], None]) -> None:
        """Phases 1 to 4 of the method."""
        archive, options = self.archive, self.options
        few = len(archive.y) < MIN_ROWS and not options.is_paper
        if few or not np.ptp(archive.X, axis=0).any():
            return
        tick("propose")
        settings, deadline = options.settings, archive.deadline
        if not options.is_paper:  # leave most of the time to the edits
            settings = for_rows(settings, len(archive.y))
            left = archive.deadline.left()
            settings = replace(settings, seconds=min(settings.seconds, NEURAL_WORK * left))
            deadline = deadline.within(NEURAL_SHARE * left)
        oom = OomSafe()
        (backbone,) = oom.run(
            "loading", lambda _, where: checkpoint.load(options.backbone, where), 1, options.device
        )
        propose(
            backbone,
            archive,
            settings,
            deadline=deadline,
            initial=pretrained.load(options.backbone) if settings.uses_pretrained else None,
            rng=self.rng,
            result=NeuralResult(rows=self.rows, seconds=self.seconds),
            tick=tick,
            before_scoring=self._calibrate_parsimony,
            oom=oom,
        )

    def _best_of(self, *sources: str, most: int = 60) -> list[Tree]:
        """The most accurate inner formulas of some sources."""
        found = [c for c in self.archive.candidates if c.source in sources]
        return [c.inner for c in sorted(found, key=lambda c: c.loss)[:most]]

    def _calibrate_parsimony(self) -> None:
        """Set the weight of simplicity to the trade-off that the choice of the answer makes here.

        The evaluator then learns, and the ascent climbs, what the answer will be chosen by.
        """
        if self.options.chooses_parsimony:
            archive, best = self.archive, self.choose("best")
            archive.calibrate_parsimony(
                best, price_of_node(best.tree, best.loss, archive.variance, archive.n_rows)
            )

    def _edit_search(self, archive: Archive | None = None) -> EditSearch:
        archive = archive or self.archive
        n, p = archive.X.shape
        settings = EditSettings(library=int(min(8000, 40 * n + 500 * (n >= 40))))
        return EditSearch(
            archive, list(range(p)), rng=self.rng, settings=settings, n_jobs=self.options.n_jobs
        )

    def _edit_first(self, edits: EditSearch, tick: Callable[[str], None]) -> None:
        """A short round of edits: many laws need no network."""
        deadline = self.archive.deadline
        soon = deadline.within(FIRST_EDITS_SHARE * deadline.left())
        self._edit(edits, soon, self._best_of("family", "library"), tick, most=FIRST_EDITS)

    def _search_relative(self, tick: Callable[[str], None]) -> None:
        """Families and edits on relative errors; what they find is judged by the user's loss."""
        archive, p = self.archive, self.archive.X.shape[1]
        weights = relative_weights(archive.y, archive.weights)
        found = Archive(
            archive.X, archive.y, weights,
            deadline=archive.deadline, floor=replace(archive.floor, weights=weights),
        )  # fmt: skip
        soon = archive.deadline.within(RELATIVE_SHARE * archive.deadline.left())
        FamilySearch(found, list(range(p)), rng=self.rng).run(soon, tick=lambda: tick("families"))
        if found.law is None:
            starts = self._best_of("family", "edit")
            edits = self._edit_search(found)
            edits.run(
                soon, starts=starts, tick=lambda: tick("edit"), patience=patience(len(archive.y))
            )
        for best in shorten_front(found, deadline=soon, most=RELATIVE_FRONT)[:1]:
            tree = snap(best.tree, archive.X, archive.y, weights, deadline=soon)
            found.add(tree, tree, mean_square(tree, archive.X, archive.y, weights), "shorten")
        self.notes["weights"] = "absolute and relative"
        archive.tried.update(found.tried)
        for candidate in pareto_front(found.candidates):
            self._add(candidate.tree, candidate.source)

    def _edit_last(self, edits: EditSearch, tick: Callable[[str], None]) -> None:
        """Edits until what is left of the time is needed to shorten."""
        deadline = self.archive.deadline
        rest = deadline.within(max(deadline.left() - min(0.12 * self._total, 3.0), 0.0))
        self._edit(edits, rest, self._best_of("backbone", "ascent", "family", "library"), tick)

    def _edit(
        self,
        edits: EditSearch,
        deadline: Deadline,
        starts: list[Tree],
        tick: Callable[[str], None],
        *,
        most: float = math.inf,
    ) -> None:
        """Edit until a short formula is exact, ``most`` are tried, or more would be in vain.

        A long exact formula is shortened at once, and ``AFTER_EXACT`` formulas later it is enough.
        Waiting for a better formula ends only where the answer is plausible; see ``_may_be_all``.
        """
        archive = self.archive
        end = archive.tried["edit"] + most

        def watch() -> None:
            nonlocal end
            tick("edit")
            before = self._shortened
            self._shorten_exact(tick)
            if self._shortened is not before:
                end = min(end, archive.tried["edit"] + AFTER_EXACT)
            if archive.law is not None or archive.tried["edit"] >= end:
                deadline.stop()

        if self._shortened is not None:
            end = min(end, archive.tried["edit"] + AFTER_EXACT)
        while not deadline.over and archive.law is None:
            begun = archive.tried["edit"]
            edits.run(
                deadline,
                starts=starts,
                tick=watch,
                patience=patience(len(archive.y)),
                length=self.length,
            )
            starts = []
            if archive.tried["edit"] == begun or self._may_be_all():
                return

    def _may_be_all(self) -> bool:
        """Whether the answer so far may be the law: it is exact, or short, or noise is left.

        Noise is what half as long formulas leave as well, what longer ones do not explain either,
        and what has no structure among the rows' neighbours and in a quadratic surface (see
        ``problem.randomness``).
        """
        archive, answer = self.archive, self.choose("best")
        if archive.is_exact(answer) or complexity(answer.tree) <= PLAUSIBLE:
            return True
        half = min(c.loss for c in archive.candidates if c.size <= 0.5 * answer.size)
        if half > FLAT * answer.loss or archive.best.loss * FLAT < answer.loss:
            return False
        return looks_random(archive.X, archive.y - evaluate(answer.tree, archive.X))

    def _shorten(self, tick: Callable[[str], None]) -> None:
        """Shorten what may become the answer, then snap the best's constants."""
        archive, deadline = self.archive, self.archive.deadline
        algebra = archive.is_exact(archive.best) and self._may_be_law(archive.best)
        if algebra:
            warm_up()
        if deadline.over:
            return
        shorten_front(archive, deadline=deadline, length=self.length, tick=lambda: tick("shorten"))
        tick("shorten")
        if algebra:
            self._simplify()
        best = self.choose("best")
        if best.tree.constants and not deadline.over:
            # a constant made simple saves log(n)/2 nats, worth this growth of the loss
            margin = math.log(max(archive.n_rows, 3.0)) / archive.n_rows
            tree = snap(best.tree, archive.X, archive.y, archive.weights,
                        margin=min(margin, 0.1), deadline=deadline)  # fmt: skip
            self._add(tree)

    def _simplify(self) -> None:
        """Simplify an exact formula with SymPy; approximations rarely have a shorter form."""
        archive, deadline = self.archive, self.archive.deadline
        best = self.choose("best")
        if not self._may_be_law(best):
            return
        tree = simplify(best.tree, archive.X, time_limit=min(2.0, 0.5 * deadline.left()))
        found = None if tree == best.tree else self._add(tree)
        if found is not None:
            shorten(archive, found, deadline=deadline)

    def _may_be_law(self, candidate: Candidate) -> bool:
        """Whether simplification is worthwhile: an exact fit of very few rows is chance."""
        return SHORT < complexity(candidate.tree) <= self.archive.n_rows / 3

    def _add(self, tree: Tree, source: str = "shorten") -> Candidate | None:
        """Add a formula with its constants as they are."""
        archive = self.archive
        loss = mean_square(tree, archive.X, archive.y, archive.weights)
        return archive.add(tree, tree, loss, source) if math.isfinite(loss) else None


def for_rows(settings: EquateSettings, n_rows: int) -> EquateSettings:
    """Scale the work down for small tables, by counts, so that results depend on the seed only."""
    share = min(1.0, n_rows / FULL_ROWS) ** 3
    counts = {
        name: max(1, round(share * getattr(settings, name)))
        for name in ("n_subsets", "epochs", "starts", "steps")
    }
    return replace(settings, **counts)


def patience(n_rows: int) -> int:
    """Number of formulas without a shorter description length after which the edits stop.

    Grows with a power of the rows: on a small table what a longer search finds is noise.
    """
    return int(max(500, 40 * n_rows, n_rows**2 / 10 * min(1.0, n_rows / FULL_ROWS)))

"""``GroupedSearch``: small formulas and edits over groups of columns instead of the columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from equate_srbench.edits.edit_search import EditSearch
from equate_srbench.enumeration.library_search import LibrarySearch
from equate_srbench.families.family_rows import FamilyRows, sampled
from equate_srbench.families.groups import grouped
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.shorten import pareto_front

#: Groups with more columns than this are left to the other searches.
MOST_COLUMNS = 2
#: Formulas that the edits look at for each way to group the columns.
EDITS = 30_000
#: Formulas of a group that are refined over the columns themselves.
MOST = 8


class GroupedSearch:
    """Searches laws of one or two groups of columns: ``y = m f(u)`` and ``y = f(u, v)``.

    A law of many columns that depends on them through one or two monomials (see
    ``families.groups``) is a law of one or two columns, which is small enough to be enumerated.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
    """

    def __init__(self, archive: Archive, columns: list[int], *, rng: np.random.Generator) -> None:
        self.archive, self.columns, self.rng = archive, columns, rng

    def run(self, deadline: Deadline, tick: Callable[[], None] | None = None) -> None:
        """Search every way to group the columns, until a short formula is exact.

        Parameters
        ----------
        deadline : Deadline
        tick : callable, optional
            Called often.
        """
        archive = self.archive
        rows = sampled(archive.X, archive.y, archive.weights, self.columns, self.rng)
        if len(rows.columns) < 2:
            return
        looks = [look for look in grouped(rows) if len(look.columns) <= MOST_COLUMNS]
        for i, look in enumerate(looks):
            if deadline.over or archive.law is not None:
                return
            share = deadline.left() / (len(looks) - i)
            self._search(look, deadline.within(share), tick or (lambda: None))

    def _search(self, look: FamilyRows, deadline: Deadline, tick: Callable[[], None]) -> None:
        """Search the formula of some groups, and refine the best over the columns."""
        found = Archive(look.X, look.y, look.weights, deadline=deadline)
        columns = list(look.columns)
        LibrarySearch(found, columns, rng=self.rng).run(deadline, tick=tick)
        if found.law is None:

            def watch() -> None:
                tick()
                if found.tried["edit"] >= EDITS:
                    deadline.stop()

            EditSearch(found, columns, rng=self.rng).run(deadline, tick=watch)

        def length(candidate: Candidate) -> float:
            tree, loss = candidate.tree, candidate.loss
            return description_length(tree, loss, found.variance, found.n_rows)

        for candidate in sorted(pareto_front(found.candidates), key=length)[:MOST]:
            self.archive.refine([look.written(candidate.tree)], candidate.source)

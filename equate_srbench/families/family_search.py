"""``FamilySearch``: all families on one table, the best proposals into the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import mean_square
from equate_srbench.expr.tree import Tree
from equate_srbench.families import polynomials, powers, products, ratios, ridge, waves
from equate_srbench.families.family_rows import MAX_ROWS, FamilyRows, Proposal, outliers_of, sampled
from equate_srbench.families.groups import grouped
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.selection import description_length
from equate_srbench.refine import Refiner
from equate_srbench.refine.snap import snap
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]
Family = Callable[[FamilyRows], list[Proposal]]

#: In order; a short exact formula ends the search.
FAMILIES: dict[str, Family] = {
    "polynomial": polynomials.propose,
    "ratio": ratios.propose,
    "power": powers.propose,
    "ridge": ridge.propose,
    "wave": waves.propose,
    "product": products.propose,
}
#: Proposals of a family that are refined on the sampled rows, and on all rows.
MOST, N_BEST = 24, 4
#: Fewest rows with anything to find.
MIN_ROWS = 5


class FamilySearch:
    """Proposes formulas of families that linear algebra solves.

    The work depends on the numbers of rows and columns, not on the clock.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
        Samples rows.
    families : sequence of str, optional
        Names in ``FAMILIES``; default all of them.
    """

    def __init__(
        self,
        archive: Archive,
        columns: list[int],
        *,
        rng: np.random.Generator,
        families: tuple[str, ...] = tuple(FAMILIES),
    ) -> None:
        self.archive, self.columns, self.rng = archive, columns, rng
        self.families = families

    @property
    def is_solved(self) -> bool:
        """Whether a short formula is exact, and not for want of rows."""
        return self.archive.law is not None

    def run(self, deadline: Deadline, tick: Callable[[], None] | None = None) -> None:
        """Run the families until a short formula is exact; ``tick`` is called after each.

        Parameters
        ----------
        deadline : Deadline
            A last resort: the families are short.
        tick : callable, optional
        """
        archive = self.archive
        if len(archive.y) < MIN_ROWS or not np.ptp(archive.y) > 0.0:
            return
        with np.errstate(all="ignore"):  # formulas are tried where they are not defined
            rows = sampled(archive.X, archive.y, archive.weights, self.columns, self.rng)
            if not rows.columns:
                return
            for look in self._looks(rows):
                self._pass(look.at(slice(MAX_ROWS)), deadline, tick)
                if archive.is_exact(archive.best) or deadline.over:
                    return

    def _looks(self, rows: FamilyRows) -> Iterator[FamilyRows]:
        """The rows as they are, with columns near 0, with groups of columns, without outliers."""
        centred = rows.centred()
        if centred is not None:
            yield centred
        yield from grouped(rows)
        yield rows
        outliers = outliers_of(rows)
        if outliers is not None and len(rows.y) - outliers.sum() >= MIN_ROWS:
            yield rows.at(~outliers)

    def _pass(self, rows: FamilyRows, deadline: Deadline, tick: Callable[[], None] | None) -> None:
        """One look of all families at some rows."""
        refiner = Refiner(rows.X, rows.y, rows.weights, check_input=False)
        for name in self.families:
            if deadline.over or self.is_solved:
                return
            try:
                proposals = FAMILIES[name](rows)
            except np.linalg.LinAlgError:  # no convergence: the table has nothing for this family
                continue
            self._keep([p.tree for p in proposals], refiner, rows, deadline)
            if tick is not None:
                tick()

    def _keep(
        self, trees: list[Tree], refiner: Refiner, rows: FamilyRows, deadline: Deadline
    ) -> None:
        """Refine the shortest descriptions on all rows, with simple numbers where these fit."""
        unique = list(dict.fromkeys(trees))[:MOST]
        if not unique:
            return
        fitted = refiner.fit(unique, max_steps=30, deadline=deadline)
        ranked = []
        for i, tree in enumerate(unique):
            loss = float(fitted.unexplained[i])
            if not np.isfinite(loss):
                continue
            length = description_length(fitted.tree(i), loss, 1.0, rows.n)
            inner = tree.with_constants(fitted.constants(i))
            if rows.factor is not None:  # an offset of the quotient is none of the target
                inner = Tree.apply("add", inner, Tree.constant(fitted.offset[i] / fitted.scale[i]))
            ranked.append((length, i, rows.written(inner)))
        ranked.sort(key=lambda entry: entry[:2])
        best = [tree for _, _, tree in ranked[:N_BEST]]
        for candidate in self.archive.refine(best, "family", max_steps=20, deadline=deadline):
            if candidate is not None and self.archive.is_exact(candidate):
                self._simplify(candidate, deadline)

    def _simplify(self, candidate: Candidate, deadline: Deadline) -> None:
        """Add an exact formula with simple numbers."""
        archive = self.archive
        tree = snap(candidate.tree, archive.X, archive.y, archive.weights,
                    refit=lambda tree, held: tree, deadline=deadline)  # fmt: skip
        loss = mean_square(tree, archive.X, archive.y, archive.weights)
        if np.isfinite(loss) and tree != candidate.tree:
            archive.add(tree, candidate.inner, loss, "family")

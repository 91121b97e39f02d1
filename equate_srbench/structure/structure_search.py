"""``StructureSearch``: a law falls apart, its parts are found alone, joined and refitted.

What a surrogate says about one part is noisy. So the small parts are found first, and the target of
the next is what the formulas of these leave of the rows themselves (*peeling*): ``y`` divided by
the other factors, or less the other summands. Where these have the right form, that is exact up to
their constants, and needs no surrogate. Joined formulas are refitted on the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product as combinations_of

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_search import FamilySearch
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.floor import EXACT
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline
from equate_srbench.structure import joining
from equate_srbench.structure.combinations import Combination, combinations
from equate_srbench.structure.decomposition import Decomposition, Part
from equate_srbench.structure.detectors import read
from equate_srbench.structure.surrogate import MAX_ROWS, Surrogate
from equate_srbench.structure.tidying import tidied

Array = NDArray[np.float64]
Tick = Callable[[], None]

#: Levels of parts within parts.
MAX_DEPTH = 3
#: Findings of one table that are followed.
BEAM = 2
#: Fewest rows with a structure to read, and most rows of a part's table.
MIN_ROWS = 20
PART_ROWS = 400
#: Error of a part's target, as a share of its variance, above which the part is left to the others.
LARGEST_FLOOR = 0.3
#: Error of a part's formula, in units of its floor, up to which the formula stands for the part.
FITS = 4.0
#: Floor of a part in the second round, as a share of the error of its first formula.
SECOND = 0.01
#: Forms of a part that are judged by what they leave, and evaluations of the likelihood for each.
JUDGED, JUDGING = 6, 30
#: Formulas of a part whose constants are made simple.
TIDIED = 2
#: Formulas of each part that are joined, and most joined formulas that are refitted.
FRONT, JOINED = 6, 64
#: Longest formula that ends a part's search at the floor: nodes, and more for each column.
SHORT, SHORT_PER_COLUMN = 1, 3
#: Error of a part's formula, as a share of the variance, that only rounding explains.
ROUNDING = 1e-14
#: Formulas that the edits try on a part without a shorter description, by its columns.
PATIENCE = {1: 2000, 2: 8000}
LONG_PATIENCE = 10000
#: Families that are tried on a part: those that take little time; waves where it is one column.
FAMILIES = ("polynomial", "ratio", "power", "ridge")
#: What the edits of a part search with.
SETTINGS = EditSettings(library=3000, edits=800, grafts=80)


@dataclass
class Table:
    """A table to find a formula for: the whole one, or a part's.

    Attributes
    ----------
    archive : Archive
    columns : tuple of int
        That may appear.
    depth : int
        0 for the whole.
    floor : float
        Error of the target itself, as a share of its variance: no formula is better.
    joined : bool
        Whether the formulas of its parts make one at the floor, however long.
    """

    archive: Archive
    columns: tuple[int, ...]
    depth: int = 0
    floor: float = EXACT
    joined: bool = False

    @property
    def solved(self) -> bool:
        """Whether a formula is exact, or one at the floor is short or joined."""
        a = self.archive
        longest = SHORT + SHORT_PER_COLUMN * len(self.columns)
        return (
            self.joined
            or a.is_exact(a.best)
            or any(
                c.loss <= self.floor * a.variance and complexity(c.tree) <= longest
                for c in a.candidates
            )
        )

    def length(self, candidate: Candidate) -> float:
        """Description length; a residual below the floor is worth nothing unless it is rounding."""
        a = self.archive
        is_rounding = candidate.loss <= ROUNDING * a.variance
        loss = candidate.loss if is_rounding else max(candidate.loss, self.floor * a.variance)
        return description_length(candidate.tree, loss, a.variance, a.n_rows)

    def front(self) -> list[Candidate]:
        """Best of each size that is more accurate than all shorter ones, shortest length first."""
        best: list[Candidate] = []
        for c in sorted(self.archive.candidates, key=lambda c: (c.size, c.loss)):
            if c.tree.columns and (not best or c.loss < 0.8 * best[-1].loss):
                best.append(c)
        return sorted(best, key=self.length)[:FRONT]


class StructureSearch:
    """Finds formulas of laws that fall apart.

    The work is bounded by counts; the deadline only cuts it.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
    """

    def __init__(self, archive: Archive, columns: list[int], *, rng: np.random.Generator) -> None:
        self.archive, self.rng = archive, rng
        self.columns = tuple(j for j in columns if np.ptp(archive.X[:, j]) > 0.0)
        #: What was found about the whole table, best first.
        self.findings: list[Decomposition] = []

    def run(self, deadline: Deadline, tick: Tick | None = None) -> None:
        """Search until a formula is exact, all findings were followed, or the deadline.

        Parameters
        ----------
        deadline : Deadline
        tick : callable, optional
            Called often.
        """
        self._deadline, self._tick = deadline, tick or (lambda: None)
        if len(self.columns) >= 2:
            with np.errstate(all="ignore"):
                self._take_apart(Table(self.archive, self.columns))

    def _over(self, table: Table) -> bool:
        self._tick()
        return self._deadline.over or table.solved

    def _solve(self, table: Table) -> None:
        """Families, then structure, then edits."""
        columns = list(table.columns)
        named = FAMILIES if len(columns) > 1 else (*FAMILIES, "wave")
        families = FamilySearch(table.archive, columns, rng=self.rng, families=named)
        families.run(self._deadline, tick=self._tick)
        if self._over(table):
            return
        if len(table.columns) >= 3 and table.depth < MAX_DEPTH:
            self._take_apart(table)
            if self._over(table):
                return
        soon = self._deadline.within(np.inf)

        def watch() -> None:
            if self._over(table):
                soon.stop()

        edits = EditSearch(table.archive, columns, rng=self.rng, settings=SETTINGS)
        edits.run(
            soon,
            starts=[c.inner for c in table.front() if c.source != "constant"],
            tick=watch,
            patience=PATIENCE.get(len(table.columns), LONG_PATIENCE),
            length=table.length,
        )

    def _take_apart(self, table: Table) -> None:
        """Follow the best findings."""
        archive = table.archive
        rows = self.rng.permutation(len(archive.y))[:MAX_ROWS]
        if len(rows) < MIN_ROWS or not np.ptp(archive.y[rows]) > 0.0:
            return
        try:
            reading = read(archive.X[rows], archive.y[rows], table.columns, self.rng)
        except np.linalg.LinAlgError:  # equal rows, or a target that is no function of the columns
            return
        if table.depth == 0:
            self.findings = reading.findings
        elif reading.findings:  # what was peeled off may have been exact
            table.floor = min(table.floor, max(reading.findings[0].error, EXACT))
        for finding in reading.findings[:BEAM]:
            if self._over(table):
                return
            self._follow(table, finding)
        if len(table.columns) >= 3 and not reading.findings:
            for combination in combinations(reading.joint)[:BEAM]:
                if self._over(table):
                    return
                self._combine(table, combination)

    def _combine(self, table: Table, combination: Combination) -> None:
        """Solve the table with two columns replaced by their combination."""
        archive = table.archive
        X = combination.added(archive.X)
        if not np.isfinite(X).all():
            return
        new = X.shape[1] - 1
        own = Archive(X, archive.y, archive.weights, deadline=self._deadline)
        columns = (*(j for j in table.columns if j not in combination.columns), new)
        sub = Table(own, columns, table.depth + 1, table.floor)
        self._solve(sub)
        self.archive.tried["structure"] += sum(sub.archive.tried.values())
        trees = [combination.resolved(c.inner, new) for c in sub.front()]
        archive.refine(trees, "structure", deadline=self._deadline)

    def _follow(self, table: Table, finding: Decomposition) -> None:
        """Solve the parts, the smallest first, each on what the others leave; then once more."""
        archive = table.archive
        parts = [p for p in self._sorted(finding) if self._is_known(table, finding, p)]
        if len(parts) < 2:
            return
        finding = replace(finding, parts=tuple(parts))
        idle = tuple(j for j in table.columns if not any(j in p.columns for p in parts))
        values = [part.values(archive.X) for part in parts]
        fronts: list[list[Tree]] = [[] for _ in parts]
        last = len(parts) - 1
        for round_ in range(2):
            for k, part in enumerate(parts):
                if self._over(table):
                    return
                columns = part.columns + (idle if k == last else ())
                sub = self._part_table(table, finding, k, values, tuple(sorted(columns)))
                if sub is None:
                    return
                if round_:  # the formula of the round before is at the floor, and may be wrong
                    sub.floor = max(SECOND * sub.floor, EXACT)
                self._solve(sub)
                self.archive.tried["structure"] += sum(sub.archive.tried.values())
                self._tidy(sub, finding.kind == "product")
                forms = joining.spellings(sub.front(), finding)
                if not forms:
                    return
                if not table.solved and len(forms) > 1 and k < last and not round_:
                    forms = self._by_what_they_leave(table, finding, k, forms)
                fronts[k] = (forms + fronts[k])[: 2 * FRONT]
                best = min(sub.archive.candidates, key=sub.length)
                if round_ or best.loss <= FITS * sub.floor * sub.archive.variance:
                    values[k] = evaluate(forms[0], archive.X)
            joined = self._join(table, finding, fronts)
            table.joined = archive.error <= table.floor
            if joined is None or table.solved:
                return
            values = joined

    def _by_what_they_leave(
        self, table: Table, finding: Decomposition, k: int, forms: list[Tree]
    ) -> list[Tree]:
        """Forms of a part, ordered by how well the other columns predict what they leave.

        The right form leaves a function of fewer columns, whatever the surrogate's errors were.
        """
        X, y = table.archive.X, table.archive.y
        rows = self.rng.permutation(len(y))[:MAX_ROWS]
        X, y = X[rows], y[rows]
        groups = [p.columns for i, p in enumerate(self._sorted(finding)) if i != k]
        groups = groups if finding.is_additive else [tuple(sorted(sum(groups, ())))]
        ranked, start = [], None
        for place, form in enumerate(forms[:JUDGED]):
            left = joining.left_by_one(y, evaluate(form, X), finding)
            if not np.isfinite(left).all() or not np.ptp(left) > 0.0:
                continue
            process = Surrogate(X, left, groups, start=start, evaluations=JUDGING)
            start = start or process.process.scales
            price = description_length(form, 1.0, 1.0, len(y))
            jacobian = 0.0
            if finding.kind == "product" and not finding.is_additive:
                jacobian = -float(np.log(np.abs(evaluate(form, X))).sum())
            ranked.append((price - process.evidence - jacobian, place))
        order = [place for _, place in sorted(ranked)]
        return [forms[i] for i in order] + [f for i, f in enumerate(forms) if i not in order]

    def _is_known(self, table: Table, finding: Decomposition, part: Part) -> bool:
        """Whether the surrogate says more about a part than that it is constant."""
        parts = self._sorted(finding)
        k, values = parts.index(part), [p.values(table.archive.X) for p in parts]
        own = self._part_table(table, finding, k, values, part.columns)
        return own is not None and own.floor < LARGEST_FLOOR

    @staticmethod
    def _sorted(finding: Decomposition) -> list[Part]:
        return sorted(finding.parts, key=lambda part: len(part.columns))

    def _tidy(self, table: Table, is_factor: bool) -> None:
        """Add the best formulas with simple numbers, which make what they leave exact."""
        a = table.archive
        for candidate in sorted(a.candidates, key=table.length)[:TIDIED]:
            for tree in tidied(candidate, a, table.floor, is_factor, self._deadline):
                loss = mean_square(tree, a.X, a.y, a.weights)
                if np.isfinite(loss):
                    a.add(tree, tree, loss, candidate.source)

    def _part_table(
        self,
        table: Table,
        finding: Decomposition,
        k: int,
        values: list[Array],
        columns: tuple[int, ...],
    ) -> Table | None:
        """What the other parts leave of the rows."""
        archive = table.archive
        target, weights = joining.left_by(archive.y, values, k, finding)
        usable = np.isfinite(target) & np.isfinite(weights) & (weights > 0.0)
        if archive.weights is not None:
            weights = weights * archive.weights
        rows = np.flatnonzero(usable)
        if len(rows) < 0.8 * len(target):
            return None
        rows = np.sort(self.rng.permutation(rows)[:PART_ROWS])
        target, weights = target[rows], weights[rows]
        weights = np.minimum(weights, 1e4 * np.median(weights))
        own = Archive(archive.X[rows], target, weights / weights.mean(), deadline=self._deadline)
        apart = values[k][rows] - target
        if finding.kind == "sum":  # parts are known up to an offset
            apart = apart - np.average(apart, weights=weights)
        spread = float(np.average(apart**2, weights=weights))
        floor = max(spread / own.variance, EXACT)
        return Table(own, columns, table.depth + 1, floor)

    def _join(
        self, table: Table, finding: Decomposition, fronts: Sequence[list[Tree]]
    ) -> list[Array] | None:
        """Refit the joined formulas on the rows; values of the parts of the best one."""
        if not all(fronts):
            return None
        ranked = sorted(
            combinations_of(*(range(len(front)) for front in fronts)), key=lambda c: (sum(c), c)
        )[:JOINED]
        chosen = [[fronts[k][i] for k, i in enumerate(places)] for places in ranked]
        trees = [joining.joined(parts, finding) for parts in chosen]
        refined = table.archive.refine(trees, "structure", deadline=self._deadline)
        known = [(table.length(c), i) for i, c in enumerate(refined) if c is not None]
        if not known:
            return None
        _, i = min(known)
        candidate = refined[i]
        assert candidate is not None
        return joining.part_values(candidate, chosen[i], finding, table.archive.X)

"""``LibrarySearch``: every small formula against every view of the target, before any random one.

Scale and offset are always fitted around a formula: "a formula of 7 nodes" means ``a f + b`` with 7
nodes in ``f``. Work is counted, not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import BLOCK, COMMON, PROBES, Enumeration, Ints
from equate_srbench.enumeration.inner_constants import Skeletons
from equate_srbench.enumeration.matching import nearest, standardised
from equate_srbench.enumeration.pairs import Planes, factors, planes, products_and_ratios, sums
from equate_srbench.enumeration.sieve import Passed, Sieve
from equate_srbench.enumeration.view_rows import ViewFit, ViewRows, affine, best_fits, scaled
from equate_srbench.expr.operators import BY_CODE, OPERATORS, Operator
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]
Stage = Callable[[Deadline], list[ViewFit]]


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """Counts that bound the work of ``LibrarySearch``.

    Attributes
    ----------
    rows : int
        Rows on which formulas are matched; the archive judges on all of them.
    stored, streamed : int
        Most formulas that are stored, and most that are looked at without being stored.
    matched : int
        Most stored formulas that are fitted by least squares.
    paired, summed : int
        Most formulas that are paired with one another as products and ratios, and as sums.
    heads, partners : int
        The plainest formulas, and how many each of them is paired with.
    skeletons, factors : int
        Most formulas with an inner constant, and most factors beside such formulas.
    columns : int
        Most columns; those of largest rank correlation with the target.
    """

    rows: int = 64
    stored: int = 1_000_000
    streamed: int = 14_000_000
    matched: int = 60_000
    paired: int = 3500
    summed: int = 2000
    heads: int = 300
    partners: int = 12_000
    skeletons: int = 30_000
    factors: int = 24
    columns: int = 12


#: Views in which factors and sums are looked for, and more inner constants are tried.
_MAIN_VIEWS = ("identity", "log", "square", "inverse", "log of minus", "inverse square")
#: Most formulas of a stage that are refined on all rows.
_MOST = 24
#: Starts with inner constants in most views, in the main ones, and in the identity.
_STARTS = (8, 40, 300)


class LibrarySearch:
    """Matches enumerated formulas, and pairs of them, with all views of the target.

    Parameters
    ----------
    archive : Archive
    columns : list of int
        Columns that may appear.
    rng : numpy Generator
        Samples rows.
    resolution : float, default=0.0
        Error of the target's values (half a unit of the last decimal).
    settings : LibrarySettings, optional

    Attributes
    ----------
    notes : list of str
        What was tried completely, in words.
    """

    def __init__(
        self,
        archive: Archive,
        columns: list[int],
        *,
        rng: np.random.Generator,
        resolution: float = 0.0,
        settings: LibrarySettings | None = None,
    ) -> None:
        self.archive, self.rng, self.resolution = archive, rng, resolution
        self.settings = settings or LibrarySettings()
        self.columns = _related(archive.X, archive.y, columns, self.settings.columns)
        self.notes: list[str] = []

    @property
    def is_solved(self) -> bool:
        """Whether a short formula is exact, and not for want of rows."""
        return self.archive.law is not None

    def run(self, deadline: Deadline, tick: Callable[[], None] | None = None) -> None:
        """Stage after stage until a short formula is exact; ``tick`` is called after each.

        Parameters
        ----------
        deadline : Deadline
            A last resort: the work is counted.
        tick : callable, optional
        """
        archive = self.archive
        if len(archive.y) < PROBES or not self.columns or not np.ptp(archive.y) > 0.0:
            return
        with np.errstate(all="ignore"):  # formulas are tried where they are not defined
            rows = self.rows = ViewRows.sampled(
                archive.X, archive.y, archive.weights, self.columns,
                n=self.settings.rows, resolution=self.resolution, rng=self.rng,
            )  # fmt: skip
            if not rows.n_views:
                return
            self.main = rows.named(_MAIN_VIEWS)
            self.some = slice(self.settings.rows // 2)  # enough to choose starts
            self.sieve = Sieve(rows.targets[:, :4], rows.errors[:, :4].max(axis=1))
            self.operators = OPERATORS
            if len(self.columns) > 2:
                self.operators = tuple(op for op in OPERATORS if op.name in COMMON)
            self.formulas = Enumeration(
                rows.X[:PROBES], self.columns, operators=self.operators,
                capacity=self.settings.stored,
            )  # fmt: skip
            for stage in self._stages():
                if deadline.over or self.is_solved:
                    return
                trees = [rows.for_target(fit) for fit in stage(deadline)]
                archive.refine(trees, "library", max_steps=20, deadline=deadline)
                if tick is not None:
                    tick()
            self._note()

    def _stages(self) -> Iterator[Stage]:
        """In order of the sizes of what they find."""
        while self.formulas.largest < 3 and self.formulas.grow():
            pass
        yield self._small
        while self.formulas.largest < 5 and self.formulas.grow():
            pass
        yield self._small
        yield self._oscillations
        yield self._constants
        while self.formulas.grow():
            pass
        yield self._larger
        yield self._products
        yield self._factors
        yield self._planes
        yield self._products_with_term
        yield self._factors_with_constants
        yield self._more_constants
        yield self._sums

    # -- formulas one by one ------------------------------------------------------------------

    def _small(self, deadline: Deadline) -> list[ViewFit]:
        """Least squares of the stored formulas in all views: the best of each size."""
        formulas, rows = self.formulas, self.rows
        count = min(len(formulas), self.settings.matched)
        unit = standardised(formulas.values_on(rows.X, count))[0]
        known = np.isfinite(unit[:, 0])
        fits = []
        for size in range(1, formulas.largest + 1):
            run = formulas.of_size(size)
            at = run.start + np.flatnonzero(known[run.start : min(run.stop, count)])
            if len(at):
                entries = unit[at]
                index, _ = nearest(entries, entries**2, rows.targets, rows.weights, 2)
                for v in range(rows.n_views):
                    trees = [formulas.tree(int(at[i])) for i in index[v]]
                    fits += rows.best(v, trees, 2, deadline)
        return fits

    def _oscillations(self, deadline: Deadline) -> list[ViewFit]:
        """Formulas of up to 4 nodes with an inner constant, on a fine grid."""
        return self._with_constants(deadline, OPERATORS, 4, is_fine=True)

    def _constants(self, deadline: Deadline) -> list[ViewFit]:
        """Formulas of up to 5 nodes with an inner constant."""
        return self._with_constants(deadline, OPERATORS, 5)

    def _more_constants(self, deadline: Deadline) -> list[ViewFit]:
        """Formulas of up to 6 nodes with an inner constant, over the operators of most laws."""
        names = (*COMMON, "pow")
        operators = tuple(op for op in OPERATORS if op.name in names)
        return self._with_constants(deadline, operators, 6)

    def _skeletons(self, operators: tuple[Operator, ...], largest: int) -> Skeletons:
        return Skeletons(
            self.rows.X[self.some], np.arange(PROBES), self.columns, operators=operators,
            most=self.settings.skeletons, largest=largest,
        )  # fmt: skip

    def _with_constants(
        self,
        deadline: Deadline,
        operators: tuple[Operator, ...],
        largest: int,
        *,
        is_fine: bool = False,
    ) -> list[ViewFit]:
        """The best skeletons of each view."""
        rows, some = self.rows, self.some
        most = np.full(rows.n_views, _STARTS[0])
        most[self.main] = _STARTS[1]
        most[rows.named(("identity",))] = _STARTS[2]
        starts = self._skeletons(operators, largest).starts(
            rows.targets[:, some], rows.weights[:, some], most.tolist(), is_fine=is_fine
        )
        fits = []
        for v in range(rows.n_views):
            trees = [start.tree for start in starts if start.target == v]
            fits += rows.best(v, trees, 3, deadline)
        return fits

    def _larger(self, deadline: Deadline) -> list[ViewFit]:
        """All stored formulas, and those of one node more, through the sieve."""
        formulas, rows = self.formulas, self.rows
        head = np.ascontiguousarray(formulas.values[:4])
        passed = []
        for begin in range(0, len(formulas), BLOCK):
            at, bits = self.sieve.passed(np.ascontiguousarray(head[:, begin : begin + BLOCK]))
            passed.append((begin + at, bits))
        found, bits = (np.concatenate(part) for part in zip(*passed, strict=True))
        trees = [
            (formulas.tree(int(found[i])), v)
            for i, v in zip(*rows.exact(formulas.values[:, found], bits), strict=True)
        ]
        if formulas.count_next() <= self.settings.streamed:
            trees += self._exact(self.sieve.of_jobs(formulas, formulas.next_jobs(once=True)))
        return self._fitted(trees, deadline)

    # -- pairs --------------------------------------------------------------------------------

    def _products(self, deadline: Deadline) -> list[ViewFit]:
        """Products and ratios of two small formulas through the sieve."""
        from equate_srbench.enumeration.enumeration_loops import UP_TO_SCALE

        settings = self.settings
        at = self._plainest(settings.partners, 5, UP_TO_SCALE)
        values = np.ascontiguousarray(self.formulas.values[:4, at])
        found = products_and_ratios(
            values, at, self.sieve, heads=settings.heads, most=settings.paired
        )
        trees = self._exact(found)
        return self._fitted(trees, deadline)

    def _factors(self, _: Deadline) -> list[ViewFit]:
        """Products and ratios where one factor has an offset: ``u * (a v + b)``."""
        from equate_srbench.enumeration.enumeration_loops import UP_TO_AFFINE, UP_TO_SCALE

        formulas, rows, main = self.formulas, self.rows, self.main
        u = self._plainest(self.settings.paired, 4, UP_TO_SCALE)
        v = self._plainest(self.settings.matched, 5, UP_TO_AFFINE)
        values = formulas.values
        found = factors(rows.targets[main, :4].T, values[:4, u], values[:4, v])
        fits = []
        for way, is_divided in (("mul", False), ("div", True)):
            some = found.is_divided == is_divided
            seen, first, second = main[found.target[some]], u[found.u[some]], v[found.v[some]]
            target = rows.targets[seen, :PROBES].T
            wanted = target * values[:, first] if is_divided else target / values[:, first]
            slope, intercept, error = affine(values[:, second], wanted)
            for i in np.flatnonzero(error < rows.allowed(seen)):
                inner = scaled(formulas.tree(int(second[i])), slope[i], intercept[i])
                tree = Tree.apply(way, inner, formulas.tree(int(first[i])))
                fits.append(ViewFit(int(seen[i]), tree))
        return _shortest(fits)

    def _factors_with_constants(self, deadline: Deadline) -> list[ViewFit]:
        """Products ``u * (a f + b)`` where ``f`` has up to 4 nodes and an inner constant."""
        from equate_srbench.enumeration.enumeration_loops import UP_TO_SCALE

        rows, formulas, seen = self.rows, self.formulas, self.rows.named(("identity",))
        if not len(seen):
            return []
        at = self._plainest(self.settings.factors, 3, UP_TO_SCALE)
        u = formulas.values_on(rows.X, int(at.max()) + 1)[:, at].T
        targets, weights = rows.targets[seen] / u, rows.weights[seen] * u**2
        good = np.isfinite(targets).all(axis=1) & np.isfinite(weights).all(axis=1)
        at, targets, weights = at[good], targets[good], weights[good]
        if not len(at):
            return []
        starts = self._skeletons(OPERATORS, 4).starts(
            targets[:, self.some], weights[:, self.some], [_STARTS[1]] * len(at), is_fine=True
        )
        found = []
        for t, i in enumerate(at.tolist()):
            trees = [start.tree for start in starts if start.target == t]
            for fit in best_fits(rows.X, targets[t], weights[t], trees, 1, deadline):
                found.append((fit[0], Tree.apply("mul", scaled(*fit[1:]), formulas.tree(i))))
        best = sorted(found, key=lambda pair: pair[0])[: _MOST // 2]
        return [ViewFit(int(seen[0]), tree) for _, tree in best]

    def _planes(self, _: Deadline) -> list[ViewFit]:
        """Sums ``a u + b v + c``."""
        return self._coplanar(is_product=False)

    def _products_with_term(self, _: Deadline) -> list[ViewFit]:
        """Products ``a u v + b u + c``."""
        return self._coplanar(is_product=True)

    def _coplanar(self, *, is_product: bool) -> list[ViewFit]:
        from equate_srbench.enumeration.enumeration_loops import UP_TO_AFFINE, UP_TO_SCALE

        # another offset of ``v`` is another ``b``, but one of ``u`` would be another product
        settings, fits = self.settings, []
        many = self._plainest(settings.partners, 5, UP_TO_AFFINE)
        heads = self._plainest(settings.summed, 4, UP_TO_SCALE) if is_product else many
        fits += self._exact_planes(
            heads[: settings.summed], many[: settings.summed], is_product=is_product
        )
        fits += self._exact_planes(heads[: settings.heads], many, is_product=is_product)
        return _shortest(fits)

    def _exact_planes(self, u_at: Ints, v_at: Ints, *, is_product: bool) -> list[ViewFit]:
        rows, values = self.rows, self.formulas.values
        u, v = (np.ascontiguousarray(values[:5, at]) for at in (u_at, v_at))
        found = planes(u, v, rows.targets[self.main, :5], is_product=is_product)
        fits = []
        for i, j, bits in zip(u_at[found.u], v_at[found.v], found.targets, strict=True):
            for t, seen in enumerate(self.main.tolist()):
                if bits >> t & 1:
                    target, left = rows.targets[seen, :PROBES], rows.allowed(np.array([seen]))[0]
                    share = found.share(values[:, i], values[:, j], target, left)
                    if share is not None:
                        first, second = self.formulas.tree(int(i)), self.formulas.tree(int(j))
                        fits.append(ViewFit(seen, found.tree(first, second, share)))
        return fits

    def _sums(self, deadline: Deadline) -> list[ViewFit]:
        """The sums of largest correlation in each view."""
        from equate_srbench.enumeration.enumeration_loops import UP_TO_AFFINE

        formulas, rows = self.formulas, self.rows
        at = self._plainest(self.settings.summed, 4, UP_TO_AFFINE)
        unit = standardised(formulas.values_on(rows.X, int(at.max()) + 1)[:, at])[0]
        known = np.flatnonzero(np.isfinite(unit[:, 0]))
        unit, at = np.ascontiguousarray(unit[known]), at[known]
        targets = standardised(rows.targets[self.main].T)[0]
        usable = np.isfinite(targets[:, 0])
        first, second, _ = sums(unit, targets[usable], 12)
        fits = []
        for row, v in enumerate(self.main[usable].tolist()):
            trees = [
                Planes.tree_of_sum(formulas.tree(int(at[i])), formulas.tree(int(at[j])), 1.0)
                for i, j in zip(first[row], second[row], strict=True)
                if i != j
            ]
            fits += rows.best(v, trees, 4, deadline)
        return fits

    # -- what they share ----------------------------------------------------------------------

    def _plainest(self, most: int, largest: int, sameness: int) -> Ints:
        """The formulas of fewest nodes and plainest operators, one of those that are the same."""
        from equate_srbench.enumeration import enumeration_loops as loops

        formulas = self.formulas
        begin, small = len(formulas.numbers), formulas.up_to(4)
        rank = formulas.rarity(COMMON)[begin : formulas.up_to(largest)]
        is_large = np.arange(begin, begin + len(rank)) >= small  # behind all of up to 4 nodes
        order = begin + np.lexsort((rank, is_large))[: 2 * most]
        table = np.zeros(1 << (2 * len(order) + 1).bit_length(), dtype=np.int64)
        kept = np.zeros(len(order) + 1, dtype=np.int64)
        block = np.ascontiguousarray(formulas.values[:, order])
        loops.distinct(block, len(order), sameness, table, kept)
        out: Ints = order[kept[1 : 1 + kept[0]]][:most]
        return out

    def _exact(self, passed: list[Passed]) -> list[tuple[Tree, int]]:
        """What of that which passed is exact on all probe rows, and in which view."""
        out, formulas = [], self.formulas
        for code in sorted({p.op.code for p in passed}):
            op, group = BY_CODE[code], [p for p in passed if p.op.code == code]
            places = [np.concatenate([p.first for p in group])]
            if op.arity == 2:
                places.append(np.concatenate([p.second for p in group]))
            bits = np.concatenate([p.targets for p in group])
            values = op.array(np, *(formulas.values[:, at] for at in places))
            for i, v in zip(*self.rows.exact(values, bits), strict=True):
                args = (formulas.tree(int(at[i])) for at in places)
                out.append((Tree.apply(op.name, *args), int(v)))
        return out

    def _fitted(self, trees: list[tuple[Tree, int]], deadline: Deadline) -> list[ViewFit]:
        """The shortest of formulas for views, with scales and offsets."""
        chosen = sorted(trees, key=lambda found: found[0].size)[:_MOST]
        return [fit for tree, v in chosen for fit in self.rows.best(int(v), [tree], 1, deadline)]

    def _note(self) -> None:
        """Say what was tried completely, after all stages and without an exact formula."""
        formulas, views = self.formulas, self.rows.n_views
        if not self.sieve.is_complete:
            return
        is_streamed = formulas.count_next() <= self.settings.streamed
        names = ", ".join(op.name for op in self.operators)
        what = "all operators" if len(self.operators) == len(OPERATORS) else names
        self.notes.append(
            f"No formula of up to {formulas.largest + is_streamed} nodes of {what}, of the numbers "
            f"1 and 2 and of {len(self.columns)} columns is exact up to scale and offset in any of "
            f"{views} views of the target."
        )


def _shortest(fits: list[ViewFit]) -> list[ViewFit]:
    return sorted(fits, key=lambda fit: fit.tree.size)[:_MOST]


def _related(X: Array, y: Array, columns: list[int], most: int) -> list[int]:
    """Columns that vary, at most the ``most`` of largest rank correlation with the target."""
    usable = [j for j in columns if np.ptp(X[:, j]) > 0.0]
    if len(usable) <= most:
        return usable

    def ranks(v: Array) -> Array:
        rank = np.argsort(np.argsort(v, kind="stable"), kind="stable")
        return rank.astype(np.float64) - 0.5 * len(v)

    target = ranks(y)
    score = [abs(float(ranks(X[:, j]) @ target)) for j in usable]
    return sorted(usable[i] for i in np.argsort(score, kind="stable")[-most:].tolist())

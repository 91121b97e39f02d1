"""``LibrarySearch``: every small formula against every view of the target, before any random one.

Scale and offset are always fitted around a formula: "a formula of 7 nodes" means ``a f + b`` with 7
nodes in ``f``. Work is counted, not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import BLOCK, COMMON, PROBES, Formulas, Ints, spread_rows
from equate_srbench.enumeration.inner_constants import Skeletons
from equate_srbench.enumeration.matching import nearest, standardised
from equate_srbench.enumeration.pairs import Planes, factors, planes, products_and_ratios, sums
from equate_srbench.enumeration.sieve import MAX_TARGETS, Passed, Sieve
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.operators import BY_CODE, BY_NAME, OPERATORS
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import EXACT, Archive
from equate_srbench.problem.target_views import (
    COMPOSITIONS,
    IDENTITY,
    TRANSFORMS,
    TargetView,
    view,
)
from equate_srbench.refine import Refiner
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]


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
    paired, factored, summed : int
        Most formulas that are paired as products and ratios, as factors with an offset inside, and
        as sums.
    skeletons : int
        Most formulas with an inner constant.
    columns : int
        Most columns; those of largest rank correlation with the target.
    """

    rows: int = 64
    stored: int = 1_000_000
    streamed: int = 14_000_000
    matched: int = 60_000
    paired: int = 3500
    factored: int = 3500
    summed: int = 2000
    skeletons: int = 12_000
    columns: int = 12


#: Views in which factors and sums are looked for.
_MAIN_VIEWS = ("identity", "log", "square", "inverse", "log of minus", "inverse square")
#: Squared residuals that count as none, as a share of the variance on the probe rows.
_EXACT_THERE = 1e-13
#: Most exact formulas of a stage that are refined on all rows.
_MOST = 24
#: Longest formula that ends the search when it is exact.
_SHORT = 20


@dataclass(frozen=True, slots=True)
class _Fit:
    """A formula ``f`` with ``g(y) ~ slope * f + intercept`` in view number ``view``."""

    view: int
    tree: Tree
    slope: float
    intercept: float


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
        archive = self.archive
        longest = min(_SHORT, archive.n_rows / 3.0)
        return any(
            c.loss <= EXACT * archive.variance and complexity(c.tree) <= longest
            for c in archive.candidates
        )

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
        with np.errstate(all="ignore"):
            self._prepare()
            if not self.views:
                return
            for stage in self._stages():
                if deadline.over or self.is_solved:
                    return
                stage(deadline)
                if tick is not None:
                    tick()

    def _stages(self) -> Iterable[Callable[[Deadline], None]]:
        while self.formulas.largest < 5 and self.formulas.grow():
            if self.formulas.largest in (3, 5):
                yield self._match
        if self.formulas.largest not in (3, 5):
            yield self._match
        yield self._inner_constants
        while self.formulas.grow():
            pass
        yield self._sift
        yield self._multiply
        yield self._factor
        yield self._add

    def _prepare(self) -> None:
        """Rows, views, and the smallest formulas."""
        archive, settings = self.archive, self.settings
        X, y = archive.X, archive.y
        views = (view(t, X, y, archive.weights) for t in (*TRANSFORMS, *COMPOSITIONS))
        self.views = [v for v in views if v is not None and np.isfinite(v.target).all()]
        self.views = self.views[:MAX_TARGETS]
        probes = spread_rows(X[:, self.columns], y, PROBES, self.rng)
        others = np.setdiff1d(self.rng.permutation(len(y))[: settings.rows], probes)
        self.rows = np.concatenate([probes, others])[: max(settings.rows, PROBES)]
        self.X = np.ascontiguousarray(X[self.rows])
        operators = OPERATORS
        if len(self.columns) > 2:
            operators = tuple(op for op in OPERATORS if op.name in COMMON)
        self.formulas = Formulas(
            X[probes], self.columns, operators=operators, capacity=settings.stored
        )
        if not self.views:
            return
        self.targets = np.stack([v.target[self.rows] for v in self.views])
        self.weights = np.stack([v.weights[self.rows] for v in self.views])
        slopes = np.stack([v.transform.slope(y[self.rows]) for v in self.views])
        self.errors = self.resolution * np.abs(slopes)
        self.sieve = Sieve(self.targets[:, :4], self.errors[:, :4].max(axis=1))

    # -- stages -----------------------------------------------------------------------------

    def _match(self, deadline: Deadline) -> None:
        """Least squares of all small formulas in all views; the best of each size go on."""
        formulas = self.formulas
        count = min(len(formulas), self.settings.matched)
        unit, centre, norm = standardised(formulas.values_on(self.X, count))
        known = np.isfinite(unit[:, 0])
        fits = []
        for size in range(1, formulas.largest + 1):
            run = formulas.of_size(size)
            at = run.start + np.flatnonzero(known[run.start : min(run.stop, count)])
            if not len(at):
                continue
            entries = unit[at]
            index, _ = nearest(entries, entries**2, self.targets, self.weights, 2)
            fits += [
                self._fitted(v, formulas.tree(int(at[i])))
                for v in range(len(self.views))
                for i in index[v]
            ]
        self._refine(fits, deadline)

    def _inner_constants(self, deadline: Deadline) -> None:
        """Formulas with one inner constant in all views."""
        some = slice(self.settings.rows // 2)  # enough to choose starts
        main = set(self._main_views().tolist())
        common = [op for op in OPERATORS if op.name in COMMON or op.name in ("cube", "pow")]
        fits = []
        for operators, largest, n_starts in ((OPERATORS, 4, 160), (common, 6, 40)):
            skeletons = Skeletons(
                self.X[some], np.arange(PROBES), self.columns, operators=operators,
                most=self.settings.skeletons, largest=largest,
            )  # fmt: skip
            starts = skeletons.starts(
                self.targets[:, some], self.weights[:, some],
                [n_starts if v in main else n_starts // 6 for v in range(len(self.views))],
                is_fine=largest == 4,
            )
            for v in range(len(self.views)):
                trees = [start.tree for start in starts if start.target == v]
                fits += self._best_of(v, trees, 3, deadline)
        self._refine(fits, deadline)

    def _sift(self, deadline: Deadline) -> None:
        """The largest stored formulas, and those of one node more, through the sieve."""
        formulas, settings = self.formulas, self.settings
        head = np.ascontiguousarray(formulas.values[:4])
        passed, exhausted = [], formulas.largest
        for begin in range(0, len(formulas), BLOCK):
            at, bits = self.sieve.passed(np.ascontiguousarray(head[:, begin : begin + BLOCK]))
            passed.append((begin + at, bits))
        found = np.concatenate([at for at, _ in passed])
        bits = np.concatenate([bits for _, bits in passed])
        keep, views = self._verify(formulas.values[:, found], bits)
        fits = [
            self._fitted(int(v), formulas.tree(int(found[i])))
            for i, v in zip(keep, views, strict=True)
        ]
        if formulas.count_next() <= settings.streamed:
            exhausted += 1
            fits += self._verified(self.sieve.of_jobs(formulas, formulas.next_jobs(once=True)))
        self._refine(fits, deadline)
        self.notes.append(
            f"no formula of up to {exhausted} nodes over {len(self.columns)} columns is exact, "
            f"up to scale and offset, in any of {len(self.views)} views of the target"
        )

    def _multiply(self, deadline: Deadline) -> None:
        """Products and ratios of two small formulas through the sieve."""
        at = self._chosen(self.settings.paired, 1)
        values = np.ascontiguousarray(self.formulas.values[:4, at])
        self._refine(self._verified(products_and_ratios(values, at, self.sieve)), deadline)

    def _factor(self, deadline: Deadline) -> None:
        """Products and ratios where one factor has an offset: ``u * (a v + b)``."""
        formulas = self.formulas
        u, v = self._chosen(self.settings.factored, 1), self._chosen(self.settings.matched, 2, largest=5)
        main = self._main_views()
        values = formulas.values
        found = factors(self.targets[main, :4].T, values[:4, u], values[:4, v])
        fits = []
        for way, is_divided in (("mul", False), ("div", True)):
            some = found.is_divided == is_divided
            view_at, first, second = main[found.target[some]], u[found.u[some]], v[found.v[some]]
            seen = self.targets[view_at, :PROBES].T
            wanted = seen * values[:, first] if is_divided else seen / values[:, first]
            slope, intercept, error = _affine(values[:, second], wanted)
            order = np.flatnonzero(error < self._allowed(view_at))[:_MOST]
            for i in order:
                inner = _folded(formulas.tree(int(second[i])), slope[i], intercept[i])
                other = formulas.tree(int(first[i]))
                tree = Tree.apply(way, inner, other)
                fits.append(_Fit(int(view_at[i]), tree, 1.0, 0.0))
        self._refine(fits, deadline)

    def _add(self, deadline: Deadline) -> None:
        """Sums ``a u + b v + c``, and products ``a u v + b u + c``, exact ones and the nearest."""
        at = self._chosen(self.settings.summed, 2)
        values = np.ascontiguousarray(self.formulas.values[:5, at])
        main = self._main_views()
        fits = []
        for is_product in (False, True):
            found = planes(values, self.targets[main, :5], is_product=is_product)
            fits += self._coplanar(found, at, main)
            self._refine_inner(fits, deadline)
            if self.is_solved:
                return
        self._refine_inner(self._nearest_sums(at, main), deadline)

    def _coplanar(self, found: Planes, at: Ints, main: Ints) -> list[_Fit]:
        """The pairs of planes that are exact on all probe rows."""
        formulas, out = self.formulas, []
        for i, j, bits in zip(at[found.u], at[found.v], found.targets, strict=True):
            u, v = formulas.values[:, i], formulas.values[:, j]
            A = np.column_stack([np.ones(PROBES), u, u * v if found.is_product else v])
            for t, view_at in enumerate(main):
                if not bits >> t & 1:
                    continue
                target = self.targets[view_at, :PROBES]
                (_, b, a), *_ = np.linalg.lstsq(A / np.abs(A).max(axis=0), target, rcond=None)
                scales = np.abs(A).max(axis=0)
                b, a = b / scales[1], a / scales[2]
                left = target - b * A[:, 1] - a * A[:, 2]
                if left.var() < self._allowed(np.array([view_at]))[0] * target.var():
                    first, second = formulas.tree(int(i)), formulas.tree(int(j))
                    out.append(_Fit(int(view_at), _joint(first, second, a / b, found), 1.0, 0.0))
        return sorted(out, key=lambda fit: fit.tree.size)[:_MOST]

    def _nearest_sums(self, at: Ints, main: Ints) -> list[_Fit]:
        """The sums of largest correlation in each view."""
        formulas = self.formulas
        unit, _, _ = standardised(formulas.values_on(self.X, int(at.max()) + 1)[:, at])
        known = np.flatnonzero(np.isfinite(unit[:, 0]))
        unit, at = np.ascontiguousarray(unit[known]), at[known]
        targets, _, _ = standardised(self.targets[main].T)
        usable = np.isfinite(targets[:, 0])
        first, second, _ = sums(unit, targets[usable].astype(np.float64), 12)
        fits = []
        for row, v in enumerate(main[usable]):
            for i, j in zip(first[row], second[row], strict=True):
                if i != j:
                    other = Tree.apply("mul", Tree.constant(1.0), formulas.tree(int(at[j])))
                    tree = Tree.apply("add", formulas.tree(int(at[i])), other)
                    fits.append(_Fit(int(v), tree, 1.0, 0.0))
        return fits

    # -- from matches to the archive ----------------------------------------------------------

    def _main_views(self) -> Ints:
        names = [v.transform.name for v in self.views]
        return np.array([names.index(name) for name in _MAIN_VIEWS if name in names])

    def _chosen(self, most: int, sameness: int, largest: int = 4) -> Ints:
        """The plainest formulas, of those equal up to scale (1) or scale and offset (2) one."""
        from equate_srbench.enumeration import enumeration_loops as loops

        formulas = self.formulas
        rank = formulas.rarity(COMMON)[: formulas.up_to(largest)]
        rank[: len(formulas.numbers)] = 99
        order = np.argsort(rank, kind="stable")[: 2 * most]
        order = order[rank[order] < 99]
        table = np.zeros(1 << (2 * len(order) + 1).bit_length(), dtype=np.int64)
        kept = np.zeros(len(order) + 1, dtype=np.int64)
        block = np.ascontiguousarray(formulas.values[:, order])
        loops.distinct(block, len(order), sameness, table, kept)
        out: Ints = order[kept[1 : 1 + kept[0]]][:most]
        return out

    def _verified(self, passed: list[Passed]) -> list[_Fit]:
        """What of the sieve's fits is exact on all probe rows, in order of size."""
        out = []
        values = self.formulas.values
        for code in sorted({p.op.code for p in passed}):
            op, group = BY_CODE[code], [p for p in passed if p.op.code == code]
            first = np.concatenate([p.first for p in group])
            second = np.concatenate([p.second for p in group])
            bits = np.concatenate([p.targets for p in group])
            arguments = (values[:, first], values[:, second])[: op.arity]
            keep, views = self._verify(op.array(np, *arguments), bits)
            for i, v in zip(keep, views, strict=True):
                args = [self.formulas.tree(int(at[i])) for at in (first, second)[: op.arity]]
                out.append(self._fitted(int(v), Tree.apply(op.name, *args)))
        return sorted(out, key=lambda fit: fit.tree.size)

    def _verify(self, values: Array, bits: Ints) -> tuple[Ints, Ints]:
        """Which columns of ``values`` (n_probes, n) are which views, up to scale and offset."""
        keep, views = [], []
        for v in range(len(self.views)):
            at = np.flatnonzero(bits & (np.int64(1) << np.int64(v)))
            target = np.repeat(self.targets[v, :PROBES, None], len(at), axis=1)
            _, _, error = _affine(values[:, at], target)
            good = np.flatnonzero(error < self._allowed(np.array([v])))
            keep.append(at[good])
            views.append(np.full(len(good), v))
        return np.concatenate(keep), np.concatenate(views)

    def _allowed(self, view_at: Ints) -> Array:
        """Largest error on the probe rows, as a share of the variance there."""
        targets = self.targets[view_at, :PROBES]
        out: Array = np.square(self.errors[view_at, :PROBES]).sum(axis=1)
        return _EXACT_THERE + 4.0 * out / (PROBES * targets.var(axis=1))

    def _fitted(self, v: int, tree: Tree) -> _Fit:
        """A formula without constants, with scale and offset on the matched rows."""
        fits = self._best_of(v, [tree], 1, Deadline())
        return fits[0] if fits else _Fit(v, tree, 0.0, 0.0)

    def _refine_inner(self, fits: list[_Fit], deadline: Deadline) -> None:
        """Fit in the view first, then on all rows."""
        out = []
        for v in sorted({fit.view for fit in fits}):
            out += self._best_of(v, [fit.tree for fit in fits if fit.view == v], 4, deadline)
        self._refine(out, deadline)

    def _best_of(self, v: int, trees: list[Tree], k: int, deadline: Deadline) -> list[_Fit]:
        """The formulas that fit a view best, on the matched rows, with their constants."""
        if not trees:
            return []
        refiner = Refiner(self.X, self.targets[v], self.weights[v], check_input=False)
        fitted = refiner.fit(trees, max_steps=25, deadline=deadline)
        best = np.argsort(fitted.unexplained, kind="stable")[:k]
        return [
            _Fit(
                v,
                trees[i].with_constants(fitted.constants(int(i))),
                float(fitted.scale[i]),
                float(fitted.offset[i]),
            )
            for i in best
            if np.isfinite(fitted.unexplained[i])
        ]

    def _refine(self, fits: list[_Fit], deadline: Deadline) -> None:
        """Refine formulas for the target on all rows."""
        trees = []
        for fit in fits:
            seen = self.views[fit.view]
            if seen.transform is IDENTITY and fit.slope != 0.0:
                trees.append(fit.tree)
            elif np.isfinite(fit.slope) and np.isfinite(fit.intercept):
                trees.append(seen.wrap(_folded(fit.tree, fit.slope, fit.intercept)))
        self.archive.refine(trees, "library", max_steps=20, deadline=deadline)


def _affine(values: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Slope, intercept, and the share of the variance left, of ``targets ~ a values + b``.

    Columns of both, shape (n_rows, n), are fitted one by one.
    """
    u, t = values - values.mean(axis=0), targets - targets.mean(axis=0)
    slope = (u * t).sum(axis=0) / (u * u).sum(axis=0)
    residual = t - slope * u
    error = (residual**2).sum(axis=0) / (t * t).sum(axis=0)
    return slope, targets.mean(axis=0) - slope * values.mean(axis=0), error


def _joint(u: Tree, v: Tree, share: float, found: Planes) -> Tree:
    """``u + share * v``, or ``u * (1 + share * v)``, to be scaled."""
    v = Tree.apply("mul", Tree.constant(float(share)), v)
    if found.is_product:
        return Tree.apply("mul", u, Tree.apply("add", Tree.constant(1.0), v))
    return Tree.apply("add", u, v)


def _folded(tree: Tree, slope: float, intercept: float) -> Tree:
    """``slope * tree + intercept`` without factors 1 and terms 0 that are so but for rounding."""
    if abs(slope - 1.0) > 1e-9:
        tree = Tree.apply("mul", Tree.constant(float(slope)), tree)
    if abs(intercept) > 1e-9 * (abs(slope) + abs(intercept)):
        tree = Tree.apply("add", Tree.constant(float(intercept)), tree)
    return tree


def _related(X: Array, y: Array, columns: list[int], most: int) -> list[int]:
    """Columns that vary, at most the ``most`` of largest rank correlation with the target."""
    usable = [j for j in columns if np.ptp(X[:, j]) > 0.0]
    if len(usable) <= most:
        return usable

    def ranks(v: Array) -> Array:
        out: Array = np.argsort(np.argsort(v, kind="stable"), kind="stable") - 0.5 * len(v)
        return out

    target = ranks(y)
    score = [abs(float(ranks(X[:, j]) @ target)) for j in usable]
    return sorted(usable[i] for i in np.argsort(score, kind="stable")[-most:])

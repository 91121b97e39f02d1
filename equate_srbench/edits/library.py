"""A library of small formulas and their values, searched by matrix products.

Fitting ``d ~ a u + b`` for every entry ``u`` and many target columns ``d`` at once takes three
matrix products, so a formula costs about a nanosecond per row, against about a microsecond in the
compiled kernel. The kernel refines the matches afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.enumeration import fill
from equate_srbench.enumeration.formulas import COMMON, PROBES, Enumeration, spread_rows
from equate_srbench.enumeration.matching import Matches, UnitTargets, nearest, standardised
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, OPERATORS
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

#: Entries chosen by what laws are made of; a larger library has all small formulas beside them.
PLAIN = 8000
#: Rows on which all entries are fitted, and how many times ``k`` go on to all rows.
LOOK_ROWS, LOOKED_AT = 32, 8


@dataclass(slots=True)
class _Arrays:
    """What is stored of the entries, with room for more.

    Attributes
    ----------
    values : ndarray of shape (room, n_rows)
        Unit columns.
    look, squares : ndarray of shape (room, n_look_rows)
        The same on a few rows, and squared.
    centre, norm : ndarray of shape (room,)
        Mean and deviation before.
    """

    values: Array32
    look: Array32
    squares: Array32
    centre: Array
    norm: Array

    @classmethod
    def of(cls, room: int, n_rows: int) -> _Arrays:
        """Empty arrays."""
        look = (room, min(n_rows, LOOK_ROWS))
        return cls(
            np.empty((room, n_rows), np.float32), np.empty(look, np.float32),
            np.empty(look, np.float32), np.empty(room), np.empty(room),
        )  # fmt: skip

    def _all(self) -> tuple[NDArray[Any], ...]:
        return self.values, self.look, self.squares, self.centre, self.norm

    def with_room(self, n: int) -> _Arrays:
        """These, or a copy with room for half as many more."""
        if n <= len(self.norm):
            return self
        out = _Arrays.of(n + n // 2 + 256, self.values.shape[1])
        for new, old in zip(out._all(), self._all(), strict=True):
            new[: len(old)] = old
        return out

    def put(
        self, at: int, unit: Array32, look: NDArray[np.int64], centre: Array, norm: Array
    ) -> None:
        """Write entries from number ``at`` on."""
        here = slice(at, at + len(unit))
        few = unit[:, look]
        for array, new in zip(self._all(), (unit, few, few**2, centre, norm), strict=True):
            array[here] = new

    def drop(self, begin: int, n: int, end: int) -> None:
        """Remove ``n`` entries from number ``begin`` on; those up to ``end`` move down."""
        for array in self._all():
            array[begin : end - n] = array[begin + n : end].copy()


class LazyTrees(Sequence[Tree]):
    """Trees of library entries; those of enumerated formulas are built when they are asked for."""

    def __init__(self) -> None:
        self._entries: list[Tree | tuple[Enumeration, int]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, i: int) -> Tree: ...
    @overload
    def __getitem__(self, i: slice) -> list[Tree]: ...
    def __getitem__(self, i: int | slice) -> Tree | list[Tree]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        entry = self._entries[i]
        if not isinstance(entry, Tree):
            formulas, at = entry
            entry = self._entries[i] = formulas.tree(at)
        return entry

    def append(self, entry: Tree | tuple[Enumeration, int]) -> None:
        """Add a tree, or the enumerated formula that it is."""
        self._entries.append(entry)

    def drop(self, begin: int, end: int) -> None:
        """Remove the entries ``begin .. end - 1``."""
        del self._entries[begin:end]


class Library:
    """Small formulas over given columns, with their values on the search rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Search rows.
    columns : sequence of int
        Columns that may appear.
    capacity : int, default=8000
        Largest number of entries; simpler ones come first. An entry takes 4 bytes a row and 300
        more. The first ``PLAIN`` are chosen by what laws are made of, the others are all formulas
        in order of size.
    rng : numpy Generator
        Samples the largest formulas when there are too many.
    """

    def __init__(
        self, X: Array, columns: list[int], *, capacity: int = 8000, rng: np.random.Generator
    ) -> None:
        self.X = X
        self.trees = LazyTrees()
        self._arrays = _Arrays.of(0, len(X))
        self._seen: set[bytes] = set()
        self._probe = np.linspace(0, len(X) - 1, min(len(X), LOOK_ROWS)).astype(int)
        #: Entries that are columns or products of powers of columns.
        self.products = fill(self, columns, min(capacity, PLAIN), rng)
        if capacity > PLAIN and len(X) >= PROBES:
            self._enumerate(columns, capacity, rng)
        #: Number of enumerated entries; those of ``extend`` follow them.
        self.enumerated = len(self)

    def __len__(self) -> int:
        return len(self.trees)

    @property
    def values(self) -> Array32:
        """Values of the entries as unit columns, shape (n_entries, n_rows)."""
        return self._arrays.values[: len(self)]

    def _enumerate(self, columns: list[int], capacity: int, rng: np.random.Generator) -> None:
        """Fill up with all formulas of one node, two nodes, ..., a sample of the largest."""
        X, usable = self.X, [j for j in columns if np.ptp(self.X[:, j]) > 0.0]
        operators = OPERATORS if len(usable) <= 2 else [BY_NAME[name] for name in COMMON]
        probes = spread_rows(X[:, usable], X[:, usable].sum(axis=1), PROBES, rng)
        formulas = Enumeration(X[probes], usable, operators=operators, capacity=12 * capacity)
        while len(formulas) < capacity and formulas.grow():
            pass
        rest = rng.permutation(formulas.of_size(formulas.largest))[:capacity]
        positions = np.r_[
            len(formulas.numbers) : formulas.up_to(formulas.largest - 1), np.sort(rest)
        ]
        formulas.forget_values()
        for block in np.array_split(positions, len(positions) // 16384 + 1):
            values = formulas.values_at(X, block).T

            def entry(i: int, block: NDArray[np.int64] = block) -> tuple[Enumeration, int]:
                return formulas, int(block[i])

            self.add(values, entry, capacity - len(self))

    def add(
        self, values: Array, make: Callable[[int], Tree | tuple[Enumeration, int]], limit: int
    ) -> list[int]:
        """Keep rows of ``values`` that are finite, not constant and not affine copies of others.

        Parameters
        ----------
        values : ndarray of shape (m, n_rows)
        make : callable
            Row number -> tree, or where it is enumerated; called only for rows that are kept.
        limit : int
            Largest number of rows kept, the first ones.

        Returns
        -------
        list of int
            The rows that were kept.
        """
        unit, centre, norm = standardised(values.T)
        with np.errstate(all="ignore"):
            probe = unit[:, self._probe]
            lead = np.take_along_axis(probe, (np.abs(probe) > 0.1).argmax(axis=1)[:, None], axis=1)
            keys = np.round(probe * np.sign(lead) * 2e4).astype(np.int32)
        kept: list[int] = []
        for i in np.flatnonzero(np.isfinite(unit[:, 0])):
            if len(kept) >= limit:
                break
            key = keys[i].tobytes()
            if key not in self._seen:
                self._seen.add(key)
                kept.append(int(i))
        if kept:
            self._arrays = self._arrays.with_room(len(self) + len(kept))
            self._arrays.put(len(self), unit[kept], self._probe, centre[kept], norm[kept])
            for row in kept:
                self.trees.append(make(row))
        return kept

    def extend(self, trees: list[Tree], limit: int = 2000) -> None:
        """Add building blocks found by the search; drops the oldest additions beyond ``limit``."""
        if trees:
            self.add(np.stack([evaluate(t, self.X) for t in trees]), trees.__getitem__, len(trees))
        surplus = len(self) - self.enumerated - limit
        if surplus > 0:  # additions follow the enumerated entries
            self._arrays.drop(self.enumerated, surplus, len(self))
            self.trees.drop(self.enumerated, self.enumerated + surplus)

    def match(
        self,
        targets: Array,
        weights: Array,
        *,
        k: int = 3,
        among: NDArray[np.int64] | None = None,
    ) -> Matches:
        """The ``k`` entries that fit each target best, with slope and intercept.

        All entries are fitted on a few rows by matrix products; the best on all rows.

        Parameters
        ----------
        targets : ndarray of shape (n_targets, n_rows)
            Finite where the weight is positive.
        weights : ndarray of shape (n_targets, n_rows)
            Not negative; rows of weight 0 are ignored.
        k : int, default=3
        among : ndarray of int, optional
            Entries to choose from; default: all.
        """
        chosen = slice(len(self)) if among is None else among
        look, squares = self._arrays.look[chosen], self._arrays.squares[chosen]
        few = targets[:, self._probe], weights[:, self._probe]
        index, _ = nearest(look, squares, *few, LOOKED_AT * k)
        index = index if among is None else among[index]
        found = UnitTargets.of(targets, weights).fits(self._arrays.values[index], k)
        index = np.take_along_axis(index, found.index, axis=1)
        norm = self._arrays.norm[index]  # entries are stored as unit columns
        slope = found.slope / norm
        return Matches(
            index, found.error, slope, found.intercept - slope * self._arrays.centre[index]
        )

    def sums(
        self, target: Array, weights: Array, *, starts: int = 8, terms: int = 8
    ) -> list[list[int]]:
        """Sums of the first entries ``t ~ a u + b v + ... + c``, by orthogonal least squares.

        Every step adds the entry with the least squared error after refitting all coefficients
        (Chen, Billings & Luo 1989). Each run starts from another entry, since the best single
        term need not be part of the best sum.

        Parameters
        ----------
        target, weights : ndarray of shape (n_rows,)
        starts : int, default=8
            Number of runs.
        terms : int, default=8
            Largest number of terms.

        Returns
        -------
        list of list of int
            Entries of each sum of two or more, in the order of selection.
        """
        w = weights / weights.sum()
        root = np.sqrt(w).astype(np.float32)
        values = self.values[:PLAIN]
        Z = (values - (values @ w.astype(np.float32))[:, None]) * root
        Z /= np.maximum(np.sqrt(np.einsum("ij,ij->i", Z, Z)), 1e-12)[:, None]
        t = ((target - w @ target) * np.sqrt(w)).astype(np.float32)
        t /= max(float(np.sqrt(t @ t)), 1e-30)
        direct = Z @ t
        out = []
        for first in _unlike(Z, np.argsort(-np.abs(direct), kind="stable"), starts):
            chosen, basis, fit = [first], np.zeros((0, Z.shape[1]), np.float32), direct.copy()
            spare = np.ones(len(Z), np.float32)  # squared length left of each entry
            error = 1.0
            for _ in range(terms - 1):
                q = Z[chosen[-1]] - (Z[chosen[-1]] @ basis.T) @ basis
                q /= np.sqrt(q @ q)
                basis = np.concatenate([basis, q[None]])
                along, reached = Z @ q, float(t @ q)
                fit -= reached * along
                spare -= along**2
                error -= reached**2
                gain = np.where(spare > 1e-2, fit**2 / np.maximum(spare, 1e-2), 0.0)
                best = int(gain.argmax())
                if not gain[best] > 1e-3 * error:
                    break
                chosen.append(best)
                out.append(list(chosen))
        return out

    def pairs(
        self, target: Array, weights: Array, *, heads: int = 250, k: int = 60
    ) -> list[tuple[int, int, float]]:
        """Best sums ``t ~ a u + b v + c`` of two of the first entries, by squared correlation.

        Parameters
        ----------
        target, weights : ndarray of shape (n_rows,)
        heads : int, default=250
            Number of best single entries that are paired with every entry.
        k : int, default=60
            Number of pairs returned.

        Returns
        -------
        list of (first, second, error)
        """
        w = (weights / weights.sum()).astype(np.float64)
        root = np.sqrt(w).astype(np.float32)
        t = target - w @ target
        t = t / max(np.sqrt(w @ t**2), 1e-300)
        values = self.values[:PLAIN]
        Z = (values - (values @ w.astype(np.float32))[:, None]) * root
        norm = np.sqrt((Z**2).sum(axis=1))
        good = norm > 1e-3
        Z = Z / np.where(good, norm, 1.0)[:, None]
        c = np.where(good, Z @ (root * t.astype(np.float32)), 0.0)
        top = np.argsort(-np.abs(c), kind="stable")[:heads]
        G = Z[top] @ Z.T  # correlations of heads with all
        gap = 1.0 - G**2
        joint = (c[top, None] ** 2 + c[None] ** 2 - 2.0 * c[top, None] * c[None] * G) / np.maximum(
            gap, 1e-3
        )
        joint[(gap < 1e-3) | ~good[None]] = 0.0
        flat = np.argpartition(-joint.ravel(), min(3 * k, joint.size - 1))[: 3 * k]
        flat = flat[np.argsort(-joint.ravel()[flat], kind="stable")]
        out: list[tuple[int, int, float]] = []
        seen: set[tuple[int, int]] = set()
        for f in flat:
            i, j = int(top[f // joint.shape[1]]), int(f % joint.shape[1])
            if (min(i, j), max(i, j)) not in seen:
                seen.add((min(i, j), max(i, j)))
                out.append((i, j, float(max(1.0 - joint.ravel()[f], 0.0))))
        return out[:k]


def _unlike(Z: Array32, ranked: NDArray[np.int64], k: int) -> list[int]:
    """The first ``k`` of ranked unit columns that are not nearly collinear with one another."""
    out: list[int] = []
    for i in ranked[: 40 * k]:
        if all(abs(float(Z[i] @ Z[j])) < 0.9 for j in out):
            out.append(int(i))
            if len(out) == k:
                break
    return out

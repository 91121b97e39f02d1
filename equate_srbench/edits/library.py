"""A library of small formulas and their values, searched by matrix products.

Fitting ``d ~ a u + b`` for every entry ``u`` and many target columns ``d`` at once takes three
matrix products, so a formula costs about a nanosecond per row, against about a microsecond in the
compiled kernel. The kernel refines the matches afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.enumeration import fill
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Matches:
    """The best library entries for each target column.

    Attributes
    ----------
    index : ndarray of shape (n_targets, k), int
        Entries of the library, best first.
    error : ndarray of shape (n_targets, k)
        Weighted squared residual as a fraction of the target column's variance.
    slope, intercept : ndarray of shape (n_targets, k)
        ``d ~ slope * u + intercept``.
    """

    index: NDArray[np.int64]
    error: Array
    slope: Array
    intercept: Array


class Library:
    """Small formulas over given columns, with their values on the search rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Search rows.
    columns : sequence of int
        Columns that may appear.
    capacity : int, default=8000
        Largest number of entries; simpler ones come first.
    rng : numpy Generator
        Samples the largest formulas when there are too many.
    """

    def __init__(
        self, X: Array, columns: list[int], *, capacity: int = 8000, rng: np.random.Generator
    ) -> None:
        self.X = X
        self.trees: list[Tree] = []
        self.values: Array32 = np.zeros((0, len(X)), np.float32)
        self.squares: Array32 = np.zeros((0, len(X)), np.float32)
        self._centre: Array = np.zeros(0)
        self._norm: Array = np.zeros(0)
        self._seen: set[bytes] = set()
        self._probe = np.linspace(0, len(X) - 1, min(len(X), 32)).astype(int)
        #: Entries that are columns or products of powers of columns.
        self.products = fill(self, columns, capacity, rng)
        #: Number of enumerated entries; those of ``extend`` follow them.
        self.enumerated = len(self.trees)

    def __len__(self) -> int:
        return len(self.trees)

    def add(self, values: Array, make: Callable[[int], Tree], limit: int) -> list[int]:
        """Keep rows of ``values`` that are finite, not constant and not affine copies of others.

        Parameters
        ----------
        values : ndarray of shape (m, n_rows)
        make : callable
            Row number -> tree; called only for rows that are kept.
        limit : int
            Largest number of rows kept, the first ones.

        Returns
        -------
        list of int
            The rows that were kept.
        """
        with np.errstate(all="ignore"):
            centre = values.mean(axis=1)
            unit = values - centre[:, None]
            norm = np.sqrt(np.einsum("ij,ij->i", unit, unit) / values.shape[1])
            good = np.isfinite(norm) & (norm > 1e-9 * np.abs(values).max(axis=1, initial=1e-300))
            unit /= norm[:, None]
            good &= np.abs(unit).max(axis=1) < 12.0  # a pole: one row would decide every match
            probe = unit[:, self._probe]
            lead = np.take_along_axis(probe, (np.abs(probe) > 0.1).argmax(axis=1)[:, None], axis=1)
            keys = np.round(probe * np.sign(lead) * 2e4).astype(np.int32)
        kept: list[int] = []
        for i in np.flatnonzero(good):
            if len(kept) >= limit:
                break
            key = keys[i].tobytes()
            if key not in self._seen:
                self._seen.add(key)
                kept.append(int(i))
        if kept:
            self.trees += [make(i) for i in kept]
            block = unit[kept].astype(np.float32)
            self.values = np.concatenate([self.values, block])
            self.squares = np.concatenate([self.squares, block**2])
            self._centre = np.concatenate([self._centre, centre[kept]])
            self._norm = np.concatenate([self._norm, norm[kept]])
        return kept

    def extend(self, trees: list[Tree], limit: int = 2000) -> None:
        """Add building blocks found by the search; drops the oldest additions beyond ``limit``."""
        if trees:
            self.add(np.stack([evaluate(t, self.X) for t in trees]), trees.__getitem__, len(trees))
        surplus = len(self.trees) - self.enumerated - limit
        if surplus > 0:  # additions follow the enumerated entries
            keep = np.r_[0 : self.enumerated, self.enumerated + surplus : len(self.trees)]
            self.trees = [self.trees[i] for i in keep]
            self.values, self.squares = self.values[keep], self.squares[keep]
            self._centre, self._norm = self._centre[keep], self._norm[keep]

    def match(
        self,
        targets: Array,
        weights: Array,
        *,
        k: int = 3,
        among: NDArray[np.int64] | None = None,
    ) -> Matches:
        """The ``k`` entries that fit each target column best, with slope and intercept.

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
        values = self.values if among is None else self.values[among]
        squares = self.squares if among is None else self.squares[among]
        w = weights / weights.sum(axis=1, keepdims=True)
        d = np.where(w > 0, targets, 0.0)
        mean = (w * d).sum(axis=1, keepdims=True)
        spread = np.sqrt((w * (d - mean) ** 2).sum(axis=1, keepdims=True))
        spread[spread == 0] = 1.0
        d = np.where(w > 0, (d - mean) / spread, 0.0)
        w32 = w.astype(np.float32)
        su = w32 @ values.T  # (n_targets, n_entries)
        suu = w32 @ squares.T
        sud = (w * d).astype(np.float32) @ values.T
        var = np.maximum(suu - su**2, 1e-7)
        gain = sud**2 / var
        k = min(k, gain.shape[1])
        index = np.argpartition(-gain, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(gain, index, axis=1), axis=1, kind="stable")
        index = np.take_along_axis(index, order, axis=1)
        best = np.take_along_axis(gain, index, axis=1).astype(np.float64)
        slope = np.take_along_axis(sud / var, index, axis=1).astype(np.float64)
        centre = np.take_along_axis(su, index, axis=1).astype(np.float64)
        if among is not None:
            index = among[index]
        slope = slope * spread
        intercept = mean - slope * centre
        norm = self._norm[index]  # entries are stored as unit columns
        return Matches(
            index,
            np.maximum(1.0 - best, 0.0),
            slope / norm,
            intercept - slope * self._centre[index] / norm,
        )

    def sums(
        self, target: Array, weights: Array, *, starts: int = 8, terms: int = 8
    ) -> list[list[int]]:
        """Sums of entries ``t ~ a u + b v + ... + c``, by orthogonal least squares.

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
        Z = (self.values - (self.values @ w.astype(np.float32))[:, None]) * root
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
        """Best sums of two entries ``t ~ a u + b v + c``, by joint squared correlation.

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
        mean = self.values @ w.astype(np.float32)
        Z = (self.values - mean[:, None]) * root
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

"""Least-squares fits ``target ~ a u + b`` of many entries to many targets by matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Ints = NDArray[np.int64]

#: Entries whose products with the targets are made at once: they stay in the processor's cache.
TILE = 4096
#: Least weighted variance of an entry of unit size: below is rounding.
SMALL = 1e-7


@dataclass(frozen=True, slots=True)
class Matches:
    """The best entries for each target.

    Attributes
    ----------
    index : ndarray of shape (n_targets, k), int
        Entries, best first.
    error : ndarray of shape (n_targets, k)
        Weighted squared residual as a fraction of the target's variance.
    slope, intercept : ndarray of shape (n_targets, k)
        ``target ~ slope * u + intercept``.
    """

    index: Ints
    error: Array
    slope: Array
    intercept: Array


@dataclass(frozen=True, slots=True)
class UnitTargets:
    """Targets of weighted mean 0 and variance 1.

    Attributes
    ----------
    values, weights : ndarray of shape (n_targets, n_rows)
        Weights of sum 1.
    mean, spread : ndarray of shape (n_targets, 1)
    """

    values: Array
    weights: Array
    mean: Array
    spread: Array

    @classmethod
    def of(cls, targets: Array, weights: Array) -> UnitTargets:
        """Standardise targets; rows of weight 0 may hold anything."""
        total = weights.sum(axis=1, keepdims=True)
        w = weights / np.where(total > 0.0, total, 1.0)
        d = np.where(w > 0, targets, 0.0)
        mean = (w * d).sum(axis=1, keepdims=True)
        spread = np.sqrt((w * (d - mean) ** 2).sum(axis=1, keepdims=True))
        spread[spread == 0] = 1.0
        return cls(np.where(w > 0, (d - mean) / spread, 0.0), w, mean, spread)

    def moments(self, entries: Array32, squares: Array32) -> tuple[Array32, Array32, Array32]:
        """Weighted means of entries, of their squares and of their products with the targets.

        Each of shape (n_targets, n_entries); ``entries`` and ``squares`` (n_entries, n_rows).
        """
        w = self.weights.astype(np.float32)
        d = (self.weights * self.values).astype(np.float32)
        return w @ entries.T, w @ squares.T, d @ entries.T

    def errors(self, entries: Array32) -> Array32:
        """Share of each target's variance that each entry leaves, (n_targets, n_entries)."""
        mean, square, product = self.moments(entries, entries**2)
        spread = np.maximum(square - mean**2, np.float32(SMALL))
        out: Array32 = np.maximum(np.float32(1.0) - product**2 / spread, np.float32(0.0))
        return out

    def fits(self, entries: Array32, k: int) -> Matches:
        """The ``k`` best of the entries of each target, shape (n_targets, n, n_rows).

        ``index`` of the matches counts within each target's entries.
        """
        u = entries.astype(np.float64)
        mean = np.einsum("tr,tnr->tn", self.weights, u)
        square = np.einsum("tr,tnr,tnr->tn", self.weights, u, u)
        product = np.einsum("tr,tnr->tn", self.weights * self.values, u)
        spread = np.maximum(square - mean**2, SMALL)
        gain = product**2 / spread
        index = np.argsort(-gain, axis=1, kind="stable")[:, :k]

        def best(array: Array) -> Array:
            return np.take_along_axis(array, index, axis=1)

        slope = best(product / spread) * self.spread
        error = np.maximum(1.0 - best(gain), 0.0)
        return Matches(index, error, slope, self.mean - slope * best(mean))


def nearest(
    entries: Array32, squares: Array32, targets: Array, weights: Array, k: int
) -> tuple[Ints, Array32]:
    """The ``k`` entries that fit each target best up to scale and offset.

    Parameters
    ----------
    entries, squares : ndarray of shape (n_entries, n_rows)
        Values of about unit size, and their squares.
    targets, weights : ndarray of shape (n_targets, n_rows)
    k : int

    Returns
    -------
    index : ndarray of shape (n_targets, k)
        Best first.
    error : ndarray of shape (n_targets, k)
        Share of the target's variance that is left.
    """
    from equate_srbench.enumeration import enumeration_loops as loops

    k, unit = min(k, len(entries)), UnitTargets.of(targets, weights)
    index = np.zeros((len(targets), k), dtype=np.int64)
    gain = np.full((len(targets), k), -1.0, dtype=np.float32)
    for begin in range(0, len(entries), TILE):
        tile = slice(begin, begin + TILE)
        loops.best_entries(*unit.moments(entries[tile], squares[tile]), begin, index, gain)
    return index, np.maximum(np.float32(1.0) - gain, np.float32(0.0))


def standardised(values: Array) -> tuple[Array32, Array, Array]:
    """Columns of shape (n_rows, n) as unit rows (n, n_rows), with their means and deviations.

    Rows of NaN stand for those that are constant, undefined, or have a pole: one row of the table
    would decide every match.
    """
    with np.errstate(all="ignore"):
        centre = values.mean(axis=0)
        unit = values - centre
        norm = np.sqrt(np.einsum("ij,ij->j", unit, unit) / len(values))
        unit /= norm
        good = np.isfinite(norm) & (norm > 1e-9 * np.abs(values).max(axis=0, initial=1e-300))
        good &= np.abs(unit).max(axis=0, initial=0.0) < 12.0
        unit[:, ~good] = np.nan
    return np.ascontiguousarray(unit.T, dtype=np.float32), centre, norm

"""Products, ratios and sums of two formulas that are a view of the target.

No pair is fitted that does not fit. Products and ratios up to scale and offset pass through a
sieve; ``u * (a v + b)`` is found by looking up ``y / u`` among the ``v`` ("meet in the middle");
for ``a u + b v + c`` and ``a u v + b u + c`` the term ``b u`` is eliminated from the differences of
five rows, and what is left must be the target's up to a factor. Sums that are only near come from
correlations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import BLOCK, Ints
from equate_srbench.enumeration.sieve import Passed, Sieve, ratios
from equate_srbench.expr.operators import BY_NAME
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

#: Cells along a ratio when factors are looked up, and most formulas of a cell: a fuller one tells
#: nothing apart.
_FINE, _CROWD = 1 << 18, 8
#: First terms whose correlations with all others are computed at once.
_HEADS = 256


def products_and_ratios(
    values: Array, positions: Ints, sieve: Sieve, *, heads: int, most: int
) -> list[Passed]:
    """Pairs with ``y = a u v + b`` or ``y = a u / v + b`` in some view.

    Parameters
    ----------
    values : ndarray of shape (4, n)
        On the rows of the sieve.
    positions : ndarray of int, shape (n,)
        Names of the formulas in the result.
    sieve : Sieve
    heads, most : int
        The first ``heads`` are paired with all formulas, the first ``most`` with one another.
    """
    out = []
    mul, div = BY_NAME["mul"], BY_NAME["div"]
    ways = ((mul, False), (div, False), (div, True))
    for i, here in enumerate(positions[:most]):
        end = len(positions) if i < heads else most
        for begin in range(i, end, BLOCK):
            run = slice(begin, min(begin + BLOCK, end))
            one, others, there = values[:, i, None], values[:, run], positions[run]
            with np.errstate(all="ignore"):
                blocks = (one * others, one / others, others / one)
            for block, (op, is_swapped) in zip(blocks, ways, strict=True):
                at, bits = sieve.passed(block)
                if len(at):
                    u, v = np.full(len(at), here), there[at]
                    out.append(Passed(op, v, u, bits) if is_swapped else Passed(op, u, v, bits))
    return out


@dataclass(frozen=True, slots=True)
class Factors:
    """``t = u * (a v + b)``, or ``(a v + b) / u`` where ``is_divided``, for target number ``t``.

    Attributes
    ----------
    target, u, v : ndarray of int, shape (n,)
    is_divided : ndarray of bool, shape (n,)
    """

    target: Ints
    u: Ints
    v: Ints
    is_divided: NDArray[np.bool_]


def factors(targets: Array, u: Array, v: Array) -> Factors:
    """Pairs ``u, v`` with ``t = u * (a v + b)`` or ``t = (a v + b) / u`` on four rows.

    Parameters
    ----------
    targets : ndarray of shape (4, n_targets)
    u, v : ndarray of shape (4, n)
        Formulas; those of ``v`` differ by more than scale and offset.
    """
    with np.errstate(all="ignore"):
        wanted = np.stack([targets[:, :, None] / u[:, None], targets[:, :, None] * u[:, None]], 1)
    shape = wanted.shape[1:]
    keys = _keys(ratios(v), 0.0)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    names = np.arange(int(np.prod(shape)))
    sought = ratios(wanted.reshape(4, -1))
    usable = np.isfinite(sought).all(axis=0) & (np.abs(sought) < 0.999).all(axis=0)
    usable &= (np.abs(sought) > 1e-3).any(axis=0)
    sought, names = sought[:, usable], names[usable]
    found: list[tuple[Ints, Ints]] = []
    for half_p in (-0.5, 0.5):  # the four cells around each pair of ratios
        for half_q in (-0.5, 0.5):
            key = _keys(sought, np.array([[half_p], [half_q]]))
            begin = np.searchsorted(keys, key)
            count = np.searchsorted(keys, key, side="right") - begin
            hit = np.flatnonzero((count > 0) & (count <= _CROWD))
            for k in range(int(count[hit].max(initial=0))):
                some = hit[count[hit] > k]
                found.append((names[some], order[begin[some] + k]))
    name = np.concatenate([n for n, _ in found]) if found else np.zeros(0, dtype=np.int64)
    partner = np.concatenate([p for _, p in found]) if found else np.zeros(0, dtype=np.int64)
    way, target, first = np.unravel_index(name, shape)
    return Factors(target, first, partner, way == 1)


def _keys(ratio: Array, shift: Array | float) -> Ints:
    """One number for each pair of ratios: their cells; -1 where they are not finite."""
    known = np.isfinite(ratio).all(axis=0)
    cell = np.floor((np.where(known, ratio, 0.0) + 1.0) * 0.5 * _FINE + shift).astype(np.int64)
    # a cell as wide as the distance that is allowed: neighbours are looked up by shifts
    return np.where(known, cell[0] * (2 * _FINE) + cell[1], -1)


@dataclass(frozen=True, slots=True)
class Planes:
    """``t = a w + b u + c`` where ``w`` is ``v``, or ``u v`` if ``is_product``.

    Attributes
    ----------
    u, v, targets : ndarray of int, shape (n,)
        Formulas, and a bit for each target.
    is_product : bool
    """

    u: Ints
    v: Ints
    targets: Ints
    is_product: bool

    def share(self, u: Array, v: Array, target: Array, most: float) -> float | None:
        """``a / b`` by least squares on more rows; None if more is left than ``most`` allows.

        Parameters
        ----------
        u, v, target : ndarray of shape (n_rows,)
        most : float
            Largest share of the target's variance that may be left.
        """
        A = np.column_stack([np.ones(len(u)), u, u * v if self.is_product else v])
        sizes = np.abs(A).max(axis=0)
        c, b, a = np.linalg.lstsq(A / sizes, target, rcond=None)[0] / sizes
        left = target - c - b * A[:, 1] - a * A[:, 2]
        return float(a / b) if left.var() < most * target.var() and b != 0.0 else None

    def tree(self, u: Tree, v: Tree, share: float) -> Tree:
        """``u + share * v``, or ``u * (1 + share * v)``: scale and offset go around it."""
        if not self.is_product:
            return self.tree_of_sum(u, v, share)
        factor = Tree.apply("mul", Tree.constant(share), v)
        return Tree.apply("mul", u, Tree.apply("add", Tree.constant(1.0), factor))

    @staticmethod
    def tree_of_sum(u: Tree, v: Tree, share: float) -> Tree:
        """``u + share * v``."""
        return Tree.apply("add", u, Tree.apply("mul", Tree.constant(share), v))


def planes(u: Array, v: Array, targets: Array, *, is_product: bool) -> Planes:
    """Pairs ``u, v`` with ``t = a v + b u + c``, or ``t = a u v + b u + c``, on five rows.

    Parameters
    ----------
    u, v : ndarray of shape (5, n)
        For sums ``u`` are the first of ``v``: each pair of them is taken once.
    targets : ndarray of shape (n_targets, 5)
    is_product : bool
    """
    from equate_srbench.enumeration import enumeration_loops as loops

    order, shares, left = _eliminated(u[1:] - u[0], targets[:, 1:] - targets[:, :1])
    differences = v[1:] - v[0]
    kept, bits = np.zeros((2, v.shape[1] + 1), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    found = [(none, none, none)]
    for i in np.flatnonzero(np.isfinite(left).any(axis=(1, 2))):
        if is_product:
            products = v * u[:, i, None]
            differences = products[1:] - products[0]
        begin = 0 if is_product else int(i) + 1
        loops.coplanar(differences, begin, order[i], shares[i], left[i], kept, bits)
        some = slice(1, 1 + kept[0])
        found.append((np.full(kept[0], i), kept[some].copy(), bits[some].copy()))
    first, second, passed = (np.concatenate(part) for part in zip(*found, strict=True))
    return Planes(first, second, passed, is_product)


def _eliminated(differences: Array, targets: Array) -> tuple[Ints, Array, Array]:
    """For each formula: rows, the largest difference first; shares of it; what targets keep.

    Shapes (n, 4), (n, 3) and (n, n_targets, 3); unit size, and NaN where nothing but rounding is
    left.
    """
    order = np.argsort(-np.abs(differences), axis=0, kind="stable")  # (4, n)
    ordered = np.take_along_axis(differences, order, axis=0)
    with np.errstate(all="ignore"):
        shares = ordered[1:] / ordered[0]
        moved = targets[:, order]  # (n_targets, 4, n)
        left = moved[:, 1:] - shares * moved[:, :1]
        size = np.abs(left).sum(axis=1, keepdims=True)
        size[~(size > 1e-8 * np.abs(moved).sum(axis=1, keepdims=True))] = np.nan
        left = left / size
    return (
        np.ascontiguousarray(order.T),
        np.ascontiguousarray(shares.T),
        np.ascontiguousarray(left.transpose(2, 0, 1)),
    )


def sums(unit: Array32, targets: Array32, k: int) -> tuple[Ints, Ints, Array32]:
    """The best pairs ``t = a u + b v + c`` for each target, by joint correlation.

    Parameters
    ----------
    unit : ndarray of shape (n, n_rows)
        Formulas of mean 0 and mean square 1.
    targets : ndarray of shape (n_targets, n_rows)
        Likewise.
    k : int
        Number of pairs, no two with the same first term.

    Returns
    -------
    first, second : ndarray of int, shape (n_targets, k)
    error : ndarray of shape (n_targets, k)
        Share of the target's mean square that is left; exact to about 1e-5.
    """
    from equate_srbench.enumeration import enumeration_loops as loops

    n, rows = unit.shape
    along = np.ascontiguousarray(targets @ unit.T / np.float32(rows))
    index = np.zeros((len(targets), n), dtype=np.int64)
    gain = np.zeros((len(targets), n), dtype=np.float32)
    for begin in range(0, n, _HEADS):
        cross = unit[begin : begin + _HEADS] @ unit.T / np.float32(rows)
        loops.best_partners(cross, begin, along, index, gain)
    first = np.argsort(-gain, axis=1, kind="stable")[:, :k]
    second = np.take_along_axis(index, first, axis=1)
    return first, second, np.float32(1.0) - np.take_along_axis(gain, first, axis=1)

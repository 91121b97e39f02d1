"""A library of small formulas as columns of numbers, and the search in it by one matrix product.

Fitting ``d ~ a u + b`` for every ``u`` of the library and many wanted columns ``d`` at once takes
three matrix products, so a formula costs about a nanosecond per row here and about a microsecond
in the compiled kernel. What is found is refined by the kernel afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, VARIABLE
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

_OUTER = ("square", "sqrt", "inv", "exp", "log", "sin", "cos", "cube", "tanh", "arcsin", "arccos")
_OF_MONOMIAL = ("exp", "sin", "cos", "tanh", "log", "sqrt")
_OF_SUM = ("square", "sqrt", "inv", "sin", "cos", "exp", "log")
#: Most monomials of one library: degree 4 for up to five columns, 3 for nine, 2 for many.
_MONOMIALS = 1300

Entry = tuple[Tree, Array]


@dataclass(frozen=True, slots=True)
class Matches:
    """The best library entries for each wanted column.

    Attributes
    ----------
    index : ndarray of shape (n_wanted, k), int
        Entries of the library, best first.
    error : ndarray of shape (n_wanted, k)
        Weighted squared error left over, as a share of the wanted column's own spread.
    slope, intercept : ndarray of shape (n_wanted, k)
        ``d ~ slope * u + intercept``.
    """

    index: NDArray[np.int64]
    error: Array
    slope: Array
    intercept: Array


class Library:
    """Small formulas over some columns, with their values on the search rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Search rows.
    columns : sequence of int
        Columns that may appear.
    capacity : int, default=8000
        Entries kept; simpler ones come first.
    rng : numpy Generator
        Draws which of the largest formulas are kept when they are too many.
    """

    def __init__(
        self, X: Array, columns: list[int], *, capacity: int = 8000, rng: np.random.Generator
    ) -> None:
        self.X = X
        self.trees: list[Tree] = []
        self._values: list[Array32] = []
        self._centre: list[float] = []
        self._norm: list[float] = []
        self._seen: set[bytes] = set()
        self.capacity = capacity
        self._rng = rng
        self._enumerate(columns)
        self.values: Array32 = (
            np.stack(self._values) if self._values else np.zeros((0, len(X)), np.float32)
        )
        self.squares: Array32 = self.values**2

    def __len__(self) -> int:
        return len(self.trees)

    def _add(self, tree: Tree, value: Array) -> bool:
        """Keep the entry unless it is undefined, constant or an affine copy of another."""
        if len(self.trees) >= self.capacity:
            return False
        centred = value - value.mean()
        norm = np.sqrt(centred @ centred / len(value))
        if not (np.isfinite(norm) and norm > 1e-9 * (np.abs(value).max() + 1e-300)):
            return False
        unit = centred / norm
        if np.abs(unit).max() > 12.0:  # a pole: one row would decide every match
            return False
        lead = unit[np.argmax(np.abs(unit) > 0.1)]
        key = np.round(unit * np.sign(lead) * 2e4).astype(np.int32).tobytes()
        if key in self._seen:
            return False
        self._seen.add(key)
        self.trees.append(tree)
        self._values.append(unit.astype(np.float32))
        self._centre.append(float(value.mean()))
        self._norm.append(float(norm))
        return True

    def _enumerate(self, columns: list[int]) -> None:
        """Grow by levels: columns, functions of one, sums, monomials, functions and mixtures."""
        X = self.X
        leaves = [(Tree((VARIABLE + j,)), X[:, j]) for j in columns]
        with np.errstate(all="ignore"):
            level0 = self._keep(leaves)
            unary = self._keep(self._apply(_OUTER, level0))
            sums = self._keep(self._pairs(level0, level0, ("add", "sub")))
            monomials = self._keep(self._monomials(level0), share=0.3)
            self._keep(self._apply(_OF_SUM, sums), share=0.4)
            squares = [u for u in unary if u[0].symbols[0] == BY_NAME["square"].code]
            even = self._keep(self._pairs(squares, squares, ("add", "sub")))
            self._keep(self._apply(("sqrt", "inv"), even))
            self._keep(self._pairs(unary, level0), share=0.55)
            self._keep(self._apply(_OF_MONOMIAL, monomials), share=0.75)
            small = [m for m in monomials if m[0].size <= 4]
            self._keep(self._pairs(small, sums, ("mul", "div")), share=0.85)
            self._keep(self._pairs(small, small, ("add", "sub")), share=0.93)
            self._keep(self._pairs(unary, unary), share=1.0)

    def _keep(self, entries: list[Entry], share: float = 1.0) -> list[Entry]:
        """Add a random choice of entries, until ``share`` of the capacity is used."""
        room = int(self.capacity * share) - len(self.trees)
        if len(entries) > 2 * max(room, 0):
            picked = self._rng.permutation(len(entries))[: 2 * max(room, 0)]
            entries = [entries[i] for i in np.sort(picked)]
        kept = []
        for tree, value in entries:
            if room <= 0:
                break
            if self._add(tree, value):
                kept.append((tree, value))
                room -= 1
        return kept

    @staticmethod
    def _apply(names: tuple[str, ...], entries: list[Entry]) -> list[Entry]:
        return [
            (Tree((BY_NAME[n].code, *t.symbols)), BY_NAME[n].array(np, v))
            for n in names
            for t, v in entries
        ]

    @staticmethod
    def _pairs(
        first: list[Entry],
        second: list[Entry],
        names: tuple[str, ...] = ("mul", "div", "sub", "add"),
    ) -> list[Entry]:
        """Every operator on every pair; division both ways round."""
        same = first is second
        out = []
        for i, (s, u) in enumerate(first):
            for t, v in second[i + 1 :] if same else second:
                for name in names:
                    op = BY_NAME[name]
                    out.append((Tree((op.code, *s.symbols, *t.symbols)), op.array(np, u, v)))
                    if name == "div":
                        out.append((Tree((op.code, *t.symbols, *s.symbols)), v / u))
        return out

    @staticmethod
    def _monomials(level0: list[Entry]) -> list[Entry]:
        """Products of whole powers of columns, by degree, as many as ``_MONOMIALS`` allows."""
        p = len(level0)
        degree = 2
        while degree < 4 and _lattice_points(p, degree + 1) <= _MONOMIALS:
            degree += 1
        powers: list[dict[int, Entry]] = []
        for tree, v in level0:
            square, cube = Tree.apply("square", tree), Tree.apply("cube", tree)
            fourth = Tree.apply("square", square)
            powers.append({1: (tree, v), 2: (square, v**2), 3: (cube, v**3), 4: (fourth, v**4)})
        out = []
        for exponents in _exponents(p, degree):
            over = [powers[j][e] for j, e in enumerate(exponents) if e > 0]
            under = [powers[j][-e] for j, e in enumerate(exponents) if e < 0]
            if len(over) + len(under) > 1:
                out.append(_quotient(over, under))
        return out

    def extend(self, trees: list[Tree], limit: int = 2000) -> None:
        """Add formulas found on the way (building blocks); the oldest additions make room."""
        start = len(self.trees)
        values = []
        capacity, self.capacity = self.capacity, start + len(trees)
        for tree in trees:
            value = evaluate(tree, self.X)
            with np.errstate(all="ignore"):
                if self._add(tree, value):
                    values.append(self._values[-1])
        self.capacity = capacity
        if values:
            block = np.stack(values)
            self.values = np.concatenate([self.values, block])
            self.squares = np.concatenate([self.squares, block**2])
        surplus = len(self.trees) - capacity - limit
        if surplus > 0:  # additions stand behind the enumerated entries
            del self.trees[capacity : capacity + surplus]
            del self._values[capacity : capacity + surplus]
            del self._centre[capacity : capacity + surplus]
            del self._norm[capacity : capacity + surplus]
            keep = np.r_[0:capacity, capacity + surplus : len(self.values)]
            self.values, self.squares = self.values[keep], self.squares[keep]

    def match(self, wanted: Array, weights: Array, *, k: int = 3) -> Matches:
        """The ``k`` entries that fit each wanted column best, with slope and intercept.

        Parameters
        ----------
        wanted : ndarray of shape (n_wanted, n_rows)
            Finite where the weight is positive.
        weights : ndarray of shape (n_wanted, n_rows)
            Not negative; rows of weight 0 are ignored.
        k : int, default=3
        """
        w = weights / weights.sum(axis=1, keepdims=True)
        d = np.where(w > 0, wanted, 0.0)
        mean = (w * d).sum(axis=1, keepdims=True)
        spread = np.sqrt((w * (d - mean) ** 2).sum(axis=1, keepdims=True))
        spread[spread == 0] = 1.0
        d = np.where(w > 0, (d - mean) / spread, 0.0)
        w32 = w.astype(np.float32)
        su = w32 @ self.values.T  # (n_wanted, n_entries)
        suu = w32 @ self.squares.T
        sud = (w * d).astype(np.float32) @ self.values.T
        var = np.maximum(suu - su**2, 1e-7)
        gain = sud**2 / var
        k = min(k, gain.shape[1])
        index = np.argpartition(-gain, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(gain, index, axis=1), axis=1, kind="stable")
        index = np.take_along_axis(index, order, axis=1)
        best = np.take_along_axis(gain, index, axis=1).astype(np.float64)
        slope = np.take_along_axis(sud / var, index, axis=1).astype(np.float64)
        centre = np.take_along_axis(su, index, axis=1).astype(np.float64)
        slope = slope * spread
        intercept = mean - slope * centre
        norm = np.array(self._norm)[index]  # entries are stored as unit columns
        return Matches(
            index,
            np.maximum(1.0 - best, 0.0),
            slope / norm,
            intercept - slope * np.array(self._centre)[index] / norm,
        )

    def pairs(
        self, target: Array, weights: Array, *, heads: int = 250, k: int = 60
    ) -> list[tuple[int, int, float]]:
        """Best sums of two entries ``t ~ a u + b v + c``, by their joint squared correlation.

        Parameters
        ----------
        target, weights : ndarray of shape (n_rows,)
        heads : int, default=250
            How many best single entries are combined with every entry.
        k : int, default=60
            Pairs returned.

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


def _lattice_points(p: int, degree: int) -> int:
    """Number of whole vectors of length ``p`` with absolute sum at most ``degree``."""
    return sum(math.comb(p, k) * math.comb(degree, k) * 2**k for k in range(min(p, degree) + 1))


def _exponents(p: int, degree: int) -> Iterator[tuple[int, ...]]:
    """Whole vectors by absolute sum 2 .. ``degree``."""

    def of_sum(p: int, total: int) -> Iterator[tuple[int, ...]]:
        if p == 0:
            if total == 0:
                yield ()
            return
        for size in range(total + 1):
            for head in (size, -size) if size else (0,):
                for tail in of_sum(p - 1, total - size):
                    yield (head, *tail)

    for total in range(2, degree + 1):
        yield from of_sum(p, total)


def _quotient(over: list[Entry], under: list[Entry]) -> Entry:
    def product(entries: list[Entry]) -> Entry:
        tree, value = entries[0]
        for t, v in entries[1:]:
            tree, value = Tree.apply("mul", tree, t), value * v
        return tree, value

    if not under:
        return product(over)
    below = product(under)
    if not over:
        return Tree.apply("inv", below[0]), 1.0 / below[1]
    above = product(over)
    return Tree.apply("div", above[0], below[0]), above[1] / below[1]

"""Trees packed into flat arrays, the input of the compiled kernel and of the torch backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Programs:
    """Trees packed into flat arrays.

    Parameters
    ----------
    trees : sequence of Tree

    Attributes
    ----------
    codes : ndarray of int64
        Symbols of all trees, one tree after the other.
    constants : ndarray of float64
        Constants of all trees; a fit changes them in place.
    code_at, constant_at : ndarray of shape (n_trees + 1,)
        Where each tree begins in ``codes`` and ``constants``.
    sizes, counts : ndarray of shape (n_trees,)
        Numbers of nodes and of constants.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.sizes = np.array([len(t.symbols) for t in trees], dtype=np.int64)
        self.counts = np.array([len(t.constants) for t in trees], dtype=np.int64)
        self.codes = np.array([s for t in trees for s in t.symbols], dtype=np.int64)
        self.constants = np.array([c for t in trees for c in t.constants], dtype=np.float64)
        self.code_at, self.constant_at = starts(self.sizes), starts(self.counts)

    @classmethod
    def of_arrays(
        cls, codes: Ints, code_at: Ints, constants: Floats, constant_at: Ints
    ) -> Programs:
        """Programs from the arrays that ``Attributes`` describes, without a copy."""
        out = cls([])
        out.codes, out.code_at = codes, code_at
        out.constants, out.constant_at = constants, constant_at
        out.sizes, out.counts = np.diff(code_at), np.diff(constant_at)
        return out

    def tree(self, i: int) -> Tree:
        """Program ``i`` with its constants as they are now."""
        a, b = self.code_at[i : i + 2]
        c, d = self.constant_at[i : i + 2]
        return Tree(self.codes[a:b].tolist(), self.constants[c:d].tolist())

    def repeated(self, chosen: Ints) -> Programs:
        """Copies of the chosen programs, each with its own codes and constants."""
        out = Programs([])
        out.sizes, out.counts = self.sizes[chosen], self.counts[chosen]
        out.code_at, out.constant_at = starts(out.sizes), starts(out.counts)
        out.codes = self.codes[_ranges(self.code_at[chosen], out.sizes, out.code_at)]
        at = _ranges(self.constant_at[chosen], out.counts, out.constant_at)
        out.constants = self.constants[at]
        return out

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def largest(self) -> tuple[int, int]:
        """Largest number of nodes and of constants of any program."""
        return int(self.sizes.max(initial=1)), int(self.counts.max(initial=0))

    def chunks(self, costs: NDArray[np.floating], limit: float) -> list[tuple[int, int]]:
        """Ranges of consecutive programs whose costs sum to at most ``limit`` where possible."""
        edges: list[int] = []
        total = float("inf")
        for i, cost in enumerate(costs.tolist()):
            if total + cost > limit:
                edges.append(i)
                total = 0.0
            total += cost
        return list(zip(edges, [*edges, len(self)][1:], strict=True))


def starts(sizes: Ints) -> Ints:
    """Offsets of consecutive parts, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _ranges(begins: Ints, sizes: Ints, starts: Ints) -> Ints:
    """``begins[i] .. begins[i] + sizes[i] - 1`` for each i, one after the other."""
    return np.repeat(begins - starts[:-1], sizes) + np.arange(starts[-1])

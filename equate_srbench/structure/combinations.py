"""One combination of two columns: a law depends on both only through ``u(x_i, x_j)``.

Then the gradient by the two points along that of ``u``, whatever else the law contains (the
generalised symmetries of Udrescu et al. 2020, AI Feynman 2.0). The gradient of a surrogate
proposes; what decides is the evidence of a process with ``u`` in the place of the two columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import VARIABLE
from equate_srbench.expr.tree import Tree
from equate_srbench.structure.surrogate import Surrogate

Array = NDArray[np.float64]
Gradient = Callable[[Array, Array], tuple[Array, Array]]

#: Combinations whose evidence is computed, of those with the smallest misfit of the gradient.
MOST_TRIED, LARGEST_MISFIT = 4, 0.1
_EVALUATIONS = 40


def _squares(sign: str) -> Callable[[Tree, Tree], Tree]:
    return lambda a, b: Tree.apply(sign, Tree.apply("square", a), Tree.apply("square", b))


#: Name -> formula, and gradient up to a common factor.
COMBINATIONS: dict[str, tuple[Callable[[Tree, Tree], Tree], Gradient]] = {
    "difference": (lambda a, b: Tree.apply("sub", a, b), lambda a, b: (1.0 + 0 * a, -1.0 + 0 * b)),
    "sum": (lambda a, b: Tree.apply("add", a, b), lambda a, b: (1.0 + 0 * a, 1.0 + 0 * b)),
    "product": (lambda a, b: Tree.apply("mul", a, b), lambda a, b: (b, a)),
    "ratio": (lambda a, b: Tree.apply("div", a, b), lambda a, b: (b, -a)),
    "sum of squares": (_squares("add"), lambda a, b: (a, b)),
    "difference of squares": (_squares("sub"), lambda a, b: (a, -b)),
}


@dataclass(frozen=True, slots=True)
class Combination:
    """Two columns that act as one.

    Attributes
    ----------
    name : str
        In ``COMBINATIONS``.
    columns : tuple of int
        The two.
    tree : Tree
        ``u``, over the columns of the table.
    gain : float
        Log evidence ratio against two separate columns, in nats.
    """

    name: str
    columns: tuple[int, int]
    tree: Tree
    gain: float

    def added(self, X: Array) -> Array:
        """The table with ``u`` as its last column."""
        return np.column_stack([X, evaluate(self.tree, X)])

    def resolved(self, tree: Tree, column: int) -> Tree:
        """A formula over the table with ``u``, in that column, as one over the table without."""
        for at in reversed(range(tree.size)):
            if tree.symbols[at] == VARIABLE + column:
                tree = tree.replace(at, self.tree)
        return tree


def combinations(joint: Surrogate) -> list[Combination]:
    """Combinations with evidence, best first.

    Parameters
    ----------
    joint : Surrogate
        With one group.
    """
    (columns,) = joint.groups
    gradient = joint.gradient(joint.X)
    proposed = []
    for place, i in enumerate(columns):
        for j in columns[:place]:
            for name, (formula, slope) in COMBINATIONS.items():
                a, b = slope(joint.X[:, j], joint.X[:, i])
                u, v = gradient[:, j] * b, gradient[:, i] * a
                size = float(np.sum(u**2 + v**2))
                misfit = float(np.sum((u - v) ** 2)) / max(size, 1e-300)
                if misfit < LARGEST_MISFIT:
                    tree = formula(Tree.variable(j), Tree.variable(i))
                    proposed.append((misfit, name, (j, i), tree))
    proposed.sort(key=lambda entry: entry[0])
    found = []
    for _, name, pair, tree in proposed[:MOST_TRIED]:
        u = evaluate(tree, joint.X)
        if not (np.isfinite(u).all() and np.ptp(u) > 0.0):
            continue
        X = np.column_stack([joint.X, u])
        group = (*(j for j in columns if j not in pair), X.shape[1] - 1)
        fewer = Surrogate(X, joint.y, [group], link=joint.link, evaluations=_EVALUATIONS,
                          logs=joint.logs)  # fmt: skip
        found.append(Combination(name, pair, tree, fewer.evidence - joint.evidence))
    return sorted((c for c in found if c.gain > 0.0), key=lambda c: -c.gain)

"""Simple numbers in the formula of a part, as far as the error of its target allows.

A factor is known up to scale: ``0.1002*x + 0.1001*y`` is ``x + y``. Where all constants of a factor
become simple, what it leaves of the whole is exact.
"""

from __future__ import annotations

import math

import numpy as np

from equate_srbench.expr.evaluate import mean_square
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.refine.snap import snap
from equate_srbench.runtime.clock import Deadline

#: Most coefficients of a sum that it is divided by.
_DIVISORS = 3
#: Relative distance to a simple number: this, or as far as the target's error reaches.
_REACH, _LARGEST_REACH = 1e-3, 0.03
_ADD, _SUB, _MUL = (BY_NAME[name].code for name in ("add", "sub", "mul"))


def tidied(
    candidate: Candidate, archive: Archive, floor: float, is_factor: bool, deadline: Deadline
) -> list[Tree]:
    """Formulas with simple constants for the same rows.

    Parameters
    ----------
    candidate : Candidate
    archive : Archive
        Of the part.
    floor : float
        Error of the target, as a share of its variance.
    is_factor : bool
        Whether the scale is free: then coefficients may be simple after division by one of them.
    deadline : Deadline
    """
    terms = sum_terms(candidate.tree)
    divisors = [c for c, _ in terms if c not in (0.0, 1.0)][:_DIVISORS] if is_factor else []
    out = []
    for by in [1.0, *divisors]:
        tree = joined_terms([(c / by, f) for c, f in terms]) if by != 1.0 else candidate.tree
        target = archive.y / by
        loss = mean_square(tree, archive.X, target, archive.weights)
        if not math.isfinite(loss) or not tree.constants:
            continue
        n = archive.n_rows
        allowed = 2.0 * floor * archive.variance / by**2
        margin = max(math.log(max(n, 3.0)) / n, allowed / max(loss, 1e-300) - 1.0)
        reach = min(max(_REACH, 10.0 * math.sqrt(floor)), _LARGEST_REACH)
        simple = snap(tree, archive.X, target, archive.weights,
                      margin=min(margin, 1e6), reach=reach, deadline=deadline)  # fmt: skip
        if simple != tree:
            out.append(Tree.apply("mul", Tree.constant(by), simple) if by != 1.0 else simple)
    return out


def sum_terms(tree: Tree, scale: float = 1.0) -> list[tuple[float, Tree | None]]:
    """A tree as a sum of coefficients times trees; None stands for 1."""
    symbol = tree.symbols[0]
    if symbol == CONSTANT:
        return [(scale * tree.constants[0], None)]
    if symbol in (_ADD, _SUB):
        a, b = tree.args()
        return sum_terms(a, scale) + sum_terms(b, scale if symbol == _ADD else -scale)
    if symbol == _MUL:
        a, b = tree.args()
        if b.symbols == (CONSTANT,):
            a, b = b, a
        if a.symbols == (CONSTANT,):
            return sum_terms(b, scale * a.constants[0])
    return [(scale, tree)]


def joined_terms(terms: list[tuple[float, Tree | None]]) -> Tree:
    """The tree of a sum."""
    trees = [
        Tree.constant(c) if f is None else f if c == 1.0 else Tree.apply("mul", Tree.constant(c), f)
        for c, f in terms
        if np.isfinite(c)
    ]
    out = trees[0]
    for tree in trees[1:]:
        out = Tree.apply("add", out, tree)
    return out

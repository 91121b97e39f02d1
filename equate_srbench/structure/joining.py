"""Formulas of parts: joined to one, and what the others leave of the target for one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Candidate
from equate_srbench.structure.decomposition import Decomposition
from equate_srbench.structure.surrogate import LOG

Array = NDArray[np.float64]

_ADD, _MUL = BY_NAME["add"].code, BY_NAME["mul"].code
#: Operators that lead from the sum on the link's scale to ``y``.
_BACK = {"identity": (), "square": ("sqrt",), "inverse": ("inv",)}


def left_by(
    y: Array, values: Sequence[Array], k: int, finding: Decomposition
) -> tuple[Array, Array]:
    """What the other parts leave of ``y`` for part ``k``.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    values : sequence of ndarray of shape (n_rows,)
        Of all parts; factors up to scale, summands up to an offset.
    k : int
    finding : Decomposition

    Returns
    -------
    target, weights : ndarray of shape (n_rows,)
        Weighted squared errors in the target are those in ``y``, up to scale.
    """
    others = [v for i, v in enumerate(values) if i != k]
    if finding.kind == "product":
        whole = np.prod(others, axis=0)
        target, weights = y / whole, whole**2
        own = values[k]
    else:
        target = finding.link.forward(y) - np.sum(others, axis=0)
        weights = finding.link.slope(y) ** -2.0
        return target, weights
    usable = np.isfinite(target) & np.isfinite(own) & np.isfinite(weights)
    w, u = weights[usable], own[usable]
    scale = float(w @ (target[usable] * u)) / max(float(w @ u**2), 1e-300)
    return target / (scale or 1.0), weights


def left_by_one(y: Array, values: Array, finding: Decomposition) -> Array:
    """What one part leaves of ``y`` on the scale of the link: by division, or by subtraction."""
    if not finding.is_additive:
        return y / values
    return finding.link.forward(y) - (np.log(np.abs(values)) if finding.link is LOG else values)


def spellings(front: Sequence[Candidate], finding: Decomposition) -> list[Tree]:
    """Trees of a part's formulas: factors with and without their offset, summands without."""
    out: dict[Tree, None] = {}
    for candidate in front:
        scale, f, offset = affine(candidate.tree)
        if finding.kind == "product":
            if offset != 0.0:
                out[Tree.apply("add", f, Tree.constant(offset / scale))] = None
            out[f] = None
        else:
            out[_times(scale, f)] = None
    return list(out)


def affine(tree: Tree) -> tuple[float, Tree, float]:
    """``c, f, d`` of a tree that is ``c f + d``; 1 and 0 where there is no such constant."""
    scale, offset = 1.0, 0.0
    if tree.symbols[0] == _ADD:
        a, b = tree.args()
        if b.symbols == (CONSTANT,):
            a, b = b, a
        if a.symbols == (CONSTANT,):
            offset, tree = a.constants[0], b
    if tree.symbols[0] == _MUL:
        a, b = tree.args()
        if b.symbols == (CONSTANT,):
            a, b = b, a
        if a.symbols == (CONSTANT,) and a.constants[0] != 0.0:
            scale, tree = a.constants[0], b
    return scale, tree, offset


def joined(parts: Sequence[Tree], finding: Decomposition) -> Tree:
    """The formula of the whole; scale and offset are fitted around it."""
    if finding.kind == "product":
        return _chain("mul", parts)
    back = _BACK[finding.link.name]
    if not back:  # the scale of the first is the one around the formula
        first, *rest = map(affine, parts)
        return _chain("add", [first[1], *(_times(c / first[0], f) for c, f, _ in rest)])
    tree = Tree.apply("add", _chain("add", parts), Tree.constant(0.0))
    for name in back:
        tree = Tree.apply(name, tree)
    return tree


def part_values(
    candidate: Candidate, parts: Sequence[Tree], finding: Decomposition, X: Array
) -> list[Array]:
    """Values of the parts in a refined joined formula.

    Parameters
    ----------
    candidate : Candidate
        Of ``joined(parts, finding)``.
    parts : sequence of Tree
    finding : Decomposition
    X : ndarray of shape (n_rows, n_columns)
    """
    inner, at, refined = candidate.inner, 0, []
    if finding.kind == "sum" and not _BACK[finding.link.name]:
        first, *rest = map(affine, parts)
        parts = [first[1], *(_times(c / first[0], f) for c, f, _ in rest)]
    for part in parts:
        n = len(part.constants)
        refined.append(evaluate(part.with_constants(inner.constants[at : at + n]), X))
        at += n
    if finding.kind == "product":
        return refined
    whole, outer = evaluate(inner, X), evaluate(candidate.tree, X)
    scale = float(np.cov(whole, outer)[0, 1] / max(np.var(whole, ddof=1), 1e-300))
    return [finding.link.forward(np.asarray(scale)) * values for values in refined]


def _chain(name: str, trees: Sequence[Tree]) -> Tree:
    out = trees[0]
    for tree in trees[1:]:
        out = Tree.apply(name, out, tree)
    return out


def _times(scale: float, tree: Tree) -> Tree:
    return Tree.apply("mul", Tree.constant(scale), tree)

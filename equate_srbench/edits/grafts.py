"""Grafts: subtrees of formulas replaced by, added to or multiplied with what the data ask for.

Semantic backpropagation (``inversion``) says which values a node should have, and the library which
small formula has them. What comes out is only a proposal: all constants are fitted afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.edits.inversion import backpropagate
from equate_srbench.edits.library import Library
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.programs import Programs

Array = NDArray[np.float64]

#: Scales above this, or below its inverse, have squares outside the range of float64.
MAX_SCALE = 1e150
#: Errors relative to the parent's above which a graft is not worth fitting.
WORST_GAIN = 1.5
_WAYS = (None, "add", "mul")


@dataclass(frozen=True, slots=True)
class Parent:
    """A fitted formula: ``target ~ scale * tree + offset``.

    Attributes
    ----------
    tree : Tree
    scale, offset : float
        The offset need not be the fitted one.
    error : float
        Weighted mean squared residual.
    """

    tree: Tree
    scale: float
    offset: float
    error: float


def grafts(
    parents: list[Parent],
    library: Library,
    target: Array,
    weights: Array,
    *,
    n: int,
    n_targets: int,
    rng: np.random.Generator,
    k: int = 4,
) -> Programs:
    """At most ``n`` grafts, those of least error first.

    Parameters
    ----------
    parents : list of Parent
    library : Library
        Whose ``X`` has the rows of the target.
    target, weights : ndarray of shape (n_rows,)
    n : int
    n_targets : int
        Nodes with a way (replace, add, multiply) that are looked up, drawn at random.
    rng : numpy Generator
    k : int, default=4
        Entries of the library tried for each of them.
    """
    parents = [p for p in parents if 1.0 / MAX_SCALE < abs(p.scale) < MAX_SCALE]
    if not parents or not len(library):
        return Programs([])
    nodes = backpropagate(
        Programs([p.tree for p in parents]),
        range(len(parents)),
        library.X,
        np.stack([(target - p.offset) / p.scale for p in parents]),
        np.stack([weights * p.scale**2 for p in parents]),
    )
    jobs = np.sort(rng.permutation(3 * len(nodes.at))[:n_targets])
    chosen, ways = jobs // 3, jobs % 3
    wanted, weighted, spread = _wanted(
        nodes.target[chosen], nodes.value[chosen], nodes.weights[chosen], ways
    )
    usable = np.flatnonzero((spread > 0.0) & np.isfinite(spread))
    if len(usable) == 0:
        return Programs([])
    found = library.match(wanted[usable], weighted[usable], k=k)
    error = np.array([max(p.error, 1e-300) for p in parents])[nodes.program[chosen[usable]]]
    with np.errstate(over="ignore"):
        gain = found.error * (spread[usable] / len(target) / error)[:, None]
    order = np.argsort(gain, axis=None, kind="stable")[:n]
    trees = []
    for place in order[gain.ravel()[order] <= WORST_GAIN]:
        row, rank = divmod(int(place), gain.shape[1])
        node = chosen[usable[row]]
        tree, at = parents[nodes.program[node]].tree, int(nodes.at[node])
        part = _part(
            library.trees[int(found.index[row, rank])],
            float(found.slope[row, rank]),
            float(found.intercept[row, rank]),
        )
        way = _WAYS[ways[usable[row]]]
        if way is not None:
            part = Tree.apply(way, tree.subtree(at), part)
        trees.append(tree.replace(at, part))
    return Programs(trees)


def _wanted(
    wanted: Array, value: Array, weights: Array, ways: NDArray[np.int64]
) -> tuple[Array, Array, Array]:
    """Target columns of parts, their weights and weighted variances; weight 0 where not finite."""
    add, mul = ways == 1, ways == 2
    with np.errstate(all="ignore"):
        wanted[add] -= value[add]
        wanted[mul] /= value[mul]
        weights[mul] *= value[mul] ** 2
        ok = np.isfinite(wanted) & np.isfinite(weights)
        wanted[~ok], weights[~ok] = 0.0, 0.0
        weights[ok.mean(axis=1) < 0.9] = np.nan
        total = weights.sum(axis=1)
        mean = (weights * wanted).sum(axis=1) / total
        spread = (weights * (wanted - mean[:, None]) ** 2).sum(axis=1)
    return wanted, weights, spread


def _part(tree: Tree, slope: float, intercept: float) -> Tree:
    """``slope * u + intercept`` without negligible factors."""
    if abs(slope - 1.0) > 1e-3:
        tree = Tree.apply("mul", Tree.constant(slope), tree)
    if abs(intercept) > 1e-3 * (abs(slope) + abs(intercept)):
        tree = Tree.apply("add", Tree.constant(intercept), tree)
    return tree

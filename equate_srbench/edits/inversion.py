"""Target values for the nodes of a formula (semantic backpropagation).

Pawlak, Wieloch & Krawiec (2015), "Semantic backpropagation for designing search operators in
genetic programming": the target is propagated down the tree through the inverse of each operator.
Here every node also gets weights, the squared sensitivity of the output to the node at its target,
so that a weighted fit of the node approximates a fit of the whole formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.refine.programs import Programs

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: No weight of a row exceeds this times the squared mean of the weights' roots.
_MOST = 1e3


@dataclass(slots=True)
class NodeTarget:
    """One node with its current values and its target values.

    Attributes
    ----------
    at : int
        Index of the node in prefix order.
    value : ndarray of shape (n_rows,)
        Current values.
    target : ndarray of shape (n_rows,)
        Target values; 0 where ``weights`` is 0.
    weights : ndarray of shape (n_rows,)
        0 where no value of the node gives the target.
    """

    at: int
    value: Array
    target: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class NodeTargets:
    """Nodes of several programs with their values and targets, in prefix order.

    Attributes
    ----------
    program, at : ndarray of int, shape (n,)
        Which of the chosen programs a node belongs to (0, 1, ...), and its index there.
    value, target, weights : ndarray of shape (n, n_rows)
        As in ``NodeTarget``.
    """

    program: Ints
    at: Ints
    value: Array
    target: Array
    weights: Array


def backpropagate(
    programs: Programs,
    chosen: Sequence[int],
    X: Array,
    targets: Array,
    weights: Array,
    *,
    min_rows: float = 0.9,
) -> NodeTargets:
    """Target values for the nodes of programs.

    Parameters
    ----------
    programs : Programs
    chosen : sequence of int
        Programs that are looked at.
    X : ndarray of shape (n_rows, n_columns)
    targets, weights : ndarray of shape (len(chosen), n_rows)
        What each chosen program is to be fitted to.
    min_rows : float, default=0.9
        Smallest fraction of invertible rows; other nodes and all below them are skipped.
    """
    from equate_srbench.edits import inversion_loops
    from equate_srbench.refine import kernel

    n_rows = len(X)
    memory = kernel.Memory.of(X, *programs.largest)
    root = np.empty((len(programs), n_rows))
    value, target, weight = np.zeros((3, int(programs.sizes[list(chosen)].sum()), n_rows))
    program, at = np.zeros((2, len(value)), dtype=np.int64)
    count = 0
    for row, i in enumerate(chosen):
        code = programs.codes[programs.code_at[i] : programs.code_at[i + 1]]
        here = slice(count, count + len(code))
        target[count], weight[count] = targets[row], weights[row]
        kernel.run(programs, i, i + 1, memory, kernel.EVALUATE, root)
        places = memory.places(len(code))
        usable = np.zeros(len(code), dtype=np.int64)
        inversion_loops.propagate(
            code, places, memory.rows, min_rows * n_rows, _MOST, target[here], weight[here], usable
        )
        nodes = np.flatnonzero(usable)
        kept = slice(count, count + len(nodes))
        value[kept] = memory.rows[places[1, nodes]]
        target[kept], weight[kept] = target[count + nodes], weight[count + nodes]
        program[kept], at[kept] = row, nodes
        target[kept.stop : here.stop] = weight[kept.stop : here.stop] = 0.0
        count = kept.stop
    return NodeTargets(program[:count], at[:count], value[:count], target[:count], weight[:count])


def node_targets(
    tree: Tree, X: Array, target: Array, weights: Array, *, min_rows: float = 0.9
) -> list[NodeTarget]:
    """Target values for every node of ``tree``, root first.

    Parameters
    ----------
    tree : Tree
        Formula to be fitted to ``target``.
    X : ndarray of shape (n_rows, n_columns)
    target : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,)
    min_rows : float, default=0.9
        Smallest fraction of invertible rows; other nodes and all below them are skipped.
    """
    found = backpropagate(Programs([tree]), [0], X, target[None], weights[None], min_rows=min_rows)
    return [
        NodeTarget(int(at), value, wanted, weight)
        for at, value, wanted, weight in zip(
            found.at, found.value, found.target, found.weights, strict=True
        )
    ]

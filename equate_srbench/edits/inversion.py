"""Target values for the nodes of a formula (semantic backpropagation).

Pawlak, Wieloch & Krawiec (2015), "Semantic backpropagation for designing search operators in
genetic programming": the target is propagated down the tree through the inverse of each operator.
Here every node also gets weights, the squared sensitivity of the output to the node at its target,
so that a weighted fit of the node approximates a fit of the whole formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]


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
    with np.errstate(all="ignore"):
        values, children = _values(tree, X)
        out: list[NodeTarget] = []
        todo = [(0, target, weights)]
        while todo:
            at, want, w = todo.pop()
            ok = np.isfinite(want) & np.isfinite(w) & (w > 0)
            if ok.sum() < min_rows * len(want):
                continue
            want, w = np.where(ok, want, 0.0), np.where(ok, w, 0.0)
            w = np.minimum(w, 1e3 * np.sqrt(w).mean() ** 2)  # no row may dominate
            out.append(NodeTarget(at, values[at], want, w))
            kids = children[at]
            if kids:
                op = BY_CODE[tree.symbols[at]].name
                args = [values[c] for c in kids]
                for which, child in enumerate(kids):
                    d = _invert(op, which, want, args)
                    if d is not None:
                        todo.append((child, d, w * _slope(op, which, d, args) ** 2))
    return out


def _values(tree: Tree, X: Array) -> tuple[list[Array], list[list[int]]]:
    """Values of every node, and the positions of its arguments."""
    n = len(X)
    values: list[Array] = [X[:0]] * tree.size
    children: list[list[int]] = [[] for _ in range(tree.size)]
    constants = list(tree.constants)
    stack: list[int] = []
    for i in range(tree.size - 1, -1, -1):
        symbol = tree.symbols[i]
        if symbol == CONSTANT:
            values[i] = np.full(n, constants.pop())
        elif symbol >= VARIABLE:
            values[i] = X[:, symbol - VARIABLE]
        else:
            op = BY_CODE[symbol]
            children[i] = [stack.pop() for _ in range(op.arity)]
            values[i] = op.array(np, *(values[c] for c in children[i]))
        stack.append(i)
    return values, children


def _periodic(principal: Array, mirror: Array, now: Array) -> Array:
    """The solution nearest to ``now`` among ``principal + 2 pi k`` and ``mirror + 2 pi k``."""
    turn = 2.0 * np.pi
    a = principal + turn * np.round((now - principal) / turn)
    b = mirror + turn * np.round((now - mirror) / turn)
    return np.where(np.abs(a - now) <= np.abs(b - now), a, b)


def _invert(op: str, which: int, d: Array, args: list[Array]) -> Array | None:
    """Argument ``which`` for which ``op`` equals ``d``, with the other argument fixed."""
    now = args[which]
    match op, which:
        case "add", _:
            return d - args[1 - which]
        case "sub", 0:
            return d + args[1]
        case "sub", 1:
            return args[0] - d
        case "mul", _:
            return d / args[1 - which]
        case "div", 0:
            return d * args[1]
        case "div", 1:
            return args[0] / d
        case "pow", 0:
            return d ** (1.0 / args[1])
        case "pow", 1:
            return np.log(d) / np.log(args[0])
        case "abs", _:
            return np.where(d >= 0, np.where(now < 0, -d, d), np.nan)
        case "inv", _:
            return 1.0 / d
        case "sqrt", _:
            return np.where(d >= 0, d * d, np.nan)
        case "square", _:
            return np.where(now < 0, -1.0, 1.0) * np.sqrt(d)
        case "cube", _:
            return np.cbrt(d)
        case "exp", _:
            return np.log(d)
        case "log", _:
            return np.exp(d)
        case "sin", _:
            s = np.arcsin(d)
            return _periodic(s, np.pi - s, now)
        case "cos", _:
            s = np.arccos(d)
            return _periodic(s, -s, now)
        case "tan", _:
            s = np.arctan(d)
            return s + np.pi * np.round((now - s) / np.pi)
        case "arcsin", _:
            return np.where(np.abs(d) <= np.pi / 2, np.sin(d), np.nan)
        case "arccos", _:
            return np.where((d >= 0) & (d <= np.pi), np.cos(d), np.nan)
        case "arctan", _:
            return np.where(np.abs(d) < np.pi / 2, np.tan(d), np.nan)
        case "tanh", _:
            return np.arctanh(d)
    return None


def _slope(op: str, which: int, at: Array, args: list[Array]) -> Array:
    """Derivative of ``op`` with respect to argument ``which`` at ``at``."""
    match op, which:
        case (("add" | "sub"), _):
            return np.ones_like(at)
        case "mul", _:
            return args[1 - which]
        case "div", 0:
            return 1.0 / args[1]
        case "div", 1:
            return -args[0] / at**2
        case "pow", 0:
            return args[1] * at ** (args[1] - 1.0)
        case "pow", 1:
            return np.log(args[0]) * args[0] ** at
        case "abs", _:
            return np.ones_like(at)
        case "inv", _:
            return -1.0 / at**2
        case "sqrt", _:
            return 0.5 / np.sqrt(np.maximum(at, 1e-12))
        case "square", _:
            return 2.0 * at
        case "cube", _:
            return 3.0 * at**2
        case "exp", _:
            return np.exp(at)
        case "log", _:
            return 1.0 / at
        case "sin", _:
            return np.cos(at)
        case "cos", _:
            return -np.sin(at)
        case "tan", _:
            return 1.0 + np.tan(at) ** 2
        case "arcsin", _:
            return 1.0 / np.sqrt(np.maximum(1.0 - at**2, 1e-9))
        case "arccos", _:
            return -1.0 / np.sqrt(np.maximum(1.0 - at**2, 1e-9))
        case "arctan", _:
            return 1.0 / (1.0 + at**2)
        case "tanh", _:
            return 1.0 - np.tanh(at) ** 2
    raise KeyError(op)

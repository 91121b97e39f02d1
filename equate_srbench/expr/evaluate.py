"""Evaluation of one tree on a table: the reference for the compiled kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree


def evaluate(tree: Tree, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate ``tree`` on the rows of ``X``.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_rows,)
        NaN or inf where the formula is not defined; no warning is raised.
    """
    X = np.asarray(X, dtype=np.float64)
    constants = [np.float64(value) for value in tree.constants]
    with np.errstate(all="ignore"):
        value = run_prefix(tree.symbols, constants, lambda column: X[:, column], np)
    return np.array(np.broadcast_to(value, (X.shape[0],)), dtype=np.float64)


def mean_square(
    tree: Tree,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Weighted mean squared residual of ``tree``; inf if it is undefined on some row."""
    with np.errstate(all="ignore"):
        loss = float(np.average((evaluate(tree, X) - y) ** 2, weights=weights))
    return loss if np.isfinite(loss) else float("inf")


def run_prefix(
    symbols: Sequence[int], constants: Sequence[Any], column: Callable[[int], Any], m: Any
) -> Any:
    """Evaluate prefix symbols from right to left on a stack.

    Parameters
    ----------
    symbols : sequence of int
        Symbol codes of one tree in prefix order.
    constants : sequence of scalars
        Values of the constants, as scalars of ``m``.
    column : callable
        Column number to its values, an array of ``m``.
    m : module
        ``numpy`` or ``torch``.
    """
    stack: list[Any] = []
    place = len(constants)
    for symbol in reversed(symbols):
        if symbol == CONSTANT:
            place -= 1
            stack.append(constants[place])
        elif symbol >= VARIABLE:
            stack.append(column(symbol - VARIABLE))
        else:
            op = BY_CODE[symbol]
            stack.append(op.array(m, *(stack.pop() for _ in range(op.arity))))
    return stack[0]

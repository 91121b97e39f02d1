"""Values of one tree on a table, with NumPy or torch; the reference for the compiled kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree


def evaluate(tree: Tree, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of ``tree`` on the rows of ``X``.

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
    with np.errstate(all="ignore"):
        value = _run(tree, np, lambda column: X[:, column])
    return np.array(np.broadcast_to(value, (X.shape[0],)), dtype=np.float64)


def _run(tree: Tree, m: Any, column: Any) -> Any:
    """Prefix code run from right to left on a stack, with arrays of module ``m``."""
    stack: list[Any] = []
    values = list(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(np.float64(values.pop()) if m is np else values.pop())
        elif symbol >= VARIABLE:
            stack.append(column(symbol - VARIABLE))
        else:
            op = BY_CODE[symbol]
            args = [stack.pop() for _ in range(op.arity)]
            stack.append(op.array(m, *args))
    return stack[0]

"""First-order errors of a formula: what rounding of its numbers and of its columns makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.derivatives import RULES

Array = NDArray[np.float64]

#: Variance of a number's rounding to a double, as a share of its square.
ROUNDING = np.finfo(float).eps ** 2 / 12.0


def sensitivities(tree: Tree, X: Array) -> tuple[Array, Array, Array]:
    """Values of a formula, the variance of their rounding, and the slopes by the columns.

    Every node is rounded to a double once; its error reaches the value by the derivative of the
    value by the node (running error analysis: Wilkinson 1963; reverse mode: Linnainmaa 1976).

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    values : ndarray of shape (n_rows,)
    rounding : ndarray of shape (n_rows,)
        Variance of the values by rounding in float64.
    slopes : ndarray of shape (n_rows, n_columns)
        Derivatives of the values by the columns; 0 where there is none.
    """
    n = len(X)
    values: list[Array] = [np.empty(0)] * tree.size
    children: list[tuple[int, ...]] = [()] * tree.size
    open_: list[int] = []
    place = len(tree.constants)
    with np.errstate(all="ignore"):
        for i in range(tree.size - 1, -1, -1):
            symbol = tree.symbols[i]
            if symbol == CONSTANT:
                place -= 1
                values[i] = np.full(n, tree.constants[place])
            elif symbol >= VARIABLE:
                values[i] = X[:, symbol - VARIABLE]
            else:
                operator = BY_CODE[symbol]
                children[i] = tuple(open_.pop() for _ in range(operator.arity))
                values[i] = operator.array(np, *(values[j] for j in children[i]))
            open_.append(i)
        up = [np.zeros(n)] * tree.size
        up[0] = np.ones(n)
        rounding, slopes = np.zeros(n), np.zeros(X.shape)
        for i, symbol in enumerate(tree.symbols):
            reached = np.where(np.isfinite(up[i]), up[i], 0.0)
            rounding += (reached * values[i]) ** 2
            if symbol >= VARIABLE:
                slopes[:, symbol - VARIABLE] += reached
            elif symbol != CONSTANT:
                rules = RULES[BY_CODE[symbol].name]
                arguments = [values[j] for j in children[i]]
                for rule, j in zip(rules, children[i], strict=True):
                    up[j] = rule(np, reached, *arguments, values[i])
    return values[0], ROUNDING * rounding, slopes

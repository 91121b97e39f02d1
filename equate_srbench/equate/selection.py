"""Which formula to answer with: description length on the fit rows."""

from __future__ import annotations

import math

from equate_srbench.equate.island import EXACT
from equate_srbench.expr.complexity import complexity
from equate_srbench.expr.tree import Tree

#: Nats for one node: about twenty operators and columns to choose from.
NODE_COST = 3.0


def description_length(tree: Tree, loss: float, variance: float, n_rows: float) -> float:
    """Nats to write the formula down plus nats to write the residuals down.

    Gaussian residuals of unknown width cost ``n/2 log(loss)``; a node (of ``expr.complexity``,
    the size that users see) costs ``NODE_COST``; a constant costs ``log(n)/2`` (the precision
    that ``n`` rows support; Rissanen 1978), a small whole number less. Below a relative error
    of ``EXACT`` formulas fit alike.

    Parameters
    ----------
    tree : Tree
    loss : float
        Mean squared residual on the fit rows.
    variance : float
        Mean squared residual of the best constant.
    n_rows : float
        Number of fit rows (sum of sample weights).
    """
    error = max(loss / variance, EXACT)
    precision = 0.5 * math.log(max(n_rows, 2.0))
    constants = sum(
        min(1.0 + math.log1p(abs(c)), precision) if c == round(c) and abs(c) < 1e6 else precision
        for c in tree.constants
    )
    return 0.5 * n_rows * math.log(error) + NODE_COST * complexity(tree) + constants

"""Poles of a formula among given rows: where a divisor changes its sign, and the value runs off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

#: Pairs of rows between which a zero is looked for, and halvings on the way to it.
PAIRS, HALVINGS = 8, 45
#: Rows that are looked at, and how far beside the ranges, as a share of them; never across zero.
MAX_ROWS, MARGIN = 400, 0.05
#: Operators that are zero where their (first) argument is.
_LIKE_ARGUMENT = {BY_NAME[name].code for name in ("abs", "square", "cube", "sqrt", "div", "pow")}
_MUL, _DIV, _INV, _POW, _TAN = (BY_NAME[name].code for name in ("mul", "div", "inv", "pow", "tan"))


def region(X: Array, margin: float = MARGIN) -> Array:
    """Rows in whose hull a formula should have no pole: a sample, and itself a little further out.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    margin : float, default=0.05
        How far out, as a share of the ranges; never across zero.
    """
    rows = X[np.linspace(0, len(X) - 1, min(len(X), MAX_ROWS)).astype(np.int64)]
    low, high = X.min(axis=0), X.max(axis=0)
    wider = rows + 2.0 * margin * (rows - 0.5 * (low + high))
    wider = np.where(low >= 0.0, np.maximum(wider, 0.5 * rows), wider)
    wider = np.where(high <= 0.0, np.minimum(wider, 0.5 * rows), wider)
    return np.concatenate([rows, wider])


def has_pole(tree: Tree, rows: Array, low: float, high: float) -> bool:
    """Whether the formula has a pole on a line between two rows.

    A divisor, or a factor of one, that is positive on one row and negative on another is zero in
    between; there the formula has to stay bounded, as ``sin(x)/x`` does.

    Parameters
    ----------
    tree : Tree
    rows : ndarray of shape (n_rows, n_columns)
        Corners of the region that has to be free of poles.
    low, high : float
        Values outside of these count as running off.
    """
    for divisor in dict.fromkeys(_divisors(tree)):
        if not divisor.columns:
            continue
        values = evaluate(divisor, rows)
        above, below = np.flatnonzero(values > 0.0), np.flatnonzero(values < 0.0)
        if not len(above) or not len(below):
            continue
        pairs = min(PAIRS, len(above), len(below))
        above = above[np.argsort(values[above], kind="stable")[:pairs]]
        below = below[np.argsort(-values[below], kind="stable")[:pairs]]
        ends = np.concatenate(_zero_between(divisor, rows[above], rows[below]))
        if not ((found := evaluate(tree, ends)) >= low).all() or not (found <= high).all():
            return True
    return False


def _zero_between(divisor: Tree, above: Array, below: Array) -> tuple[Array, Array]:
    """Rows on both sides of a zero, by bisection between rows of opposite signs."""
    for _ in range(HALVINGS):
        middle = 0.5 * above + 0.5 * below
        positive = (evaluate(divisor, middle) > 0.0)[:, None]
        above, below = np.where(positive, middle, above), np.where(positive, below, middle)
    return above, below


def _divisors(tree: Tree) -> Iterator[Tree]:
    """What must not be zero, factor by factor."""
    for at, symbol in enumerate(tree.symbols):
        if symbol >= VARIABLE or symbol == CONSTANT:
            continue
        if symbol == _DIV:
            yield from _factors(tree.subtree(tree.children(at)[1]))
        elif symbol == _INV:
            yield from _factors(tree.subtree(at + 1))
        elif symbol == _TAN:
            yield Tree.apply("cos", tree.subtree(at + 1))
        elif symbol == _POW:
            base, exponent = (tree.subtree(i) for i in tree.children(at))
            if exponent.symbols == (CONSTANT,) and exponent.constants[0] < 0.0:
                yield from _factors(base)


def _factors(tree: Tree) -> Iterator[Tree]:
    """Parts of a formula that are zero where it is."""
    symbol = tree.symbols[0]
    if symbol == _MUL:
        for argument in tree.args():
            yield from _factors(argument)
    elif symbol in _LIKE_ARGUMENT:
        yield from _factors(tree.args()[0])
    else:
        yield tree

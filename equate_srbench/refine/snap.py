"""Snapping of fitted constants to simple numbers (2, 1/3, pi) where the data allow it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import mean_square
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.one_formula import fit_constants
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: ``refit(tree, held)``: the tree with all constants but those at positions ``held`` fitted again.
Refit = Callable[[Tree, Set[int]], Tree]

_EXACT = 1e-24  # share of the target's variance below which a fit counts as exact
_LARGEST_DENOMINATOR = 12
_LARGEST_WHOLE = 100.0
_ROOTS = (2.0, 3.0, 5.0, math.pi, 2.0 * math.pi)
_PI_SHARES = (1, 2, 3, 4, 6, 8)


def snap(
    tree: Tree,
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    margin: float = 1e-6,
    reach: float = 1e-3,
    refit: Refit | None = None,
    deadline: Deadline | None = None,
) -> Tree:
    """Snap constants to simple numbers, one at a time, while the fit stays as good.

    Parameters
    ----------
    tree : Tree
        With fitted constants.
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,), optional
    margin : float, default=1e-6
        Relative growth of the weighted mean squared residual allowed per constant moved: under
        noise ``2*b/n_rows`` if a free constant is worth ``b`` nats. A residual below 1e-24 of the
        target's variance counts as exact, whatever the growth.
    reach : float, default=1e-3
        Largest relative distance from a constant to its simple number; zero is always tried.
    refit : callable, optional
        Fits the other constants again after a move (default: a small least-squares solver);
        give ``lambda tree, held: tree`` to leave them.
    deadline : Deadline, optional
        The result so far is returned when it is over.

    Returns
    -------
    Tree
        Rewritten, so that factors 1 and terms 0 are gone.

    Examples
    --------
    >>> import numpy as np
    >>> from equate_srbench.expr.text.parser import parse
    >>> X = np.linspace(1.0, 2.0, 9)[:, None]
    >>> snap(parse("1.9999999999*x + 0.33333333334", ["x"]), X, 2.0 * X[:, 0] + 1.0 / 3.0)
    Tree(add mul 2 x_0 0.333333)
    """
    deadline = deadline or Deadline()
    if refit is None:

        def refit(new: Tree, held: Set[int]) -> Tree:
            fit = fit_constants(new, X, y, weights, held=held, deadline=deadline, check_input=False)
            return fit.tree

    def loss(new: Tree) -> float:
        return mean_square(new, X, y, weights)

    variance = float(np.average((y - np.average(y, weights=weights)) ** 2, weights=weights))
    tree = rewrite(tree)  # 2.02*3.10*x has no simple constant, 6.28*x has
    return rewrite(_moved_all(tree, loss, refit, margin, _EXACT * variance, reach, deadline))


def _moved_all(
    tree: Tree,
    loss: Callable[[Tree], float],
    refit: Refit,
    margin: float,
    exact: float,
    reach: float,
    deadline: Deadline,
) -> Tree:
    """Greedy loop: always the most plausible move that the fit allows."""
    least = loss(tree)
    held: set[int] = set()
    n_moved = 0
    while True:
        allowed = max(least * (1.0 + margin * (n_moved + 1)), exact)
        for place, value in _moves(tree, held, reach):
            if deadline.over:
                return tree
            moved = _moved(tree, place, value)
            if loss(moved) > allowed:
                moved = refit(moved, held | {place})
            if loss(moved) <= allowed and moved.constants[place] == value:
                break
        else:
            return tree
        tree, least, n_moved = moved, min(least, loss(moved)), n_moved + 1
        held.add(place)


def _moved(tree: Tree, place: int, value: float) -> Tree:
    constants = list(tree.constants)
    constants[place] = value
    return tree.with_constants(constants)


def _moves(tree: Tree, held: set[int], reach: float) -> list[tuple[int, float]]:
    """Candidate moves, the most plausible first; constants already simple join ``held``."""
    found: list[tuple[float, int, int, float]] = []
    for place, constant in enumerate(tree.constants):
        if place in held:
            continue
        for cost, value in _simple_numbers(constant, reach):
            if value == constant:  # simple already
                held.add(place)
                found = [move for move in found if move[2] != place]
                break
            # a number of the same look ten times nearer wins; of equal nearness the simpler one
            nearness = math.log10(max(abs(value - constant) / max(abs(constant), 1e-300), 1e-16))
            found.append((cost + nearness, cost, place, value))
    return [(place, value) for _, _, place, value in sorted(found)]


def _simple_numbers(constant: float, reach: float) -> Iterator[tuple[int, float]]:
    """Simple numbers near ``constant``, and zero, with their costs."""
    size, sign = abs(constant), math.copysign(1.0, constant)
    if size == 0.0 or not math.isfinite(size):
        return
    nearest = float(round(size))
    allowed = size * (reach if nearest <= _LARGEST_WHOLE else min(reach, 1e-6))
    if nearest > 0.0 and abs(nearest - size) <= allowed:
        yield (0 if nearest <= 10.0 else 1), sign * nearest
    values, costs = _table()
    low, high = np.searchsorted(values, [size * (1.0 - reach), size * (1.0 + reach)])
    for i in range(int(low), int(high)):
        yield int(costs[i]), sign * float(values[i])
    yield 3, 0.0


@lru_cache(maxsize=1)
def _table() -> tuple[Array, NDArray[np.int64]]:
    """Simple numbers that are not integers, ascending, with their costs."""
    table: dict[float, int] = {}

    def note(value: float, cost: int) -> None:
        if not value.is_integer():
            table.setdefault(value, cost)

    for q in range(2, _LARGEST_DENOMINATOR + 1):
        for p in range(1, 2 * _LARGEST_DENOMINATOR + 1):
            if Fraction(p, q).denominator == q:
                note(p / q, 1 if q <= 4 or q in (5, 10) else 2)
    for p in (*_PI_SHARES, 10, 12, 16):
        for q in _PI_SHARES:
            note(p * math.pi / q, 1 if q in (1, 2) else 2)
            note(p / (q * math.pi), 2)
    note(math.pi**2, 2)
    for value in _ROOTS:
        for p in (1, 2, 3):
            note(p * math.sqrt(value), 2)
            note(p / math.sqrt(value), 2)
            note(math.sqrt(value) / p, 2)
    for value in (math.e, 1.0 / math.e, math.log(2.0), 1.0 / math.log(2.0), math.log(10.0)):
        note(value, 2)
    values = np.array(sorted(table))
    return values, np.array([table[value] for value in values.tolist()])

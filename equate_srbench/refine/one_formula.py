"""Least-squares constants of one formula, with their covariance.

``Refiner`` finds the constants. Gauss-Newton steps then polish them beyond the precision that a
comparison of losses can reach (half of a double's digits), and the last linear model gives the
covariance.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.operators import CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import tolerances
from equate_srbench.refine.programs import Floats
from equate_srbench.refine.refiner import Refiner, jacobian
from equate_srbench.runtime.clock import Deadline

_MAX_STEPS = 100
_MAX_POLISH = 20
_SHRINKING = 0.9
_ROUNDING = 1e-13  # relative growth of a loss that is rounding alone
_RANK = math.sqrt(tolerances.DEPENDENT)


@dataclass(frozen=True, slots=True)
class ConstantFit:
    """Result of ``fit_constants``.

    Attributes
    ----------
    tree : Tree
        The formula with its fitted constants.
    loss : float
        Weighted mean squared residual; inf where the formula is undefined on some row.
    covariance : ndarray of shape (n_constants, n_constants)
        ``s^2 (J'J)^-1`` with the residual variance ``s^2`` and the Jacobian ``J``; NaN if the data
        do not determine the constants, 0 for constants that were held.
    """

    tree: Tree
    loss: float
    covariance: Floats


def fit_constants(
    tree: Tree,
    X: Floats,
    y: Floats,
    weights: Floats | None = None,
    *,
    held: Collection[int] = (),
    deadline: Deadline | None = None,
    check_input: bool = True,
) -> ConstantFit:
    """Fit the constants of ``tree`` by least squares, starting from their current values.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,), optional
        Not negative.
    held : collection of int, default=()
        Positions of constants that keep their values.
    deadline : Deadline, optional
        Ends the fit early, with the constants reached by then.
    check_input : bool, default=True
        As in ``Refiner``.

    Returns
    -------
    ConstantFit
        Never worse than the start. A formula that is undefined on some row is returned unchanged.
    """
    n = len(tree.constants)
    free = [i for i in range(n) if i not in held]
    covariance = np.zeros((n, n))
    problem = _Problem(tree, X, y, weights, held, check_input)
    start = np.array(problem.tree.constants)
    if free and math.isfinite(problem.loss(start)):
        values, covariance[np.ix_(free, free)] = problem.solve(start, deadline)
        constants = np.array(tree.constants)
        constants[free] = values
        tree = tree.with_constants(constants.tolist())
    return ConstantFit(tree, mean_square(tree, X, y, weights), covariance)


class _Problem:
    """One fit; losses are in units of the largest target, so that no square leaves float64.

    Held constants become columns of the table, so that all constants of ``tree`` are free.
    """

    def __init__(
        self,
        tree: Tree,
        X: Floats,
        y: Floats,
        weights: Floats | None,
        held: Collection[int],
        check_input: bool,
    ) -> None:
        self.tree, self._X = _held_as_columns(tree, X, held)
        self._y, self._weights, self._check_input = y, weights, check_input
        self._roots = np.sqrt(np.ones(len(y)) if weights is None else weights)
        self._unit = float(np.max(np.abs(y), initial=0.0)) or 1.0

    def _residual(self, constants: Floats) -> Floats:
        with np.errstate(all="ignore"):
            values = evaluate(self.tree.with_constants(constants.tolist()), self._X)
            return self._roots * ((self._y - values) / self._unit)

    def loss(self, constants: Floats) -> float:
        """Sum of squared residuals; not finite if the formula is undefined on some row."""
        with np.errstate(all="ignore"):
            return float(np.sum(self._residual(constants) ** 2))

    def solve(self, start: Floats, deadline: Deadline | None) -> tuple[Floats, Floats]:
        """Constants no worse than ``start``, and their covariance."""
        refiner = Refiner(self._X, self._y, self._weights, check_input=self._check_input)
        fitted = refiner.fit([self.tree], affine=False, max_steps=_MAX_STEPS, deadline=deadline)
        first = self.loss(start)
        values = np.array(fitted.constants(0))
        loss = self.loss(values)
        if not loss <= first:
            values, loss = start, first
        inverse = self._inverse(values)
        last = math.inf
        for _ in range(_MAX_POLISH):
            if inverse is None or (deadline is not None and deadline.over):
                break
            step = inverse @ self._residual(values)
            size = float(np.max(np.abs(step) / np.max(np.abs(inverse), axis=1)))
            new_loss = self.loss(values + step)
            # steps stop shrinking at the level of rounding
            if size > _SHRINKING * last or not new_loss <= min(first, loss * (1.0 + _ROUNDING)):
                break
            values, loss, last = values + step, new_loss, size
            inverse = self._inverse(values)
        spare = np.count_nonzero(self._roots) - len(values)  # degrees of freedom
        if inverse is None or spare < 1:
            return values, np.full((len(values), len(values)), np.nan)
        with np.errstate(all="ignore"):  # squares of the target's unit may leave float64
            return values, loss / spare * (inverse @ inverse.T)

    def _inverse(self, constants: Floats) -> Floats | None:
        """Pseudo-inverse of the weighted Jacobian (per unit); None if its rank is deficient."""
        slopes = jacobian(self.tree.with_constants(constants.tolist()), self._X)
        slopes = self._roots[:, None] * slopes
        slopes[~np.isfinite(slopes)] = 0.0  # vertical tangents, left out by the kernel as well
        peaks = np.max(np.abs(slopes), axis=0, initial=0.0)
        if len(slopes) < len(constants) or not np.all(peaks > 0.0):
            return None
        slopes /= peaks
        norms = np.linalg.norm(slopes, axis=0)
        left, sizes, right = np.linalg.svd(slopes / norms, full_matrices=False)
        if sizes[-1] <= _RANK * sizes[0]:
            return None
        inverse: Floats = (right.T / sizes) @ left.T
        inverse *= (self._unit / peaks / norms)[:, None]
        return inverse


def _held_as_columns(tree: Tree, X: Floats, held: Collection[int]) -> tuple[Tree, Floats]:
    """``tree`` over a table of the columns it uses and one column per held constant."""
    columns = [X[:, j] for j in tree.columns]
    symbol_of = {VARIABLE + j: VARIABLE + i for i, j in enumerate(tree.columns)}
    symbols: list[int] = []
    constants: list[float] = []
    place = 0
    for symbol in tree.symbols:
        if symbol == CONSTANT and place in held:
            symbols.append(VARIABLE + len(columns))
            columns.append(np.full(len(X), tree.constants[place]))
        else:
            symbols.append(symbol_of.get(symbol, symbol))
            constants += tree.constants[place : place + 1] if symbol == CONSTANT else ()
        place += symbol == CONSTANT
    return Tree(symbols, constants), np.array(columns).reshape(len(columns), len(X)).T

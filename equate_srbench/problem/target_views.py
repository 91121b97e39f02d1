"""``TargetView``: a transformed target. Search ``g(y / m) = a f + b``, then solve for y.

The root of a sum of squares or the exponential of a product is hard to evolve node by node, but its
square or logarithm is a short sum. A view is a transform ``g`` whose inverse is expressible in the
operators, and a monomial ``m`` of columns that appears to be a factor of ``y``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

#: Views with larger values are rejected: their squares overflow.
MAX_TARGET = 1e100


@dataclass(frozen=True, slots=True)
class Transform:
    """An invertible (possibly branch-restricted) transform of the target.

    Attributes
    ----------
    name : str
    forward : callable
        ``g``; NaN outside its domain.
    slope : callable
        ``dg/dy``, for weights that convert errors in ``g`` to errors in ``y``.
    back : callable
        Tree of ``a f + b`` -> tree of ``g^-1(a f + b)``.
    """

    name: str
    forward: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    back: Callable[[Tree], Tree]


def _within(low: float, high: float, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda y: np.where((y >= low) & (y <= high), f(y), np.nan)


_POSITIVE = (np.nextafter(0.0, 1.0), np.inf)
_NEGATIVE = (-np.inf, -np.nextafter(0.0, 1.0))


def _wrap(*names: str) -> Callable[[Tree], Tree]:
    def back(tree: Tree) -> Tree:
        for name in names:
            tree = Tree.apply(name, tree)
        return tree

    return back


def _negative(back: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
    return lambda tree: Tree.apply("mul", Tree.constant(-1.0), back(tree))


IDENTITY = Transform("identity", lambda y: y, np.ones_like, lambda tree: tree)

TRANSFORMS: tuple[Transform, ...] = (
    IDENTITY,
    Transform("inverse", lambda y: 1.0 / y, lambda y: -1.0 / y**2, _wrap("inv")),
    Transform("log", _within(*_POSITIVE, np.log), lambda y: 1.0 / y, _wrap("exp")),
    Transform("square", _within(*_POSITIVE, np.square), lambda y: 2.0 * y, _wrap("sqrt")),
    Transform(
        "inverse square",
        _within(*_POSITIVE, lambda y: y**-2.0),
        lambda y: -2.0 * y**-3.0,
        _wrap("sqrt", "inv"),
    ),
    Transform("root", _within(*_POSITIVE, np.sqrt), lambda y: 0.5 / np.sqrt(y), _wrap("square")),
    Transform(
        "log of minus",
        _within(*_NEGATIVE, lambda y: np.log(-y)),
        lambda y: 1.0 / y,
        _negative(_wrap("exp")),
    ),
    Transform(
        "square of minus",
        _within(*_NEGATIVE, np.square),
        lambda y: 2.0 * y,
        _negative(_wrap("sqrt")),
    ),
    Transform("exp", _within(-30.0, 30.0, np.exp), np.exp, _wrap("log")),
    Transform("sin", _within(-np.pi / 2, np.pi / 2, np.sin), np.cos, _wrap("arcsin")),
    Transform("cos", _within(0.0, np.pi, np.cos), lambda y: -np.sin(y), _wrap("arccos")),
)

_NAMED = {transform.name: transform for transform in TRANSFORMS}
_ONE_MINUS = Transform(
    "one minus",
    lambda y: 1.0 - y,
    lambda y: -np.ones_like(y),
    lambda tree: Tree.apply("sub", Tree.constant(1.0), tree),
)
_LESS_ONE = Transform(
    "less one",
    lambda y: y - 1.0,
    np.ones_like,
    lambda tree: Tree.apply("add", Tree.constant(1.0), tree),
)


def composed(*steps: Transform) -> Transform:
    """Transforms applied one after the other, the first one to the target itself."""
    if len(steps) == 1:
        return steps[0]
    first, rest = steps[0], composed(*steps[1:])
    return Transform(
        f"{rest.name} of {first.name}",
        lambda y: rest.forward(first.forward(y)),
        lambda y: rest.slope(first.forward(y)) * first.slope(y),
        lambda tree: first.back(rest.back(tree)),
    )


#: Transforms of saturating and of doubly curved laws: ``y = (1 - exp(-u))**2`` is the third,
#: the logistic curve ``1 / (1 + exp(u))`` the fourth.
COMPOSITIONS: tuple[Transform, ...] = (
    Transform("arctanh", _within(-1.0, 1.0, np.arctanh), lambda y: 1.0 / (1.0 - y**2),
              _wrap("tanh")),
    Transform("tan", _within(-np.pi / 2, np.pi / 2, np.tan), lambda y: 1.0 + np.tan(y) ** 2,
              _wrap("arctan")),
    composed(_NAMED["root"], _ONE_MINUS, _NAMED["log"]),
    composed(_NAMED["inverse"], _LESS_ONE, _NAMED["log"]),
    composed(_ONE_MINUS, _NAMED["log"]),
    composed(_LESS_ONE, _NAMED["log"]),
    composed(_ONE_MINUS, _NAMED["square"]),
    composed(_LESS_ONE, _NAMED["square"]),
    composed(_NAMED["square"], _ONE_MINUS, _NAMED["log"]),
    composed(_NAMED["log"], _NAMED["log"]),
    composed(_NAMED["log"], _NAMED["log of minus"]),
    composed(_NAMED["log"], _NAMED["inverse"]),
    composed(_NAMED["log"], _NAMED["square"]),
    composed(_NAMED["log"], _NAMED["square of minus"]),
    composed(_NAMED["square"], _NAMED["log"], _NAMED["inverse"]),
    composed(_NAMED["root"], _NAMED["root"]),
    composed(_NAMED["exp"], _LESS_ONE, _NAMED["log"]),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TargetView:
    """``g(y / m) ~ a f + b`` on given rows.

    Attributes
    ----------
    transform : Transform
    factor : Tree or None
        The monomial ``m``; None is 1.
    target : ndarray of shape (n_rows,)
        ``g(y / m)``.
    weights : ndarray of shape (n_rows,)
        Such that the weighted squared error here approximates the squared error in ``y``.
    """

    transform: Transform
    factor: Tree | None
    target: Array
    weights: Array

    @property
    def name(self) -> str:
        """Name of the transform, and whether a factor was divided out."""
        return self.transform.name + ("" if self.factor is None else " of quotient")

    def wrap(self, tree: Tree) -> Tree:
        """The formula for ``y``, given the formula ``tree`` for the target."""
        out = self.transform.back(tree)
        return out if self.factor is None else Tree.apply("mul", self.factor, out)


def view(
    transform: Transform, X: Array, y: Array, weights: Array | None, factor: Tree | None = None
) -> TargetView | None:
    """The view of ``y``, or None if it is undefined on a row.

    Parameters
    ----------
    transform : Transform
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    factor : Tree or None
        Monomial to divide by first.
    """
    with np.errstate(all="ignore"):
        m = np.ones_like(y) if factor is None else evaluate(factor, X)
        z = y / m
        target = transform.forward(z)
        slope = transform.slope(z) / m
        w = (1.0 if weights is None else weights) / slope**2
    if not (np.isfinite(w).all() and np.abs(target).max() < MAX_TARGET):  # not so for NaN
        return None
    # a few rows with all the weight would be the only ones fitted
    w = np.minimum(w, 1e4 * np.median(w))
    spread = np.ptp(target)
    if not spread > 1e-9 * np.abs(target).max(initial=0.0) or not w.sum() > 0.0:
        return None
    return TargetView(transform, factor, target, w)


def monomial_factor(X: Array, y: Array, *, tolerance: float = 0.08) -> Tree | None:
    """A monomial of columns that appears to be a factor of ``y``, or None.

    ``log|y|`` is regressed on a full quadratic in ``log|x|``. A column whose slope is close to an
    integer or half-integer and whose curvature and interactions are close to zero enters ``y`` as a
    power, and the search can look for the other factor. A wrong guess only costs time: every
    formula is judged on ``y`` itself.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    tolerance : float, default=0.08
        Largest deviation of a slope from a half-integer, and of curvature from zero.
    """
    usable = [j for j in range(X.shape[1]) if (X[:, j] > 0).all() and np.ptp(X[:, j]) > 0]
    if not usable or (y == 0).any() or not ((y > 0).all() or (y < 0).all()):
        return None
    L = np.log(X[:, usable])
    L = L - L.mean(axis=0)
    k = len(usable)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    A = np.column_stack([np.ones(len(y)), L, *(L[:, i] * L[:, j] for i, j in pairs)])
    if A.shape[0] < 2 * A.shape[1]:
        return None
    coef, *_ = np.linalg.lstsq(A, np.log(np.abs(y)), rcond=None)
    bend = np.zeros(k)
    for (i, j), c in zip(pairs, coef[1 + k :], strict=True):
        bend[i] = max(bend[i], abs(c))
        bend[j] = max(bend[j], abs(c))
    factor: Tree | None = None
    for j, column in enumerate(usable):
        slope = coef[1 + j]
        half = round(2.0 * slope) / 2.0
        if half == 0 or abs(half) > 4 or abs(slope - half) > tolerance or bend[j] > tolerance:
            continue
        power = power_tree(column, half)
        factor = power if factor is None else Tree.apply("mul", factor, power)
    return factor


def power_tree(column: int, exponent: float) -> Tree:
    """``x_column ** exponent`` for a half-integer exponent, with named operators if possible."""
    x = Tree.variable(column)
    base = abs(exponent)
    named = {0.5: "sqrt", 1.0: None, 2.0: "square", 3.0: "cube"}
    if base in named:
        name = named[base]
        out = x if name is None else Tree.apply(name, x)
    else:
        out = Tree.apply("pow", x, Tree.constant(base))
    return out if exponent > 0 else Tree.apply("inv", out)

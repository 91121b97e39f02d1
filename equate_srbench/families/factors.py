"""Functions of one column with parameters, and a dictionary of them on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import bulk
from equate_srbench.families.term_trees import near_exponent, power_of, weighted_sum
from equate_srbench.refine.refiner import evaluate_many

Array = NDArray[np.float64]

#: Smallest angle over the range of a column: slower waves are polynomials in disguise.
LEAST_ANGLE = 0.8
_POWERS = (-2.0, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0)
_PERIODS = np.concatenate([np.arange(0.25, 3.0, 0.25), np.arange(3.0, 12.5, 0.5)])
_OUTSIDE = (1.1, 1.5, 3.0)


@dataclass(frozen=True, slots=True)
class Factor:
    """A function of one column.

    Attributes
    ----------
    kind : str
        In ``_BUILDERS``.
    column : int
    parameters : tuple of float
        Fitted, in the order of the constants of ``tree``.
    order : float
        Exponent of the column that is not fitted.
    """

    kind: str
    column: int
    parameters: tuple[float, ...]
    order: float = 1.0

    @property
    def tree(self) -> Tree:
        """With all parameters as constants."""
        return _built(self.kind, self.column, self.order, self.parameters)

    @property
    def written(self) -> tuple[Tree, float]:
        """With simple numbers left out or named, and the sign of what is left."""
        x, values = Tree.variable(self.column), self.parameters
        if self.kind == "power" and (exponent := near_exponent(values[0])) != 0.0:
            return power_of(x, exponent), 1.0
        if self.kind == "shifted" and (exponent := near_exponent(values[1])) != 0.0:
            return power_of(_moved(x, self.order, values[0]), exponent), 1.0
        if self.kind == "exp" and (inner := weighted_sum([x], [values[0]])) is not None:
            return Tree.apply("exp", inner), 1.0
        if self.kind == "wave":
            return _wave(power_of(x, self.order), *values)
        return self.tree, 1.0

    def is_sound(self, size: float, width: float) -> bool:
        """Whether the parameters are those of a function of this kind, not of a limit of it.

        Parameters
        ----------
        size, width : float
            Largest value of the column, and its range.
        """
        if not self.parameters:
            return True
        first, last = abs(self.parameters[0]), abs(self.parameters[-1])
        if self.kind == "wave":
            return first * width * (size if self.order == 2.0 else 1.0) > LEAST_ANGLE
        if self.kind == "shifted":
            return last < 6.0 and first < size + 20.0 * width
        if self.kind == "shifted log":
            return first < size + 20.0 * width
        if self.kind in ("power", "hill"):
            return last < 12.0
        if self.kind == "bump":
            return 0.1 < -self.parameters[0] * width**2 < 1e3
        return 0.02 < first * width < 100.0


@lru_cache(maxsize=4096)
def _built(kind: str, column: int, order: float, parameters: tuple[float, ...]) -> Tree:
    """Starts are built many times: the same functions are in many products."""
    return _BUILDERS[kind](Tree.variable(column), order, *parameters)


def _wave(u: Tree, frequency: float, phase: float) -> tuple[Tree, float]:
    """Sine with a phase, or sine or cosine where that is all."""
    if frequency < 0.0:  # sin(-a) = sin(a + pi)
        frequency, phase = -frequency, math.pi - phase
    quarters = phase / (0.5 * math.pi)
    near = round(quarters)
    angle = weighted_sum([u], [frequency])
    if angle is None:
        return Tree.apply("sin", _affine(u, frequency, phase)), 1.0
    if abs(quarters - near) < 1e-6:
        return Tree.apply("cos" if near % 2 else "sin", angle), 1.0 if near % 4 < 2 else -1.0
    sign = 1.0
    phase = math.remainder(phase, 2.0 * math.pi)
    if abs(phase) > 0.5 * math.pi:
        phase, sign = math.remainder(phase + math.pi, 2.0 * math.pi), -1.0
    return Tree.apply("sin", Tree.apply("add", angle, _constant(phase))), sign


def _constant(value: float) -> Tree:
    return Tree.constant(value)


def _moved(x: Tree, order: float, c: float) -> Tree:
    """``x + c``, or ``c - x``."""
    return Tree.apply("add", x, _constant(c)) if order > 0.0 else Tree.apply("sub", _constant(c), x)


def _affine(x: Tree, w: float, b: float) -> Tree:
    return Tree.apply("add", Tree.apply("mul", _constant(w), x), _constant(b))


_BUILDERS: dict[str, Callable[..., Tree]] = {
    "whole": lambda x, n: power_of(x, n),
    "power": lambda x, n, p: Tree.apply("pow", x, _constant(p)),
    "exp": lambda x, n, r: Tree.apply("exp", Tree.apply("mul", _constant(r), x)),
    "log": lambda x, n: Tree.apply("log", x),
    "shifted log": lambda x, n, c: Tree.apply("log", _moved(x, n, c)),
    "shifted": lambda x, n, c, p: Tree.apply("pow", _moved(x, n, c), _constant(p)),
    "bump": lambda x, n, a, m: Tree.apply(
        "exp",
        Tree.apply("mul", _constant(a), Tree.apply("square", Tree.apply("sub", x, _constant(m)))),
    ),
    "tanh": lambda x, n, w, b: Tree.apply("tanh", _affine(x, w, b)),
    "logistic": lambda x, n, w, b: Tree.apply(
        "inv", Tree.apply("add", _constant(1.0), Tree.apply("exp", _affine(x, w, b)))
    ),
    "wave": lambda x, n, w, b: Tree.apply("sin", _affine(power_of(x, n), w, b)),
    "hill": lambda x, n, k, p: Tree.apply(
        "inv",
        Tree.apply(
            "add",
            _constant(1.0),
            Tree.apply("mul", _constant(k), Tree.apply("pow", x, _constant(p))),
        ),
    ),
}


@dataclass(frozen=True)
class Dictionary:
    """Functions of one column with their values.

    Attributes
    ----------
    factors : tuple of Factor
        The constant first, waves last; ``None`` in place of the constant.
    n_still : int
        Number of functions that are no waves.
    values : ndarray of shape (n_rows, n_still + 2 * n_waves)
        Of largest size 1; the last blocks are cosines and sines.
    sizes : ndarray of shape (n_functions,)
        What ``values`` are divided by.
    """

    factors: tuple[Factor | None, ...]
    n_still: int
    values: Array
    sizes: Array

    @classmethod
    def of(cls, x: Array, column: int) -> Dictionary:
        """All functions that are defined on the column."""
        still = list(_still(x, column))
        trees = [Factor(f.kind, 0, f.parameters, f.order).tree for f in still]
        values = evaluate_many(trees, x[:, None]).T
        sizes = np.abs(values).max(axis=0)
        usable = np.isfinite(sizes) & (sizes > 0.0) & (np.ptp(values, axis=0) > 1e-9 * sizes)
        still = [f for f, ok in zip(still, usable.tolist(), strict=True) if ok]
        waves: list[Factor] = []
        blocks = [np.ones((len(x), 1)), values[:, usable] / sizes[usable]]
        angles = []
        for order, periods in ((1.0, _PERIODS), (2.0, _PERIODS[_PERIODS < 6.0])):
            u = x**order
            width = float(np.ptp(u))
            if not 0.0 < width < np.inf:
                continue
            w = 2.0 * math.pi * periods / width
            waves += [Factor("wave", column, (v, 0.0), order) for v in w.tolist()]
            angles.append(u[:, None] * w)
        if angles:
            angle = np.concatenate(angles, axis=1)
            blocks += [np.cos(angle), np.sin(angle)]
        divided = np.r_[1.0, sizes[usable], np.ones(len(waves))]
        return cls((None, *still, *waves), 1 + len(still), np.concatenate(blocks, axis=1), divided)

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """A number for each function: its kind and fixed exponent; 0 for the constant."""
        numbers: dict[tuple[str, float] | None, int] = {None: 0}
        keys = [None if f is None else (f.kind, f.order) for f in self.factors]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys])

    @cached_property
    def is_power(self) -> NDArray[np.bool_]:
        """Which functions are powers."""
        return np.array([f is not None and f.kind in ("whole", "power") for f in self.factors])

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """Which functions may be multiplied by another one of the same column, or are 1."""
        log = [f is None or f.kind == "log" for f in self.factors]
        return np.asarray(self.is_power | np.array(log))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Columns of ``values``, (2, n_functions): cosine and sine of a wave, or one twice."""
        first = np.arange(len(self.factors))
        is_wave = first >= self.n_still
        return np.stack([first, np.where(is_wave, first + len(first) - self.n_still, first)])

    def factor(self, i: int, cosine: float, sine: float) -> Factor | None:
        """Function ``i``; a wave with the phase of these amplitudes."""
        found = self.factors[i]
        if found is None or i < self.n_still:
            return found
        phase = math.atan2(cosine, sine)
        return Factor("wave", found.column, (found.parameters[0], phase), found.order)


def _still(x: Array, column: int) -> Iterator[Factor]:
    """Functions of a column that do not oscillate."""
    low, high = float(x.min()), float(x.max())
    middle, half = bulk(x)
    for n in (1.0, 2.0, 3.0) if low <= 0.0 else ():
        yield Factor("whole", column, (), n)
    if low > 0.0:
        for p in _POWERS:
            yield Factor("power", column, (p,))
        yield Factor("log", column, ())
        for place in (0.3, 1.0, 3.0):
            for p in (-1.0, -3.0):
                yield Factor("hill", column, (place * math.sqrt(low * high) ** -p, p))
    elif high < 0.0 or (x != 0.0).all():
        yield Factor("whole", column, (), -1.0)
        yield Factor("whole", column, (), -2.0)
    if not half**2 > 0.0:
        return
    for r in (-6.0, -2.0, -0.6, 0.6, 2.0, 6.0):
        yield Factor("exp", column, (r / half / 2.0,))
    for b in _OUTSIDE:
        for order, c in ((1.0, b * half - middle), (-1.0, b * half + middle)):
            yield Factor("shifted log", column, (c,), order)
            for p in (-1.0, 0.5, 2.5):
                yield Factor("shifted", column, (c, p), order)
    for at in (-0.7, 0.0, 0.7):
        for narrow in (1.0, 3.0, 10.0):
            yield Factor("bump", column, (-narrow / half**2, middle + at * half))
        for slope in (1.5, 5.0):
            yield Factor("tanh", column, (slope / half, -slope * (middle / half + at)))
            for w in (-slope / half, slope / half):
                yield Factor("logistic", column, (w, -w * (middle + at * half)))

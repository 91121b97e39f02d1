"""``Resolution``: the grid on which the numbers of a column were written down.

A table that was typed, printed or stored in single precision carries the rounding of its numbers:
no formula is better than that. A column is taken to be rounded only if all of many different values
lie on the grid, to the last digits of a double; numbers that were not rounded do so with a
probability of less than twice ``SLACK`` each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Fewest different values that show a grid.
FEWEST = 10
#: Decimals and significant digits that are looked for, the coarsest first. Finer rounding is beyond
#: what fits tell from none.
DECIMALS, DIGITS = range(-6, 11), range(2, 11)
#: Largest distance from the grid in steps, and in units of the last place.
SLACK, ULPS = 1e-2, 4.0
#: Largest share of the rounding in the variance: beyond it, the values are classes, not numbers.
COARSE = 0.02


@dataclass(frozen=True, slots=True)
class Resolution:
    """Grid of the values of one column.

    Attributes
    ----------
    kind : {"decimals", "digits", "single", "double"}
        Multiples of a power of ten, significant digits, IEEE single or double precision.
    number : int, default=0
        Of decimals (negative for tens, hundreds, ...) or of significant digits.
    """

    kind: str = "double"
    number: int = 0

    @property
    def is_rounded(self) -> bool:
        """Whether the grid is coarser than double precision."""
        return self.kind != "double"

    def steps(self, values: Array) -> Array:
        """Distance between neighbours on the grid at each value, of the shape of ``values``."""
        if self.kind == "decimals":
            return np.full(values.shape, 10.0**-self.number)
        if self.kind == "digits":
            return _digit_steps(values, self.number)
        if self.kind == "single":
            return np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)
        with np.errstate(over="ignore"):
            return np.spacing(np.abs(values))

    def describe(self, name: str) -> str:
        """The grid in words, such as ``y has 3 decimals``; empty in double precision."""
        if self.kind == "decimals":
            if self.number > 0:
                return f"{name} has {self.number} decimal{'s' if self.number > 1 else ''}"
            unit = 10**-self.number
            return f"{name} is whole" if unit == 1 else f"{name} is a multiple of {unit:,}"
        if self.kind == "digits":
            return f"{name} has {self.number} significant digits"
        return f"{name} is in single precision" if self.kind == "single" else ""


DOUBLE = Resolution()


def resolution_of(values: Array) -> Resolution:
    """The coarsest grid on which all values lie, or double precision.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Finite, in the units in which they were written down.
    """
    values = np.unique(values)
    values = values[values != 0.0]  # on every grid
    if len(values) < FEWEST:
        return DOUBLE
    with np.errstate(all="ignore"):
        is_single = bool((values.astype(np.float32) == values).all())
        last = np.spacing(np.abs(values))
        if is_single:
            last = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)
        found = [Resolution("single")] if is_single else []
        for kind, numbers in (("decimals", DECIMALS), ("digits", DIGITS)):
            grids = (Resolution(kind, number) for number in numbers)
            found += [grid for grid in grids if _on_grid(values, grid.steps(values), last)][:1]
        usable = [grid for grid in found if _counts(values, grid)]
    # of two grids that hold all values the coarser one explains more
    return max(usable, key=lambda grid: float(np.mean(np.log(grid.steps(values)))), default=DOUBLE)


def _on_grid(values: Array, steps: Array, last: Array) -> bool:
    """Whether all values are multiples of their steps, and that is no matter of course."""
    gap = np.abs(values - np.rint(values / steps) * steps)
    return bool((gap <= ULPS * last).all() and (ULPS * last <= SLACK * steps).all())


def _counts(values: Array, grid: Resolution) -> bool:
    """Whether the rounding is neither most of what varies nor less than a fit can tell."""
    scale = float(np.abs(values).max())
    variance = float(np.var(values / scale))
    rounding = float(np.mean((grid.steps(values) / scale) ** 2)) / 12.0
    return 1e-22 * variance < rounding < COARSE * variance


def _digit_steps(values: Array, digits: int) -> Array:
    size = np.abs(values)
    size = np.where(size > 0.0, size, 1.0)
    return np.asarray(10.0 ** (np.floor(np.log10(size)) - digits + 1.0))

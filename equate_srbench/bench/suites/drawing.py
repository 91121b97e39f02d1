"""Drawing the rows of a set from a formula and the ranges of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]
Sign = Literal["pos", "neg", "pos_neg"]
SIGNS: tuple[str, ...] = get_args(Sign)

_MAX_ROUNDS = 100  # of drawing again where the target is not finite
_WIDER = 0.5  # of its own width, on each side of a range
_WIDER_LOG = 3.0


class RangeError(ValueError):
    """A range from which no value can be drawn, or a formula that is hardly ever defined."""


@dataclass(frozen=True, slots=True)
class Range:
    """Distribution of one variable.

    Attributes
    ----------
    low, high : float
        Bounds of the values, or of their size where ``sign`` is not ``pos``.
    log : bool, default=False
        Log-uniform instead of uniform; the bounds are then positive.
    integer : bool, default=False
        Whole numbers, both bounds included.
    sign : {"pos", "neg", "pos_neg"}, default="pos"
        What the drawn number is multiplied by: 1, -1, or one of both at random.

    Raises
    ------
    RangeError
        For bounds in the wrong order, or such that nothing can be drawn between them.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False
    sign: Sign = "pos"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise RangeError(f"range {self.low:g} .. {self.high:g}: give finite bounds in order")
        if self.log and self.low <= 0.0:
            raise RangeError(
                f"log-uniform from {self.low:g}: give a positive lower bound, and the sign apart"
            )
        if self.integer and self.low > self.high // 1:
            raise RangeError(f"no whole number in {self.low:g} .. {self.high:g}")
        if self.sign not in SIGNS:
            raise RangeError(f"sign {self.sign!r}: use one of {', '.join(SIGNS)}")

    @classmethod
    def from_json(cls, value: Any) -> Range:
        """A range from ``[low, high]`` (uniform) or from an object with the fields of the class."""
        if isinstance(value, list):
            return cls(*value)
        return cls(**{name: each for name, each in value.items() if name != "label"})

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` values, shape (n,)."""
        if self.log:
            values = 10.0 ** rng.uniform(np.log10(self.low), np.log10(self.high), n)
            values = np.round(values) if self.integer else values
        elif self.integer:
            values = rng.integers(int(np.ceil(self.low)), int(self.high) + 1, n).astype(float)
        else:
            values = rng.uniform(self.low, self.high, n)
        return self._signed(values, rng)

    def draw_wider(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` values from the range and half of its width on each side, shape (n,).

        A log-uniform range reaches three times further either way, whole numbers two further up.
        A variable keeps its sign: a bound that is not negative is at most halved.
        """
        if self.log:
            a, b = np.log10(self.low / _WIDER_LOG), np.log10(self.high * _WIDER_LOG)
            return self._signed(10.0 ** rng.uniform(a, b, n), rng)
        if self.integer:
            values = rng.integers(int(np.ceil(self.low)), int(self.high) + 3, n).astype(float)
            return self._signed(values, rng)
        further = _WIDER * (self.high - self.low)
        low, high = self.low - further, self.high + further
        if self.low >= 0.0:
            low = max(low, self.low / 2.0)
        if self.high <= 0.0:
            high = min(high, self.high / 2.0)
        return self._signed(rng.uniform(low, high, n), rng)

    def _signed(self, values: Array, rng: np.random.Generator) -> Array:
        if self.sign == "pos":
            return values
        signs = rng.choice([-1.0, 1.0], len(values)) if self.sign == "pos_neg" else -1.0
        return np.asarray(signs * values)


def draw_rows(
    tree: Tree,
    ranges: Mapping[str, Range],
    n: int,
    rng: np.random.Generator,
    *,
    single: bool = False,
) -> tuple[pd.DataFrame, Array]:
    """Draw rows on which a formula is defined.

    Parameters
    ----------
    tree : Tree
        The formula of the target, over the columns in the order of ``ranges``.
    ranges : mapping of str to Range
        One per column.
    n : int
        Number of rows.
    rng : Generator
    single : bool, default=False
        Round columns and target to single precision, after the target is computed.

    Returns
    -------
    X : DataFrame of shape (n, n_columns), float64
    y : ndarray of shape (n,), float64
        Finite; rows with another target are drawn again, all columns of them.

    Raises
    ------
    RangeError
        If 100 times as many draws do not give ``n`` finite targets.
    """
    columns, targets, found = [], [], 0
    for _ in range(_MAX_ROUNDS):
        X = np.column_stack([one.draw(n, rng) for one in ranges.values()])
        y = evaluate(tree, X)
        if single:
            with np.errstate(over="ignore", under="ignore"):
                X, y = (values.astype(np.float32).astype(np.float64) for values in (X, y))
        defined = np.isfinite(y)
        columns.append(X[defined])
        targets.append(y[defined])
        found += int(defined.sum())
        if found >= n:
            values = np.concatenate(columns)[:n].T
            return pd.DataFrame(dict(zip(ranges, values, strict=True))), np.concatenate(targets)[:n]
    raise RangeError(
        f"{found} finite targets in {_MAX_ROUNDS * n} draws, {n} are wanted: "
        "narrow the ranges to where the formula is defined"
    )

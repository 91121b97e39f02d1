"""Views: the two scalings in which the backbone reads a table.

The *scale* view keeps zeros and ratios of the columns, so products and quotients stay short; the
*standard* view (E2E's only one) removes mean and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.operators import VARIABLE
from equate_srbench.expr.tree import Tree

Kind = Literal["scale", "standard"]

_LAST = 300
_POWERS_OF_TEN = np.array([float(f"1e{k}") for k in range(-_LAST, _LAST + 1)])


@dataclass(frozen=True, eq=False)
class View:
    """An affine transform of the columns, ``(x - center) / scale``.

    Attributes
    ----------
    kind : {"scale", "standard"}
    center : ndarray of shape (..., n_columns)
        Zero for kind "scale".
    scale : ndarray of shape (..., n_columns)
        Positive; a power of ten for kind "scale".
    """

    kind: Kind
    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, X: NDArray[np.float64], kind: Kind, mask: NDArray[np.bool_] | None = None) -> View:
        """Fit a view to a table, or to each table of a batch.

        Parameters
        ----------
        X : ndarray of shape (..., n_rows, n_columns)
            Finite values of any size.
        kind : {"scale", "standard"}
            "scale" divides by ``10**floor(log10(rms))``, "standard" by the standard deviation;
            columns of zeros, and constant ones under "standard", keep scale 1.
        mask : bool ndarray of shape (..., n_rows), optional
            True where a row is valid; all by default.
        """
        if kind not in ("scale", "standard"):
            raise ValueError(f"kind must be 'scale' or 'standard', got {kind!r}")
        X = np.asarray(X, dtype=np.float64)
        weight = np.ones(X.shape[:-1]) if mask is None else mask.astype(np.float64)
        weight = (weight / np.maximum(weight.sum(-1, keepdims=True), 1.0))[..., None]
        # Everything is computed relative to the largest value: squares of 1e200 overflow.
        largest = np.abs(np.where(weight > 0, X, 0.0)).max(-2)
        unit = np.where(largest > 0, largest, 1.0)
        Z = np.where(weight > 0, X, 0.0) / unit[..., None, :]
        mean = (weight * Z).sum(-2)
        if kind == "standard":
            spread = np.sqrt((weight * (Z - mean[..., None, :]) ** 2).sum(-2))
            scale = np.where(spread > 1e-13, spread * unit, 1.0)
            return cls(kind, mean * unit, np.maximum(scale, np.finfo(np.float64).tiny))
        rms = np.sqrt((weight * Z**2).sum(-2))
        exponent = np.floor(np.log10(np.where(rms > 0, rms, 1.0)) + np.log10(unit))
        power = np.clip(exponent, -_LAST, _LAST).astype(np.int64)
        return cls(kind, np.zeros_like(mean), _POWERS_OF_TEN[power + _LAST])

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform ``X`` of shape (..., n_rows, n_columns)."""
        return (X - self.center[..., None, :]) / self.scale[..., None, :]

    def to_canonical(self, tree: Tree) -> Tree:
        """Rewrite a tree over the view's columns as one over the table's columns.

        The result performs the same operations as ``transform``, so its values on ``X`` equal those
        of ``tree`` on ``transform(X)``. Only for the view of a single table.
        """
        for start in range(tree.size - 1, -1, -1):
            symbol = tree.symbols[start]
            if symbol >= VARIABLE:
                tree = tree.replace(start, self._column(symbol - VARIABLE))
        return tree

    def _column(self, column: int) -> Tree:
        center, scale = float(self.center[column]), float(self.scale[column])
        out = Tree.variable(column)
        if center != 0.0:
            out = Tree.apply("sub", out, Tree.constant(center))
        return out if scale == 1.0 else Tree.apply("div", out, Tree.constant(scale))

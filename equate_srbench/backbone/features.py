"""The backbone's input for a bag of points: numeric features, or E2E's float tokens.

The numeric features replace E2E's three tokens per number by a few squashed channels. Every
channel is bounded for any finite input, so that one value of 1e150 does not dominate the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.backbone.views import View
from equate_srbench.expr.tokens.e2e_vocabulary import float_tokens

_PER_POINT = 4  # presence, linear, asinh, log
_PER_COLUMN = 4  # scale, centre, smallest, largest
_TARGET = 5  # linear, asinh, sign, log, log of the standardised target
_TABLE = 3  # view flag, size of y, mean of y over its spread
_LIMIT = 8.0


def n_features(max_columns: int = 10) -> int:
    """Number of features of a point."""
    return max_columns * (_PER_POINT + _PER_COLUMN) + _TARGET + _TABLE


def point_features(
    X_view: NDArray[np.float64],
    y: NDArray[np.float64],
    view: View,
    *,
    mask: NDArray[np.bool_] | None = None,
    present: NDArray[np.bool_] | None = None,
    max_columns: int = 10,
) -> NDArray[np.float32]:
    """Features of the points of one bag, or of a batch of bags.

    Parameters
    ----------
    X_view : ndarray of shape (..., n_points, n_columns)
        ``view.transform(X)``; finite values of any size.
    y : ndarray of shape (..., n_points)
        Raw target.
    view : View
        Its ``center`` and ``scale`` have shape (..., n_columns).
    mask : bool ndarray of shape (..., n_points), optional
        True where a point is valid; all by default. Features of the others are zero.
    present : bool ndarray of shape (..., n_columns), optional
        True where a column exists; all by default. Lets a batch hold tables of unequal width.
    max_columns : int, default=10
        Columns beyond ``n_columns`` are marked absent.

    Returns
    -------
    float32 ndarray of shape (..., n_points, n_features(max_columns))
        Every value within -8 .. 8.

    Raises
    ------
    ValueError
        If there are more than ``max_columns`` columns.
    """
    X_view, y = np.asarray(X_view, dtype=np.float64), np.asarray(y, dtype=np.float64)
    *lead, n_points, n_columns = X_view.shape
    if n_columns > max_columns:
        raise ValueError(f"{n_columns} columns, the model takes {max_columns}")
    valid = np.ones((*lead, n_points), dtype=bool) if mask is None else mask
    exists = np.ones((*lead, n_columns), dtype=bool) if present is None else present
    out = np.zeros((*lead, n_points, n_features(max_columns)), dtype=np.float32)
    wide = out[..., : max_columns * (_PER_POINT + _PER_COLUMN)]
    wide = wide.reshape(*lead, n_points, max_columns, _PER_POINT + _PER_COLUMN)
    columns = wide[..., :n_columns, :]
    columns[..., 0] = 1.0
    columns[..., 1] = np.clip(0.25 * X_view, -4.0, 4.0)
    columns[..., 2] = _asinh(X_view)
    columns[..., 3] = 0.5 * _log(X_view)
    columns[..., _PER_POINT:] = _column_facts(X_view, view, valid)[..., None, :, :]
    columns *= exists[..., None, :, None]
    target = out[..., max_columns * (_PER_POINT + _PER_COLUMN) :]
    _fill_target(target, y, valid)
    target[..., _TARGET] = 1.0 if view.kind == "standard" else -1.0
    out *= valid[..., None]
    return out


def _column_facts(
    X: NDArray[np.float64], view: View, valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scale, centre, smallest and largest value of each column, (..., n_columns, 4)."""
    smallest = np.where(valid[..., None], X, np.inf).min(-2)
    largest = np.where(valid[..., None], X, -np.inf).max(-2)
    return np.stack(
        [
            _asinh(np.log10(view.scale)),
            _asinh(view.center / view.scale),
            _asinh(smallest),
            _asinh(largest),
        ],
        axis=-1,
    )


def _fill_target(
    out: NDArray[np.float32], y: NDArray[np.float64], valid: NDArray[np.bool_]
) -> None:
    """Write the channels of the target and its scale into ``out`` (..., n_points, 8)."""
    y = np.where(valid, y, 0.0)
    weight = valid / np.maximum(valid.sum(-1, keepdims=True), 1)
    # Relative to the largest value, since squares of 1e200 overflow.
    largest = np.abs(y).max(-1, keepdims=True)
    unit = np.where(largest > 0, largest, 1.0)
    z = y / unit
    mean = (weight * z).sum(-1, keepdims=True)
    spread = np.sqrt((weight * (z - mean) ** 2).sum(-1, keepdims=True))
    rms = np.sqrt((weight * z**2).sum(-1, keepdims=True))
    z0 = (z - mean) / np.where(spread > 1e-13, spread, 1.0)
    logs = np.log(np.abs(z) + 1e-30)
    out[..., 0] = np.clip(0.5 * z0, -4.0, 4.0)
    out[..., 1] = _asinh(4.0 * z0)
    out[..., 2] = np.sign(z)
    out[..., 3] = np.clip(logs - (weight * logs).sum(-1, keepdims=True), -2 * _LIMIT, 2 * _LIMIT)
    out[..., 3] *= 0.5
    out[..., 4] = 0.5 * _log(z0)
    out[..., 6] = _asinh(np.log10(np.where(rms > 0, rms, 1.0)) + np.log10(unit))
    out[..., 7] = _asinh(mean / np.where(spread > 1e-13, spread, 1.0))


def _asinh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Asinh clipped to -8 .. 8: linear near zero, logarithmic beyond."""
    out: NDArray[np.float64] = np.clip(np.arcsinh(np.clip(x, -1e4, 1e4)), -_LIMIT, _LIMIT)
    return out


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of |x|, clipped to -8 .. 8; it turns products into sums."""
    out: NDArray[np.float64] = np.log(np.clip(np.abs(x), np.exp(-_LIMIT), np.exp(_LIMIT)))
    return out


def point_tokens(
    X: NDArray[np.float64], y: NDArray[np.float64], max_columns: int = 10
) -> NDArray[np.int64]:
    """E2E's float tokens of a bag: 3 per column, padded to ``max_columns``, and 3 for ``y``.

    Parameters
    ----------
    X : ndarray of shape (n_points, n_columns)
        Standardised columns.
    y : ndarray of shape (n_points,)
    max_columns : int, default=10

    Returns
    -------
    int64 ndarray of shape (n_points, 3 * (max_columns + 1))
    """
    floats = float_tokens()
    out = np.full((len(y), 3 * (max_columns + 1)), floats.input_pad, dtype=np.int64)
    if X.shape[1] > max_columns:
        raise ValueError(f"{X.shape[1]} columns, the model takes {max_columns}")
    values = np.column_stack([X, y]).ravel().tolist()
    ids = [floats.ids[word] for value in values for word in floats.split(value)]
    table = np.array(ids, dtype=np.int64).reshape(len(y), -1)
    out[:, : table.shape[1] - 3] = table[:, :-3]
    out[:, -3:] = table[:, -3:]
    return out

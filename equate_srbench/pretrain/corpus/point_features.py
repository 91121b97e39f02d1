"""``backbone.features.point_features`` in torch, for tables on the training device.

Without padding; a test compares it with the NumPy version.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equate_srbench.backbone.features import n_features

_LIMIT = 8.0


def point_features(
    X_view: Tensor, y: Tensor, center: Tensor, scale: Tensor, standard: Tensor, present: Tensor
) -> Tensor:
    """Features of the points of a batch of bags.

    Parameters
    ----------
    X_view : float64 Tensor of shape (B, n_points, n_columns)
        Columns in the view.
    y : float64 Tensor of shape (B, n_points)
        Raw target.
    center, scale : float64 Tensor of shape (B, n_columns)
        Of the view.
    standard : bool Tensor of shape (B,)
        Whether the view is the standard one.
    present : bool Tensor of shape (B, n_columns)
        Whether a column exists.

    Returns
    -------
    float32 Tensor of shape (B, n_points, n_features(n_columns))
    """
    facts = torch.stack(
        [
            _asinh(scale.log10()),
            _asinh(center / scale),
            _asinh(X_view.amin(1)),
            _asinh(X_view.amax(1)),
        ],
        dim=-1,
    )  # (B, n_columns, 4)
    b, n_points, n_columns = X_view.shape
    columns = torch.stack(
        [
            torch.ones_like(X_view),
            (0.25 * X_view).clamp(-4.0, 4.0),
            _asinh(X_view),
            0.5 * _log(X_view),
            *(f[:, None].expand(b, n_points, n_columns) for f in facts.unbind(-1)),
        ],
        dim=-1,
    )  # (B, n_points, n_columns, 8)
    columns = torch.where(present[:, None, :, None], columns, 0.0).flatten(2)
    out = torch.cat([columns, _target(y, standard)], dim=-1).float()
    if out.shape[-1] != n_features(n_columns):
        raise AssertionError("features differ from backbone.features")
    return out


def _target(y: Tensor, standard: Tensor) -> Tensor:
    """Channels of the target and its scale, (B, n_points, 8)."""
    largest = y.abs().amax(-1, keepdim=True)
    unit = torch.where(largest > 0, largest, 1.0)
    z = y / unit
    mean = z.mean(-1, keepdim=True)
    spread = (z - mean).square().mean(-1, keepdim=True).sqrt()
    spread = torch.where(spread > 1e-13, spread, 1.0)
    rms = z.square().mean(-1, keepdim=True).sqrt()
    z0 = (z - mean) / spread
    logs = (z.abs() + 1e-30).log()
    size = _asinh(torch.where(rms > 0, rms, 1.0).log10() + unit.log10())
    flag = torch.where(standard, 1.0, -1.0).to(y)[:, None]
    return torch.stack(
        [
            (0.5 * z0).clamp(-4.0, 4.0),
            _asinh(4.0 * z0),
            z.sign(),
            0.5 * (logs - logs.mean(-1, keepdim=True)).clamp(-2 * _LIMIT, 2 * _LIMIT),
            0.5 * _log(z0),
            flag.expand_as(y),
            size.expand_as(y),
            _asinh(mean / spread).expand_as(y),
        ],
        dim=-1,
    )


def _asinh(x: Tensor) -> Tensor:
    return x.clamp(-1e4, 1e4).asinh().clamp(-_LIMIT, _LIMIT)


def _log(x: Tensor) -> Tensor:
    bound = torch.tensor(_LIMIT, dtype=x.dtype, device=x.device).exp()
    return x.abs().clamp(1.0 / bound, bound).log()

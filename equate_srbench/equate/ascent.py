"""Gradient ascent on joint embeddings along the evaluator's gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class AscentStep:
    """The embeddings to decode in one step.

    Attributes
    ----------
    index : int
        0 for the starts themselves, then 1, 2, ...
    rungs : tuple of float
        Multiples of the step size; ``(0.0,)`` in step 0.
    embeddings : Tensor of shape (starts, rungs, rows, width)
    predicted : Tensor of shape (starts, rungs)
        The objective there.
    """

    index: int
    rungs: tuple[float, ...]
    embeddings: Tensor
    predicted: Tensor


def ascend(
    objective: Callable[[Tensor, Tensor], Tensor],
    starts: Tensor,
    mask: Tensor,
    *,
    steps: int,
    step_size: float,
    trust: float,
    ladder: Sequence[float],
) -> Iterator[AscentStep]:
    """Climb from every start at once; yields what each step wants decoded.

    Each step follows the gradient normalised to unit length, so that its size does not depend
    on the evaluator's scale. All multiples of the step in ``ladder`` are proposed, because a
    step may be too small to change the decoded formula; the climb itself goes on from multiple 1.

    Parameters
    ----------
    objective : callable
        ``objective(embedding (batch, rows, width), mask (batch, rows)) -> (batch,)``,
        differentiable.
    starts : Tensor of shape (starts, rows, width)
    mask : Tensor of shape (starts, rows), bool
        Valid rows; the others are never moved.
    steps : int
    step_size, trust : float
        Step and largest distance from the start, in Frobenius norms of the start (valid rows).
    ladder : sequence of float

    Yields
    ------
    AscentStep
        Step 0 holds the starts themselves.
    """
    starts = starts.detach()
    valid = mask[..., None]
    norm = _length(starts * valid)
    value, direction = _climb(objective, starts, mask)
    yield AscentStep(0, (0.0,), starts[:, None], value[:, None])
    rungs = tuple(ladder)
    multiples = torch.tensor(rungs, dtype=starts.dtype, device=starts.device)
    anchor, radius = starts[:, None], (trust * norm)[:, None]
    current = starts
    for index in range(1, steps + 1):
        move = step_size * norm * direction * valid
        # (starts, rungs, rows, width)
        proposed = _within(
            current[:, None] + multiples[:, None, None] * move[:, None], anchor, radius
        )
        with torch.no_grad():
            predicted = objective(
                proposed.flatten(0, 1), mask.repeat_interleave(len(rungs), 0)
            ).view(-1, len(rungs))
        yield AscentStep(index, rungs, proposed, predicted)
        if index < steps:
            current = _within((current + move)[:, None], anchor, radius)[:, 0]
            value, direction = _climb(objective, current, mask)


def _climb(
    objective: Callable[[Tensor, Tensor], Tensor], embedding: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Objective (batch,) and its gradient's direction (batch, rows, width), unit Frobenius norm."""
    with torch.enable_grad():
        point = embedding.detach().requires_grad_()
        value = objective(point, mask)
        (slope,) = torch.autograd.grad(value.sum(), point)
    slope = slope * mask[..., None]
    return value.detach(), slope / _length(slope).clamp_min(torch.finfo(slope.dtype).tiny)


def _within(point: Tensor, anchor: Tensor, radius: Tensor) -> Tensor:
    """``point`` drawn back onto the ball around ``anchor``; all (starts, rungs, rows, width)."""
    offset = point - anchor
    length = _length(offset)
    # a hair inside, so that float rounding never leaves the ball
    return anchor + offset * (radius * (1 - 1e-6) / length.clamp_min(1e-30)).clamp_max(1.0)


def _length(value: Tensor) -> Tensor:
    """Frobenius norm over the last two axes, which stay as ones."""
    length: Tensor = torch.linalg.vector_norm(value, dim=(-2, -1), keepdim=True)
    return length

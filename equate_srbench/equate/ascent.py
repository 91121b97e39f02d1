"""Gradient ascent on joint embeddings along the evaluator's gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equate_srbench.runtime.memory import OomSafe, joined


@dataclass(frozen=True, slots=True)
class AscentStep:
    """Embeddings to decode at one step of the ascent.

    Attributes
    ----------
    index : int
        0 for the starts themselves, then 1, 2, ...
    rungs : tuple of float
        Step multipliers; ``(0.0,)`` in step 0.
    embeddings : Tensor of shape (starts, rungs, rows, width)
    predicted : Tensor of shape (starts, rungs)
        Values of the objective.
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
    oom: OomSafe | None = None,
) -> Iterator[AscentStep]:
    """Gradient ascent from all starts in parallel; yields the embeddings to decode.

    Each step follows the normalised gradient, so that its length does not depend on the
    evaluator's scale. All multiples of the step in ``ladder`` are proposed, because a step may be
    too small to change the decoded formula; the trajectory itself continues from multiple 1.

    Parameters
    ----------
    objective : callable
        ``objective(embedding (batch, rows, width), mask (batch, rows)) -> (batch,)``,
        differentiable, on the device of its arguments.
    starts : Tensor of shape (starts, rows, width)
    mask : Tensor of shape (starts, rows), bool
        Valid rows; the others are never changed.
    steps : int
    step_size, trust : float
        Step length and trust radius around the start, relative to the start's Frobenius norm
        (valid rows).
    ladder : sequence of float
        Step multipliers.
    oom : OomSafe, optional
        Of the fit.

    Yields
    ------
    AscentStep
        Step 0 holds the starts themselves.
    """
    oom = oom or OomSafe()
    starts = starts.detach()
    valid = mask[..., None]
    norm = _length(starts * valid)
    value, direction = _gradient(objective, starts, mask, oom)
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
        flat, repeated = proposed.flatten(0, 1), mask.repeat_interleave(len(rungs), 0)
        predicted = _values(objective, flat, repeated, oom).view(-1, len(rungs))
        yield AscentStep(index, rungs, proposed, predicted)
        if index < steps:
            current = _within((current + move)[:, None], anchor, radius)[:, 0]
            value, direction = _gradient(objective, current, mask, oom)


@torch.no_grad()
def _values(
    objective: Callable[[Tensor, Tensor], Tensor], embedding: Tensor, mask: Tensor, oom: OomSafe
) -> Tensor:
    """Objective of embeddings (batch, rows, width), of shape (batch,)."""

    def work(rows: slice, where: torch.device) -> Tensor:
        return objective(embedding[rows].to(where), mask[rows].to(where)).to(embedding.device)

    return joined(oom.run("ascent", work, len(embedding), embedding.device))


def _gradient(
    objective: Callable[[Tensor, Tensor], Tensor], embedding: Tensor, mask: Tensor, oom: OomSafe
) -> tuple[Tensor, Tensor]:
    """Objective (batch,) and its normalised gradient (batch, rows, width)."""

    def work(rows: slice, where: torch.device) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            point = embedding[rows].detach().to(where).requires_grad_()
            value = objective(point, mask[rows].to(where))
            (slope,) = torch.autograd.grad(value.sum(), point)
        return value.detach().to(embedding.device), slope.to(embedding.device)

    parts = oom.run("ascent", work, len(embedding), embedding.device)
    value, slope = (joined(column) for column in zip(*parts, strict=True))
    slope = slope * mask[..., None]
    return value, slope / _length(slope).clamp_min(torch.finfo(slope.dtype).tiny)


def _within(point: Tensor, anchor: Tensor, radius: Tensor) -> Tensor:
    """``point`` projected onto the ball around ``anchor``; all (starts, rungs, rows, width)."""
    offset = point - anchor
    length = _length(offset)
    # slightly inside, so that rounding never leaves the ball
    return anchor + offset * (radius * (1 - 1e-6) / length.clamp_min(1e-30)).clamp_max(1.0)


def _length(value: Tensor) -> Tensor:
    """Frobenius norm over the last two axes, kept as size 1."""
    length: Tensor = torch.linalg.vector_norm(value, dim=(-2, -1), keepdim=True)
    return length

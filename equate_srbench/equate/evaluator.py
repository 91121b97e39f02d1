"""Evaluator: predicts a formula's score from its joint embedding."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from equate_srbench.equate.fusion import masked_mean


class Evaluator(nn.Module):
    """Attention pooling with learned queries, then an ensemble of small MLPs (heads).

    Attention pooling instead of mean pooling, because the gradient of a mean is the same shift for
    every row, to which the decoder's attention patterns are invariant: each layer would only see
    an added constant. ``pooling="mean"`` exists for the ablation.

    Parameters
    ----------
    width : int
        Width of the joint embedding.
    pools : int, default=4
        Number of learned queries; their outputs are concatenated.
    heads : int, default=3
        Independent MLPs; their disagreement estimates the uncertainty.
    hidden : tuple of int, default=(256, 64)
        Hidden widths; SiLU activations, for smooth gradients.
    pooling : {"attention", "mean"}, default="attention"
        ``mean`` uses no queries.
    """

    def __init__(
        self,
        width: int,
        *,
        pools: int = 4,
        heads: int = 3,
        hidden: tuple[int, ...] = (256, 64),
        pooling: str = "attention",
    ) -> None:
        super().__init__()
        pools = pools if pooling == "attention" else 1
        self.norm = nn.LayerNorm(width)
        self.queries = None if pooling == "mean" else nn.Parameter(torch.empty(pools, width))
        sizes = (pools * width, *hidden)
        self.heads = nn.ModuleList(
            nn.Sequential(
                *(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())),
                nn.Linear(sizes[-1], 1),
            )
            for _ in range(heads)
        )

    def forward(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """Predicted scores.

        Parameters
        ----------
        embedding : Tensor of shape (batch, rows, width)
        mask : Tensor of shape (batch, rows), bool
            True for valid rows.

        Returns
        -------
        Tensor of shape (heads, batch)
            In units of the score, R2 + lam * brevity.
        """
        pooled = self._pool(embedding, mask)  # (batch, pools * width)
        return torch.stack([head(pooled).squeeze(-1) for head in self.heads])

    def _pool(self, embedding: Tensor, mask: Tensor) -> Tensor:
        if self.queries is None:
            mean: Tensor = self.norm(masked_mean(embedding, mask))
            return mean
        rows = self.norm(embedding)
        logits = torch.einsum("brw,pw->bpr", rows, self.queries)
        weights = logits.masked_fill(~mask[:, None, :], -torch.inf).softmax(-1)
        return torch.einsum("bpr,brw->bpw", weights, rows).flatten(1)

    @torch.no_grad()
    def shift(self, gap: float) -> None:
        """Add ``gap`` to every prediction."""
        for head in self.heads:
            cast(nn.Linear, list(head.children())[-1]).bias.add_(gap)


def pessimistic(predicted: Tensor, pessimism: float) -> Tensor:
    """Mean minus ``pessimism`` standard deviations over the heads, of shape (batch,)."""
    return predicted.mean(0) - pessimism * predicted.std(0, correction=0)

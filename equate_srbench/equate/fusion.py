"""From a formula and a bag's memory to their joint embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equate_srbench.backbone.network import Attention, FeedForward, padding_bias


class EquationEncoder(nn.Module):
    """Bi-directional LSTM over the embedded tokens of a formula.

    Parameters
    ----------
    width : int
        Width of the decoder's token embeddings, which are used as they are: the formula then
        lives in the decoder's geometry and few weights are left to learn.

    References
    ----------
    EQUATE (arXiv 2508.19487) states an LSTM equation encoder.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """States of every token.

        Parameters
        ----------
        embedded : Tensor of shape (batch, length, width)
            Padded behind each formula's end.
        lengths : Tensor of shape (batch,), long, on the CPU
            Number of tokens of each formula, at least 1.

        Returns
        -------
        Tensor of shape (batch, length, width)
            Zero behind each formula's end.
        """
        packed = nn.utils.rnn.pack_padded_sequence(
            embedded, lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=embedded.shape[1]
        )
        return states


class Fusion(nn.Module):
    """Joint embedding ``E = M + g * F``, of the memory's own shape.

    ``F`` is cross-attention from the memory's rows to the formula's tokens, followed by a
    feed-forward block. The decoder reads ``E`` where it used to read ``M``, so what the ascent
    moves is what is decoded; with ``g = 0`` the model is exactly the plain backbone.

    Parameters
    ----------
    width : int
        Width of the memory.
    equation_width : int
        Width of the formula's states.
    heads : int, default=8
    dropout : float, default=0.1
        Only in calls with a generator.
    gate : float, default=0.1
        Initial value of the learned gate ``g`` (one per channel).
    """

    def __init__(
        self,
        width: int,
        equation_width: int,
        *,
        heads: int = 8,
        dropout: float = 0.1,
        gate: float = 0.1,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, equation_width)
        self.norm_ffn = nn.LayerNorm(width)
        self.ffn = FeedForward(width, 2 * width)
        self.dropout = dropout
        self.gate = nn.Parameter(torch.full((width,), gate))

    def forward(
        self,
        memory: Tensor,
        mask: Tensor,
        equation: Tensor,
        equation_mask: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Fuse a bag's memory with a formula's states.

        Parameters
        ----------
        memory : Tensor of shape (batch, rows, width)
        mask : Tensor of shape (batch, rows), bool
            True for valid rows; the others stay what they are.
        equation : Tensor of shape (batch, length, equation_width)
        equation_mask : Tensor of shape (batch, length), bool
        generator : torch.Generator, optional
            Source of the dropout's draws; no dropout without.

        Returns
        -------
        Tensor of shape (batch, rows, width)
        """
        keys_values = self.attention.keys_values(equation)
        fused = self.attention(self.norm(memory), keys_values, padding_bias(equation_mask))
        fused = self._drop(fused, generator)
        fused = fused + self._drop(self.ffn(self.norm_ffn(fused)), generator)
        return memory + self.gate * fused * mask[..., None]

    def _drop(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Dropout from its own generator: torch's module would draw from the global one."""
        if generator is None or self.dropout == 0.0:
            return x
        keep = torch.empty_like(x).bernoulli_(1.0 - self.dropout, generator=generator)
        return x * keep / (1.0 - self.dropout)

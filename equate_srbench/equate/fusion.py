"""Joint embedding of a formula and a bag's memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equate_srbench.backbone.network import Attention, FeedForward, padding_bias
from equate_srbench.runtime.memory import RowDraws


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
        Only in calls with draws; the keep probability is rounded to 1 / 256.
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
        draws: RowDraws | None = None,
    ) -> Tensor:
        """Fuse a bag's memory with a formula's states.

        Parameters
        ----------
        memory : Tensor of shape (batch, rows, width)
        mask : Tensor of shape (batch, rows), bool
            True for valid rows; the others are not changed.
        equation : Tensor of shape (batch, length, equation_width)
        equation_mask : Tensor of shape (batch, length), bool
        draws : RowDraws, optional
            Random numbers of the dropout; no dropout without.

        Returns
        -------
        Tensor of shape (batch, rows, width)
        """
        keys_values = self.attention.keys_values(equation)
        fused = self.attention(self.norm(memory), keys_values, padding_bias(equation_mask))
        fused = self._drop(fused, draws)
        fused = fused + self._drop(self.ffn(self.norm_ffn(fused)), draws)
        return memory + self.gate * fused * mask[..., None]

    def embedding_mask(self, mask: Tensor) -> Tensor:
        """Mask of the valid rows of a joint embedding: that of the memory."""
        return mask

    def decodable(self, embedding: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder input and its mask: the embedding itself."""
        return embedding, mask

    def _drop(self, x: Tensor, draws: RowDraws | None) -> Tensor:
        """Dropout with the batch's own draws; torch's module would use the global generator."""
        if draws is None or self.dropout == 0.0:
            return x
        return x * draws.keep(1.0 - self.dropout, x)


class Shift(nn.Module):
    """Joint embedding as one vector ``z``; the decoder reads ``M + g * U(z)`` and soft rows of z.

    The literal reading of "embedding vector", as an ablation of ``Fusion``: one shift of all rows
    leaves the decoder's attention patterns unchanged, so a few soft rows are added for it to
    attend to. Same interface as ``Fusion``.

    Parameters
    ----------
    width : int
        Width of the memory and of z.
    equation_width : int
        Width of the formula's states.
    rows : int, default=8
        Number of soft rows.
    gate : float, default=0.1
        Initial value of the learned gate ``g`` (one per channel).
    """

    def __init__(
        self, width: int, equation_width: int, *, rows: int = 8, gate: float = 0.1
    ) -> None:
        super().__init__()
        self.join = nn.Linear(width + equation_width, width)
        self.norm = nn.LayerNorm(width)
        self.shift = nn.Linear(width, width)
        self.soft = nn.Linear(width, rows * width)
        self.gate = nn.Parameter(torch.full((width,), gate))

    def forward(
        self,
        memory: Tensor,
        mask: Tensor,
        equation: Tensor,
        equation_mask: Tensor,
        draws: RowDraws | None = None,
    ) -> Tensor:
        """One vector per bag and formula, (batch, 1, width), from their means."""
        both = torch.cat([masked_mean(memory, mask), masked_mean(equation, equation_mask)], -1)
        z: Tensor = self.norm(self.join(both))
        return z[:, None]

    def embedding_mask(self, mask: Tensor) -> Tensor:
        """All valid: there is one row."""
        return torch.ones_like(mask[:, :1])

    def decodable(self, embedding: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder input (batch, rows + soft, width), shifted memory and soft rows, and its mask."""
        shifted = memory + self.gate * self.shift(embedding) * mask[..., None]
        soft: Tensor = self.soft(embedding[:, 0])
        soft = soft.view(len(soft), -1, memory.shape[-1])
        valid = torch.ones_like(mask[:, :1]).expand(-1, soft.shape[1])
        return torch.cat([shifted, soft], 1), torch.cat([mask, valid], 1)


def masked_mean(rows: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid rows, (batch, rows, width) to (batch, width)."""
    weight = mask[..., None].to(rows.dtype)
    return (rows * weight).sum(1) / weight.sum(1).clamp_min(1.0)

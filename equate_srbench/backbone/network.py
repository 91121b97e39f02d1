"""E2E's network: embedder, encoder and decoder (Kamienny et al. 2022, arXiv 2204.10532).

Post-norm transformer with ReLU feed-forward layers and biases everywhere. The encoder has no
positions, so the order of points does not matter; the decoder's output layer is its token
embedding. Parameters carry the official names, apart from ``decoder.proj.weight``, which is
``decoder.embeddings.weight``. Shapes: B bags, N points, L tokens, d width, h heads, V words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Generic, TypeVar, cast, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.expr.tokens.e2e_vocabulary import float_tokens

Module = TypeVar("Module", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Module]):
    """A ``ModuleList`` whose modules are all of one type."""

    def __init__(self, modules: Iterable[Module]) -> None:
        super().__init__(modules)

    def __iter__(self) -> Iterator[Module]:
        return cast("Iterator[Module]", super().__iter__())

    @overload
    def __getitem__(self, idx: slice) -> Layers[Module]: ...
    @overload
    def __getitem__(self, idx: int) -> Module: ...
    def __getitem__(self, idx: int | slice) -> Module | Layers[Module]:
        """A layer, or some of them."""
        return cast("Module | Layers[Module]", super().__getitem__(idx))


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, is_causal: bool = False
) -> Tensor:
    """Attention of ``q`` (B, h, L, c) over ``k``, ``v`` (B, h, S, c) with additive ``bias``.

    On the CPU three plain operations train twice as fast as the fused kernel, which on a GPU avoids
    storing the scores. ``is_causal`` says that ``bias`` is ``causal_bias``: on a GPU a kernel that
    masks by itself is faster than one that reads a bias.
    """
    if q.is_cuda:
        mask = None if bias is None or is_causal else bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # (B, h, L, S)
    scores = scores.float() if bias is None else scores.float() + bias
    return scores.softmax(-1).to(v.dtype) @ v


def padding_bias(mask: Tensor) -> Tensor:
    """Additive float mask (B, 1, 1, S) from a bool mask (B, S) that is True where valid."""
    lowest = torch.finfo(torch.bfloat16).min  # finite: a row without valid points stays finite
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, lowest)[:, None, None]


def causal_bias(length: int, device: torch.device) -> Tensor:
    """Additive causal mask, float (L, L)."""
    lowest = torch.finfo(torch.bfloat16).min
    return torch.full((length, length), lowest, device=device).triu(1)


class Attention(nn.Module):
    """Multi-head attention of ``dim``-wide queries over ``source_dim``-wide keys and values."""

    def __init__(self, dim: int, heads: int, source_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_lin = nn.Linear(dim, dim)
        self.k_lin = nn.Linear(source_dim, dim)
        self.v_lin = nn.Linear(source_dim, dim)
        self.out_lin = nn.Linear(dim, dim)

    def split(self, x: Tensor) -> Tensor:
        """(B, L, d) to (B, h, L, d / h)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of ``source`` (B, S, source_dim), each (B, h, S, c)."""
        return self.split(self.k_lin(source)), self.split(self.v_lin(source))

    def forward(
        self,
        x: Tensor,
        keys_values: tuple[Tensor, Tensor],
        bias: Tensor | None,
        *,
        is_causal: bool = False,
    ) -> Tensor:
        """Attention of ``x`` (B, L, d); returns (B, L, d)."""
        out = attend(self.split(self.q_lin(x)), *keys_values, bias, is_causal=is_causal)
        joined: Tensor = self.out_lin(out.transpose(1, 2).flatten(2))
        return joined


class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) to (..., d)."""
        out: Tensor = self.lin2(F.relu(self.lin1(x)))
        return out


class Embedder(nn.Module):
    """Embeds each point from its numeric features or E2E's float tokens."""

    def __init__(self, c: BackboneConfig) -> None:
        super().__init__()
        self.is_tokens = c.input == "tokens"
        if self.is_tokens:
            self.embeddings = nn.Embedding(c.n_float_words, c.token_dim)
            nn.init.normal_(self.embeddings.weight, std=c.token_dim**-0.5)
        widths = [c.point_width] + [c.embedder_width] * c.embedder_layers
        self.hidden_layers = Layers(nn.Linear(a, b) for a, b in pairwise(widths))
        self.fc = nn.Linear(widths[-1], c.encoder_dim)

    def forward(self, points: Tensor, mask: Tensor | None) -> Tensor:
        """Features (B, N, F) or tokens (B, N, 3 * (columns + 1)) to (B, N, encoder_dim)."""
        if self.is_tokens:
            # The E2E release fills rows of missing points with its padding word.
            if mask is not None:
                points = points.masked_fill(~mask[..., None], float_tokens().pad)
            x = self.embeddings(points).flatten(2)
        else:
            x = points.to(self.fc.weight.dtype)
        for layer in self.hidden_layers:
            x = F.relu(layer(x))
        out: Tensor = self.fc(x)
        return out


class Encoder(nn.Module):
    """Permutation-equivariant self-attention over points; rows of missing points stay zero."""

    def __init__(self, c: BackboneConfig) -> None:
        super().__init__()
        d, n = c.encoder_dim, c.encoder_layers
        self.layer_norm_emb = nn.LayerNorm(d, eps=c.eps)
        self.attentions = Layers(Attention(d, c.encoder_heads, d) for _ in range(n))
        self.layer_norm1 = Layers(nn.LayerNorm(d, eps=c.eps) for _ in range(n))
        self.ffns = Layers(FeedForward(d, c.ffn_factor * d) for _ in range(n))
        self.layer_norm2 = Layers(nn.LayerNorm(d, eps=c.eps) for _ in range(n))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, d) and validity (B, N), or None if all are valid, to the memory (B, N, d)."""
        bias = None if mask is None else padding_bias(mask)
        keep = 1.0 if mask is None else mask[..., None].to(x.dtype)
        x = self.layer_norm_emb(x) * keep
        layers = zip(self.attentions, self.layer_norm1, self.ffns, self.layer_norm2, strict=True)
        for attention, norm1, ffn, norm2 in layers:
            x = norm1(x + attention(x, attention.keys_values(x), bias))
            x = norm2(x + ffn(x)) * keep
        return x


class TiedBias(nn.Module):
    """Bias of the output layer, whose weight is the token embedding."""

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_words))


class Decoder(nn.Module):
    """Causal self-attention over tokens and cross-attention over the memory."""

    def __init__(self, c: BackboneConfig) -> None:
        super().__init__()
        d, n = c.dim, c.decoder_layers
        self.position_embeddings = nn.Embedding(c.n_positions, d)
        self.embeddings = nn.Embedding(c.n_words, d)
        for table in (self.position_embeddings, self.embeddings):
            nn.init.normal_(table.weight, std=d**-0.5)
        self.layer_norm_emb = nn.LayerNorm(d, eps=c.eps)
        self.attentions = Layers(Attention(d, c.heads, d) for _ in range(n))
        self.layer_norm1 = Layers(nn.LayerNorm(d, eps=c.eps) for _ in range(n))
        self.encoder_attn = Layers(Attention(d, c.heads, c.encoder_dim) for _ in range(n))
        self.layer_norm15 = Layers(nn.LayerNorm(d, eps=c.eps) for _ in range(n))
        self.ffns = Layers(FeedForward(d, c.ffn_factor * d) for _ in range(n))
        self.layer_norm2 = Layers(nn.LayerNorm(d, eps=c.eps) for _ in range(n))
        self.proj = TiedBias(c.n_words)

    def forward(self, tokens: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states (B, L, d) of tokens (B, L) given a memory (B, N, encoder_dim).

        ``mask`` (B, N) is the validity of the points; None if all are valid.
        """
        n_tokens = tokens.shape[1]
        causal = causal_bias(n_tokens, tokens.device)
        bias = None if mask is None else padding_bias(mask)
        x: Tensor = self.embeddings(tokens) + self.position_embeddings.weight[:n_tokens]
        x = self.layer_norm_emb(x)
        for i, attention in enumerate(self.attentions):
            cross = self.encoder_attn[i]
            own = attention(x, attention.keys_values(x), causal, is_causal=True)
            x = self.layer_norm1[i](x + own)
            x = self.layer_norm15[i](x + cross(x, cross.keys_values(memory), bias))
            x = self.layer_norm2[i](x + self.ffns[i](x))
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the next token, (..., d) to (..., V)."""
        return F.linear(hidden, self.embeddings.weight, self.proj.bias)


class Backbone(nn.Module):
    """The pretrained encoder-decoder.

    Parameters
    ----------
    config : BackboneConfig, optional
        Default: the compact model's.
    """

    def __init__(self, config: BackboneConfig | None = None) -> None:
        super().__init__()
        self.config = config or BackboneConfig()
        self.vocabulary = self.config.make_vocabulary()
        self.embedder = Embedder(self.config)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(self, points: Tensor, mask: Tensor) -> Tensor:
        """Encode bags of points.

        Parameters
        ----------
        points : Tensor of shape (B, N, F)
            Numeric features, or int64 float tokens for input "tokens".
        mask : bool Tensor of shape (B, N)
            True where a point is valid.

        Returns
        -------
        Tensor of shape (B, N, encoder_dim)
            Zero where ``mask`` is False.
        """
        memory: Tensor = self.encoder(self.embedder(points, mask), mask)
        return memory

    def decode(self, tokens: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Logits of the token after each of ``tokens`` (teacher forcing).

        Parameters
        ----------
        tokens : int64 Tensor of shape (B, L)
            Starts with ``vocabulary.eos``; padded with ``vocabulary.pad``.
        memory : Tensor of shape (B, N, encoder_dim)
        mask : bool Tensor of shape (B, N)

        Returns
        -------
        Tensor of shape (B, L, V)
        """
        return self.decoder.logits(self.decoder(tokens, memory, mask))

    def forward(self, points: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """``decode(tokens, encode(points, mask), mask)``."""
        return self.decode(tokens, self.encode(points, mask), mask)

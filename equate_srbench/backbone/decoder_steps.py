"""Incremental decoding, with a key-value cache or, for tests, without.

Shapes: B bags, S formulas per bag, R = B * S, N points, h heads of width c, V words.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from equate_srbench.backbone.network import Attention, Decoder, padding_bias

_CACHED_TOKENS = 16  # initial capacity of the key-value cache


class CachedSteps:
    """Decoding with a key-value cache: each step computes one token per formula.

    The memory's keys and values are computed once per bag; the formulas of a bag are the queries
    of one attention over them, so nothing is repeated per formula.

    Parameters
    ----------
    decoder : Decoder
    memory : Tensor of shape (B, N, encoder_dim)
    mask : bool Tensor of shape (B, N)
        True where the memory is valid.
    n_formulas : int
        S, formulas per bag.
    """

    def __init__(self, decoder: Decoder, memory: Tensor, mask: Tensor, n_formulas: int) -> None:
        self._decoder = decoder
        self._bias = None if bool(mask.all()) else padding_bias(mask)
        memory = memory.to(decoder.proj.bias.dtype)
        self._joint = [_joint(a) for a in decoder.attentions]
        self._query = [_scaled_query(a) for a in decoder.encoder_attn]
        self._memory = [_keys_values(a, memory) for a in decoder.encoder_attn]
        heads, dim = decoder.attentions[0].heads, decoder.embeddings.embedding_dim
        rows = len(memory) * n_formulas
        shape = (len(decoder.attentions), 2, rows, heads, _CACHED_TOKENS, dim // heads)
        self._kept = memory.new_empty(shape)
        self._t = 0

    def step(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` (B, S) to the formulas; returns the next logits (B, S, V)."""
        decoder, t = self._decoder, self._t
        if t == self._kept.shape[4]:
            self._kept = F.pad(self._kept, (0, 0, 0, t))  # twice the capacity
        n_bags, n_formulas = tokens.shape
        x = decoder.embeddings(tokens.flatten()) + decoder.position_embeddings.weight[t]
        x = decoder.layer_norm_emb(x)  # (R, d)
        for i, own in enumerate(decoder.attentions):
            cross = decoder.encoder_attn[i]
            joint = F.linear(x, *self._joint[i]).view(len(x), 3, own.heads, -1)
            query, kept = joint[:, 0, :, None], self._kept[i]  # (R, h, 1, c), (2, R, h, T, c)
            kept[:, :, :, t] = joint[:, 1:].transpose(0, 1)
            past = kept[:, :, :, : t + 1]
            found = _attend(query, past[0].transpose(-1, -2), past[1], None)
            x = decoder.layer_norm1[i](x + own.out_lin(found.flatten(1)))
            query = F.linear(x, *self._query[i]).view(n_bags, n_formulas, cross.heads, -1)
            found = _attend(query.transpose(1, 2), *self._memory[i], self._bias)
            found = found.transpose(1, 2).reshape(x.shape)
            x = decoder.layer_norm15[i](x + cross.out_lin(found))
            x = decoder.layer_norm2[i](x + decoder.ffns[i](x))
        self._t += 1
        return decoder.logits(x).view(n_bags, n_formulas, -1)

    def select(self, rows: Tensor) -> None:
        """Keep formulas ``rows`` (B, S') of each bag, in that order."""
        n_bags = len(rows)
        n_formulas = self._kept.shape[2] // n_bags
        first = torch.arange(n_bags, device=rows.device)[:, None] * n_formulas
        index = (first + rows).flatten()
        kept = self._kept.new_empty((*self._kept.shape[:2], len(index), *self._kept.shape[3:]))
        kept[..., : self._t, :] = self._kept[:, :, index, :, : self._t]
        self._kept = kept


class PlainSteps:
    """The same interface without cache: reruns the decoder on the whole sequence at every step."""

    def __init__(self, decoder: Decoder, memory: Tensor, mask: Tensor, n_formulas: int) -> None:
        self._decoder = decoder
        self._memory, self._mask = memory.to(decoder.proj.bias.dtype), mask
        self._tokens = mask.new_zeros((len(memory), n_formulas, 0), dtype=torch.long)

    def step(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` (B, S) to the formulas; returns the next logits (B, S, V)."""
        self._tokens = torch.cat([self._tokens, tokens[..., None]], -1)
        n_formulas = tokens.shape[1]
        memory = self._memory.repeat_interleave(n_formulas, 0)
        mask = self._mask.repeat_interleave(n_formulas, 0)
        hidden = self._decoder(self._tokens.flatten(0, 1), memory, mask)
        return self._decoder.logits(hidden[:, -1]).view(*tokens.shape, -1)

    def select(self, rows: Tensor) -> None:
        """Keep formulas ``rows`` (B, S') of each bag, in that order."""
        index = rows[..., None].expand(-1, -1, self._tokens.shape[-1])
        self._tokens = self._tokens.gather(1, index)


def _attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of scaled queries over transposed keys (..., c, S) and values (..., S, c)."""
    scores = query @ keys
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1, dtype=torch.float32).to(values.dtype) @ values


def _scaled_query(attention: Attention) -> tuple[Tensor, Tensor]:
    """Weight and bias of the query layer, scaled by the 1 / sqrt(c) of attention."""
    linear = attention.q_lin
    factor = math.sqrt(attention.heads / linear.out_features)
    return linear.weight * factor, linear.bias * factor


def _joint(attention: Attention) -> tuple[Tensor, Tensor]:
    """Weight and bias of query, key and value layers, fused."""
    weight, bias = _scaled_query(attention)
    layers = (attention.k_lin, attention.v_lin)
    return (
        torch.cat([weight, *(layer.weight for layer in layers)]),
        torch.cat([bias, *(layer.bias for layer in layers)]),
    )


def _keys_values(attention: Attention, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Transposed keys (B, h, c, N) and values (B, h, N, c) of the memory."""
    keys, values = attention.keys_values(memory)
    return keys.transpose(-1, -2).contiguous(), values.contiguous()

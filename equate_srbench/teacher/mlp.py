"""A small MLP as pure functions of its weights, so that ``torch.func`` can batch it.

All weights are one flat vector, so that optimiser state, best weights and a batch of networks are
one tensor each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Weight (n_out, n_in) and bias (n_out,) of a layer.
Layer = tuple[Tensor, Tensor]


def layer_sizes(n_in: int, hidden: Sequence[int]) -> list[tuple[int, int]]:
    """``(n_out, n_in)`` of every layer of a network with one output."""
    return [(out, into) for into, out in pairwise([n_in, *hidden, 1])]


def initial_weights(
    sizes: Sequence[tuple[int, int]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Flat initial weights: normal with variance ``1 / n_in``; biases are 0."""
    parts = []
    for out, into in sizes:
        parts += [rng.standard_normal(out * into) / np.sqrt(into), np.zeros(out)]
    return np.concatenate(parts)


def unflatten(weights: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Layer]:
    """The layers as views of the vector."""
    lengths = [n for out, into in sizes for n in (out * into, out)]
    parts = torch.split(weights, lengths)
    return [(w.view(size), b) for w, b, size in zip(parts[::2], parts[1::2], sizes, strict=True)]


def value(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """Output of the network: x (n_rows, n_in) -> (n_rows,)."""
    for weight, bias in layers[:-1]:
        z = x @ weight.T + bias
        x = z * torch.sigmoid(z)  # SiLU, computed as in `value_and_gradient`
    weight, bias = layers[-1]
    return (x @ weight.T + bias)[:, 0]


def value_and_gradient(layers: Sequence[Layer], x: Tensor) -> tuple[Tensor, Tensor]:
    """Output of the network and its exact gradient with respect to the inputs.

    With one output, reverse-mode differentiation is one vector-matrix product per layer: half the
    work of autograd, and one backward pass through it gives the gradient of a penalty with respect
    to the weights.

    Parameters
    ----------
    layers : sequence of Layer
    x : Tensor of shape (n_rows, n_in)

    Returns
    -------
    values : Tensor of shape (n_rows,)
    gradients : Tensor of shape (n_rows, n_in)
    """
    slopes = []
    for weight, bias in layers[:-1]:
        z = x @ weight.T + bias
        gate = torch.sigmoid(z)
        x = z * gate
        slopes.append(gate + x * (1.0 - gate))  # derivative of SiLU
    weight, bias = layers[-1]
    values = (x @ weight.T + bias)[:, 0]
    down = weight
    for (weight, _), slope in zip(reversed(layers[:-1]), reversed(slopes), strict=True):
        down = (down * slope) @ weight
    return values, down.expand(len(values), -1)


def spectral_penalty(
    layers: Sequence[Layer], directions: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """``sum of max(0, sigma - 1)^2`` over the layers, ``sigma`` the largest singular value.

    The product of the ``sigma`` bounds the Lipschitz constant of the network (SiLU's slope is at
    most 1.1). One power iteration per call suffices, started from the directions of the last call,
    since the weights change little (Miyato et al. 2018, arXiv 1802.05957).

    Parameters
    ----------
    layers : sequence of Layer
    directions : sequence of Tensor of shape (n_out,)
        Unit vectors, one per layer.

    Returns
    -------
    penalty : Tensor, scalar
    directions : tuple of Tensor
        For the next call.
    """
    total, turned = torch.zeros((), dtype=layers[0][0].dtype, device=layers[0][0].device), []
    for (weight, _), left in zip(layers, directions, strict=True):
        fixed = weight.detach()
        right = torch.nn.functional.normalize(fixed.T @ left, dim=0)
        left = torch.nn.functional.normalize(fixed @ right, dim=0)
        total = total + torch.relu(left @ weight @ right - 1.0) ** 2
        turned.append(left)
    return total, tuple(turned)

"""Low-rank adapters (LoRA) on a backbone that many fits share.

The adapted layers are shells: module objects of their own around the shared weights, which a
parametrisation of torch adds a low-rank product to. Hu et al. (2021), arXiv 2106.09685.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from equate_srbench.backbone.network import Backbone

Module = TypeVar("Module", bound=nn.Module)

#: Attentions of the decoder, and their layers, that get adapters.
ATTENTIONS = ("attentions", "encoder_attn")
LAYERS = ("q_lin", "v_lin")


class LowRank(nn.Module):
    """Adds ``up @ down`` to a weight; exactly nothing at first.

    Parameters
    ----------
    weight : Tensor of shape (out, in)
    rank : int
    generator : torch.Generator
        On the CPU; draws ``down``.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        rank = min(rank, n_out, n_in)
        bound = 1.0 / math.sqrt(n_in)
        down = torch.empty(rank, n_in, dtype=weight.dtype)
        down.uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(weight.new_zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as the layer uses it."""
        return weight + self.up @ self.down


def adapt(
    backbone: Backbone, rank: int, generator: torch.Generator
) -> tuple[Backbone, list[nn.Parameter]]:
    """A backbone with adapters on queries and values of all attentions of the decoder.

    Parameters
    ----------
    backbone : Backbone
        Not changed; all of its weights are shared.
    rank : int
        Of the adapters, at most the layers' width.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    backbone : Backbone
        Computes exactly what ``backbone`` does until the adapters are trained.
    parameters : list of Parameter
        Those of the adapters.
    """
    own, decoder = shell(backbone), shell(backbone.decoder)
    own.decoder = decoder
    parameters: list[nn.Parameter] = []
    for name in ATTENTIONS:
        attentions = [shell(attention) for attention in getattr(decoder, name)]
        for attention in attentions:
            for layer in LAYERS:
                linear = shell(getattr(attention, layer))
                adapter = LowRank(linear.weight.detach(), rank, generator)
                parametrize.register_parametrization(linear, "weight", adapter)
                setattr(attention, layer, linear)
                parameters += adapter.parameters()
        setattr(decoder, name, nn.ModuleList(attentions))
    return own, parameters


def shell(module: Module) -> Module:
    """A second module object around the same weights, whose tables of parts are its own."""
    own = copy.copy(module)
    for table in ("_modules", "_parameters"):
        own.__dict__[table] = module.__dict__[table].copy()
    return own

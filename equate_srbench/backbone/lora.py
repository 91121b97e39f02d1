"""Low-rank adapters (LoRA) on a backbone that many fits share.

Adapted layers are new module objects around the shared weights, with a torch parametrization that
adds a low-rank product. Hu et al. (2021), arXiv 2106.09685.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from equate_srbench.backbone.network import Backbone, Layers, Module

#: Adapted attentions of the decoder, and their layers.
ATTENTIONS = ("attentions", "encoder_attn")
LAYERS = ("q_lin", "v_lin")


class LowRank(nn.Module):
    """Adds ``up @ down`` to a weight; initially zero.

    Parameters
    ----------
    weight : Tensor of shape (out, in)
    rank : int
    generator : torch.Generator
        On the CPU; initialises ``down``.
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
        """The effective weight of the layer."""
        return weight + self.up @ self.down


def adapt(
    backbone: Backbone, rank: int, generator: torch.Generator
) -> tuple[Backbone, list[nn.Parameter]]:
    """Add adapters to queries and values of all attentions of the decoder.

    Parameters
    ----------
    backbone : Backbone
        Not changed; all of its weights are shared.
    rank : int
        Rank of the adapters, at most the layers' width.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    backbone : Backbone
        Computes the same as ``backbone`` until the adapters are trained.
    parameters : list of Parameter
        Parameters of the adapters.
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
        setattr(decoder, name, Layers(attentions))
    return own, parameters


def shell(module: Module) -> Module:
    """A copy of the module object that shares its weights and submodules."""
    own = copy.copy(module)
    for table in ("_modules", "_parameters"):
        own.__dict__[table] = module.__dict__[table].copy()
    return own

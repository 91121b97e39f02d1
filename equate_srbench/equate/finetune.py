"""Fine-tuning strategies: which backbone weights a fit trains, and its own copy of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from equate_srbench.backbone.checkpoint import SkipInit
from equate_srbench.backbone.lora import adapt, shell
from equate_srbench.backbone.network import Backbone, Layers

#: Parts of a decoder layer, each a list over layers.
_LAYER_PARTS = ("attentions", "layer_norm1", "encoder_attn", "layer_norm15", "ffns", "layer_norm2")


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The backbone of one fit, and its trainable parameters.

    Attributes
    ----------
    backbone : Backbone
        Shares all frozen tensors with the backbone of the process.
    weights : list of Parameter
        Copies of pretrained weights, trained with a low learning rate.
    adapters : list of Parameter
        New weights, trained with the learning rate of the new modules.
    encoder : bool
        Whether the encoder is trained, so that memories change too.
    """

    backbone: Backbone
    weights: list[nn.Parameter] = field(default_factory=list)
    adapters: list[nn.Parameter] = field(default_factory=list)
    encoder: bool = False


def own_last_layer(backbone: Backbone) -> Tuned:
    """Train a copy of the decoder's last layer; everything else is shared."""
    own, decoder = shell(backbone), shell(backbone.decoder)
    parameters: list[nn.Parameter] = []
    for name in _LAYER_PARTS:
        *shared, last = getattr(decoder, name)
        last = copy.deepcopy(last).requires_grad_(True)
        parameters += last.parameters()
        setattr(decoder, name, Layers([*shared, last]))
    own.decoder = decoder
    return Tuned(own, parameters)


def own_everything(backbone: Backbone) -> Tuned:
    """Train a copy of the whole backbone, encoder included."""
    own = copy.deepcopy(backbone).requires_grad_(True)
    return Tuned(own, list(own.parameters()), encoder=True)


def own_adapters(backbone: Backbone, rank: int, generator: torch.Generator) -> Tuned:
    """Train low-rank adapters on the decoder's attentions; everything else is shared."""
    own, adapters = adapt(backbone, rank, generator)
    return Tuned(own, adapters=adapters)


#: Values of ``finetune``.
STRATEGIES: dict[str, Callable[[Backbone, int, torch.Generator], Tuned]] = {
    "frozen": lambda backbone, rank, generator: own_last_layer(backbone),
    "full": lambda backbone, rank, generator: own_everything(backbone),
    "lora": own_adapters,
    "random": lambda backbone, rank, generator: own_last_layer(backbone),  # of random weights
}


def prepare(backbone: Backbone, mode: str, generator: torch.Generator, *, rank: int = 8) -> Tuned:
    """The backbone of one fit with its trainable parameters.

    Parameters
    ----------
    backbone : Backbone
        Shared by all fits of the process; never changed.
    mode : {"frozen", "full", "lora", "random"}
        ``frozen``: train the decoder's last layer, as in the publication. ``full``: all weights.
        ``lora``: adapters on queries and values of the decoder. ``random``: as ``frozen``, but
        the fit starts from ``reinitialised`` weights.
    generator : torch.Generator
        On the CPU; draws the adapters.
    rank : int, default=8
        Of the adapters.
    """
    return STRATEGIES[mode](backbone, rank, generator)


def reinitialised(backbone: Backbone, generator: torch.Generator) -> Backbone:
    """A backbone of the same sizes with random weights.

    Parameters
    ----------
    backbone : Backbone
        Not changed.
    generator : torch.Generator
        On the CPU.
    """
    with SkipInit():  # torch would initialise from the global generator
        own = Backbone(backbone.config)
    for module in own.modules():
        if isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5, generator=generator)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    own.to(next(backbone.parameters()).device)
    return own.eval().requires_grad_(False)

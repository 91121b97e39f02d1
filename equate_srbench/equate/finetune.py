"""Which weights of the backbone a fit may change, and how it gets its own copy of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from equate_srbench.backbone.network import Backbone

#: Parts of a decoder layer, each a list over layers.
_LAYER_PARTS = ("attentions", "layer_norm1", "encoder_attn", "layer_norm15", "ffns", "layer_norm2")

Module = TypeVar("Module", bound=nn.Module)
Strategy = Callable[[Backbone], tuple[Backbone, list[nn.Parameter]]]


def own_last_layer(backbone: Backbone) -> tuple[Backbone, list[nn.Parameter]]:
    """A backbone that shares everything with ``backbone`` except the decoder's last layer.

    Returns
    -------
    backbone : Backbone
        Shares the tensors of all other layers, so that it costs one layer of memory.
    parameters : list of Parameter
        Those of the copied layer, trainable.
    """
    own, decoder = _shell(backbone), _shell(backbone.decoder)
    parameters: list[nn.Parameter] = []
    for name in _LAYER_PARTS:
        *shared, last = getattr(decoder, name)
        last = copy.deepcopy(last).requires_grad_(True)
        parameters += last.parameters()
        setattr(decoder, name, nn.ModuleList([*shared, last]))
    own.decoder = decoder
    return own, parameters


def _shell(module: Module) -> Module:
    """A second module object with the same children, whose list of children is its own."""
    shell = copy.copy(module)
    shell._modules = module._modules.copy()
    return shell


#: What ``finetune`` may be; each returns the fit's backbone and its trained parameters.
STRATEGIES: dict[str, Strategy] = {"frozen": own_last_layer}


def prepare(backbone: Backbone, mode: str) -> tuple[Backbone, list[nn.Parameter]]:
    """The backbone of one fit and the parameters of it that are trained.

    Parameters
    ----------
    backbone : Backbone
        Shared by all fits of the process; never changed.
    mode : {"frozen"}

    Raises
    ------
    ValueError
        For a mode that is not available.
    """
    if mode not in STRATEGIES:
        raise ValueError(f"finetune={mode!r} is not available: use one of {tuple(STRATEGIES)}")
    return STRATEGIES[mode](backbone)

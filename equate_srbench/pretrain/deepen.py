"""Adds layers to a run without changing what its network computes.

``python -m equate_srbench.pretrain.deepen FROM TO --encoder-layers 2 --decoder-layers 6`` writes a
state with more layers: the new ones are added on top, the last linear map of each of their residual
branches is zero, and the scale and shift of the stack's final norm move to the new final norm.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.state import save_state
from equate_srbench.pretrain.train import TrainConfig, read_state

_WEIGHT = "weight/"


def deepen(weights: dict[str, Tensor], old: BackboneConfig, new: BackboneConfig) -> Backbone:
    """A deeper backbone that computes the same function.

    Parameters
    ----------
    weights : dict of str to Tensor
        By the names of ``Backbone.named_parameters``.
    old, new : BackboneConfig
        They may differ in the numbers of layers only.

    Raises
    ------
    ValueError
        If ``new`` has fewer layers, or differs in anything else.
    """
    wanted = replace(old, encoder_layers=new.encoder_layers, decoder_layers=new.decoder_layers)
    if new != wanted:
        raise ValueError("only the numbers of layers may differ")
    stacks = {
        "encoder": (old.encoder_layers, new.encoder_layers),
        "decoder": (old.decoder_layers, new.decoder_layers),
    }
    for part, (before, after) in stacks.items():
        if after < before:
            raise ValueError(f"{after} {part} layers: the run has {before}, give at least as many")
    backbone = Backbone(new)
    named = dict(backbone.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            named[name].copy_(value)
        for part, (before, after) in stacks.items():
            if after == before:
                continue
            stack = getattr(backbone, part)
            for i in range(before, after):
                branches = [stack.attentions[i].out_lin, stack.ffns[i].lin2]
                if part == "decoder":
                    branches.append(stack.encoder_attn[i].out_lin)
                for linear in branches:
                    linear.weight.zero_()
                    linear.bias.zero_()
            # x = g * n + b would be normed again: the last norm applies g and b instead
            first, last = stack.layer_norm2[before - 1], stack.layer_norm2[after - 1]
            last.weight.copy_(first.weight)
            last.bias.copy_(first.bias)
            first.weight.fill_(1.0)
            first.bias.zero_()
    return backbone


def deepen_run(source: Path, target: Path, encoder_layers: int, decoder_layers: int) -> TrainConfig:
    """Write the state of a deeper run into ``target``; its counters continue.

    Raises
    ------
    FileNotFoundError, FileExistsError
        If there is no run in ``source``, or one in ``target``.
    """
    saved = read_state(source)
    if saved is None:
        raise FileNotFoundError(f"{source} holds no run")
    if read_state(target) is not None:
        raise FileExistsError(f"{target} holds a run: choose another directory")
    config, progress, tensors = saved
    weights = {k.removeprefix(_WEIGHT): v for k, v in tensors.items() if k.startswith(_WEIGHT)}
    shape = replace(config.backbone, encoder_layers=encoder_layers, decoder_layers=decoder_layers)
    backbone = deepen(weights, config.backbone, shape)
    # there are no averages for the new layers: all restart from the weights
    tensors = {k: v for k, v in tensors.items() if not k.startswith("ema/")}
    tensors |= {_WEIGHT + name: p.detach() for name, p in backbone.named_parameters()}
    config = replace(config, backbone=shape)
    progress.deepened.append(
        {"examples": progress.examples, "layers": [encoder_layers, decoder_layers]}
    )
    target.mkdir(parents=True, exist_ok=True)
    header = {"config": asdict(config), "progress": asdict(progress)}
    save_state(target, tensors, header, step=progress.step)
    return config


def main(argv: Sequence[str] | None = None) -> None:
    """Add layers to a run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.pretrain.deepen", description="Add layers to a run."
    )
    parser.add_argument("source", type=Path, help="run directory")
    parser.add_argument("target", type=Path, help="directory of the deeper run")
    parser.add_argument("--encoder-layers", type=int, required=True)
    parser.add_argument("--decoder-layers", type=int, required=True)
    args = parser.parse_args(argv)
    try:
        deepen_run(args.source, args.target, args.encoder_layers, args.decoder_layers)
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

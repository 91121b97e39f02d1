"""Weights, their running average and AdamW, in mixed precision.

AdamW updates float32 master weights; forward and backward passes run in bfloat16 where that is
faster.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain.corpus.examples import Batch
from equate_srbench.pretrain.world import World

#: The weights are averaged over the last 1 % of the steps, but at least over this many.
AVERAGED_STEPS = 200


def is_bf16_fast() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    # torch has no public API for this, and older releases lack the private one too
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def upload(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points, float32, and tokens, int64, on ``device``; a GPU does not wait for them."""
    points, tokens = torch.as_tensor(batch.points), torch.from_numpy(batch.tokens)
    if device.type == "cuda":  # half precision travels, from pinned memory, beside the computation
        points = points.pin_memory().to(device, non_blocking=True)
        tokens = tokens.pin_memory().to(device, non_blocking=True)
    return points.float(), tokens.long()


class TrainState:
    """Everything that a training step changes: master weights, their average, optimiser moments.

    Parameters
    ----------
    backbone : Backbone
        Float32 master weights, updated in place.
    lr : float
        Peak learning rate.
    weight_decay : float
        Not applied to vectors (biases, norms).
    clip : float
        Largest gradient norm.
    bf16 : bool
        Compute in bfloat16, with a copy of encoder and decoder.
    autocast : bool, default=False
        With torch's autocast instead of a copy. It keeps norms and sums in float32, for more
        launches and memory traffic.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        lr: float,
        weight_decay: float,
        clip: float,
        bf16: bool,
        autocast: bool = False,
    ) -> None:
        self.backbone, self.lr, self.clip = backbone, lr, clip
        self.autocast = bf16 and autocast
        self.names = dict(backbone.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.names.items()}
        matrices = [p for p in self.names.values() if p.ndim == 2]
        vectors = [p for p in self.names.values() if p.ndim != 2]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.work = backbone
        self.device = next(backbone.parameters()).device
        if bf16 and not autocast:
            self.work = copy.deepcopy(backbone)
            # the embedder stays float32: bfloat16 lacks the digits in which points differ
            self.work.encoder.bfloat16()
            self.work.decoder.bfloat16()

    def loss(self, points: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy of the target tokens, summed.

        Parameters
        ----------
        points : Tensor of shape (B, N, F)
        tokens : int64 Tensor of shape (B, L)
            Start token, target, end token, padding.

        Returns
        -------
        Tensor, scalar
        """
        net, pad = self.work, self.work.vocabulary.pad
        x = net.embedder(points, None)  # in float32 always, see above
        with self._autocast():
            memory = net.encoder(x.to(net.encoder.layer_norm_emb.weight.dtype), None)
            hidden = net.decoder(tokens[:, :-1], memory, None)
            target = tokens[:, 1:]
            logits = net.decoder.logits(hidden).flatten(0, 1)  # (B * (L - 1), V)
        return F.cross_entropy(logits.float(), target.flatten(), ignore_index=pad, reduction="sum")

    def _autocast(self) -> AbstractContextManager[object]:
        if self.autocast:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def compile(self) -> None:
        """Compile encoder and decoder for batches of any shape; takes effect at the next loss."""
        self.work.encoder.compile(dynamic=True)
        self.work.decoder.compile(dynamic=True)

    @torch.no_grad()
    def loss_per_token(self, points: Tensor, tokens: Tensor) -> float:
        """``loss`` over the number of target tokens, without gradients."""
        n = int((tokens[:, 1:] != self.backbone.vocabulary.pad).sum())
        return float(self.loss(points, tokens)) / n

    def step(self, lr_scale: float, world: World | None = None) -> None:
        """One optimiser step with the accumulated gradients; never synchronises with a GPU.

        Parameters
        ----------
        lr_scale : float
            Multiplies the peak learning rate.
        world : World, optional
            Processes whose gradients are summed.
        """
        if self.work is not self.backbone:
            sources = [p.grad for p in self.work.parameters() if p.grad is not None]
            gradients = [g.new_empty(g.shape, dtype=torch.float32) for g in sources]
            torch._foreach_copy_(gradients, sources)  # one launch for many tensors, on a GPU
            converted = iter(gradients)
            for master, p in self._pairs():
                master.grad = None if p.grad is None else next(converted)
                p.grad = None
        if world is not None:
            world.sum_gradients(self.names.values())
        nn.utils.clip_grad_norm_(self.names.values(), self.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = lr_scale * self.lr
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.refresh()

    @torch.no_grad()
    def average(self, step: int) -> None:
        """Update the running averages after step ``step`` (1, 2, ...)."""
        window = min(step, max(AVERAGED_STEPS, step // 100))
        decay = 1.0 - 1.0 / window
        weights: list[Tensor] = list(self.names.values())
        torch._foreach_lerp_(list(self.averages.values()), weights, 1.0 - decay)

    def averaged(self) -> Backbone:
        """A copy of the network with the averaged weights."""
        out = copy.deepcopy(self.backbone)
        out.load_state_dict(self.averages, strict=False)
        return out

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the master weights to the bfloat16 copy."""
        if self.work is not self.backbone:
            torch._foreach_copy_(list(self.work.parameters()), list(self.backbone.parameters()))

    def _pairs(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        return zip(self.backbone.parameters(), self.work.parameters(), strict=True)

    # -- saving -------------------------------------------------------------------------------

    def to_tensors(self, *, slim: bool = False) -> dict[str, Tensor]:
        """Weights, their averages and the optimiser's moments by name.

        Parameters
        ----------
        slim : bool, default=False
            A third of the size: second moments in bfloat16; no first moments, which begin at 0 and
            are full again after some ten steps; no averages, which restart from the weights.
        """
        name_of: dict[Tensor, str] = {p: name for name, p in self.names.items()}
        out = {f"weight/{name}": p.detach().cpu() for name, p in self.names.items()}
        if not slim:
            out |= {f"ema/{name}": average.cpu() for name, average in self.averages.items()}
        for p, slots in self.optimiser.state.items():
            for slot, value in slots.items():
                if slim and slot == "exp_avg":
                    continue
                moment = value.bfloat16() if slim and slot != "step" else value
                out[f"{slot}/{name_of[p]}"] = moment.detach().cpu()
        return out

    @torch.no_grad()
    def load_tensors(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``to_tensors``; what a slim state leaves out begins anew."""
        for key, value in state.items():
            slot, name = key.split("/", 1)
            p = self.names[name]
            if slot == "weight":
                p.copy_(value)
            elif slot != "ema":  # the fused AdamW wants its step count where the weights are
                dtype = value.dtype if slot == "step" else p.dtype
                self.optimiser.state[p][slot] = value.to(p.device, dtype)
        for weight, slots in self.optimiser.state.items():
            slots.setdefault("exp_avg", torch.zeros_like(weight))
        for name, p in self.names.items():
            self.averages[name].copy_(state.get(f"ema/{name}", p))
        self.refresh()

"""AdamW on lists of tensors.

Not ``torch.optim.AdamW``: constructing the first optimiser of a process imports torch's compiler,
which takes about four seconds, more than a whole fast fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019) and gradient clipping.

    Parameters
    ----------
    groups : sequence of (list of Tensor, float)
        Parameters and their learning rate.
    weight_decay : float, default=0.01
        Not applied to vectors (biases, norms, gates).
    clip : float, default=0.5
        Largest global gradient norm.
    betas : tuple of 2 floats, default=(0.9, 0.999)
    eps : float, default=1e-8
    """

    def __init__(
        self,
        groups: Sequence[tuple[Sequence[Tensor], float]],
        *,
        weight_decay: float = 0.01,
        clip: float = 0.5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters = [p for parameters, _ in groups for p in parameters]
        self.rates = [rate for parameters, rate in groups for _ in parameters]
        self.weight_decay, self.clip, self.betas, self.eps = weight_decay, clip, betas, eps
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float = 1.0) -> None:
        """One optimiser step.

        Parameters
        ----------
        gradients : sequence of Tensor
            One per parameter, in the order of the groups.
        factor : float, default=1.0
            Multiplies the learning rates (schedule).
        """
        b1, b2 = self.betas
        self.steps += 1
        norm = float(torch.stack([g.norm() for g in gradients]).norm())
        scale = min(1.0, self.clip / max(norm, 1e-12))
        unbiased = (1.0 - b2**self.steps) ** 0.5 / (1.0 - b1**self.steps)
        rows = zip(self.parameters, gradients, self.rates, self.first, self.second, strict=True)
        for p, gradient, rate, first, second in rows:
            gradient = gradient * scale
            first.lerp_(gradient, 1.0 - b1)
            second.mul_(b2).addcmul_(gradient, gradient, value=1.0 - b2)
            if p.dim() > 1:
                p.mul_(1.0 - factor * rate * self.weight_decay)
            # eps is added to the root of the bias-corrected second moment
            root = second.sqrt().add_(self.eps * (1.0 - b2**self.steps) ** 0.5)
            p.addcdiv_(first, root, value=-factor * rate * unbiased)

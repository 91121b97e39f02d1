"""Several processes that train one network, or one process alone."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

from equate_srbench.runtime.device import pick_device


class World:
    """The processes that ``torchrun`` started, or this one alone.

    Parameters
    ----------
    device : torch.device
        Of this process's network; decides how processes talk (NCCL or Gloo).

    Attributes
    ----------
    rank, size : int
        Number of this process, and how many there are.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def sum(self, values: Iterable[float]) -> list[float]:
        """Each value added up over the processes."""
        values = list(values)
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(v) for v in total.cpu()]

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = flat.split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def close(self) -> None:
        """Leave the group; nobody waits for this process afterwards."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def own_device(name: str) -> torch.device:
    """The device of this name, or with "auto"; plain CUDA is this process's own one.

    Raises
    ------
    DeviceError
        If there is no such device here.
    """
    picked = pick_device(name)
    if picked != "cuda":
        return torch.device(picked)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    torch.cuda.set_device(device)
    return device

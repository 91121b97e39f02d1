"""Data-parallel training: gradient and counter sums over the processes of ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

from equate_srbench.runtime.device import pick_device


class World:
    """The process group started by ``torchrun``, or a single process.

    Parameters
    ----------
    device : torch.device
        Of this process; NCCL is the backend on CUDA, else Gloo.

    Attributes
    ----------
    rank, size : int
        Rank of this process, and number of processes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def sum(self, values: Iterable[float]) -> list[float]:
        """Each value summed over the processes."""
        values = list(values)
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(v) for v in total.cpu()]

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients over the processes, in one all-reduce."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def close(self) -> None:
        """Leave the process group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def own_device(name: str) -> torch.device:
    """The requested device; "cuda" and "auto" give each local process a GPU of its own.

    Raises
    ------
    DeviceError
        If the requested device is not available.
    """
    picked = pick_device(name)
    if picked != "cuda":
        return torch.device(picked)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    torch.cuda.set_device(device)
    return device

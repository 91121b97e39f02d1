"""Several processes that train one network, or one process alone."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist


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
        """Add up the gradients over the processes."""
        self._sum_tensors([p.grad for p in parameters if p.grad is not None])

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the mean of each of ``tensors``."""
        tensors = list(tensors)
        self._sum_tensors(tensors)
        for tensor in tensors:
            tensor.div_(self.size)

    def _sum_tensors(self, tensors: list[Tensor]) -> None:
        """Add up tensors over the processes in place, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([t.detach().flatten() for t in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def close(self) -> None:
        """Leave the group; nobody waits for this process afterwards."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, and there this process's own device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        return device
    return torch.device(name)

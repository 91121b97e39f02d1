"""Batches on a device whose memory may be short: halves, then the CPU, and the same result.

A fit has one ``Room``. What it runs is told which rows of a batch to do, and where; random numbers
of a batch come from ``Draws``, so that they do not depend on how the batch is cut.
"""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
Module = TypeVar("Module", bound=nn.Module)

CPU = torch.device("cpu")


class MemoryWarning(RuntimeWarning):
    """A device's memory did not suffice for a batch; the result is what it would have been."""


class Room:
    """Runs work on batches in pieces that fit into a device's memory.

    What is too large is halved, again and again. Once a single item does not fit, work of its kind
    is done on the CPU. Both hold for all later batches of the kind, and the first time is warned
    of. On a CPU this is one plain call.
    """

    def __init__(self) -> None:
        self._most: dict[tuple[str, str], int] = {}  # items that fit, by kind of work and device
        self._warned = False

    def run(
        self,
        kind: str,
        work: Callable[[slice, torch.device], T],
        n: int,
        device: torch.device | str,
    ) -> list[T]:
        """Do a batch.

        Parameters
        ----------
        kind : str
            What the work is, for the warning; kinds have limits of their own.
        work : callable
            ``work(rows, device)`` does items ``rows`` of the batch on ``device``: the one given
            below, or the CPU. It is called anew with fewer rows if it raised
            ``torch.OutOfMemoryError``, so it must not have changed anything by then.
        n : int
            Items of the batch.
        device : torch.device or str

        Returns
        -------
        list
            What the calls returned, in the order of the rows; of one call if all fits.

        Raises
        ------
        torch.OutOfMemoryError
            If the CPU runs out of memory too.
        """
        device = torch.device(device)
        found: list[T] = []
        begin = 0
        while begin < n or not found:
            most = self._most.get((kind, device.type), max(n, 1))
            end = min(n, begin + most) if most else n
            try:
                found.append(work(slice(begin, end), device if most else CPU))
            except torch.cuda.OutOfMemoryError:
                if not most:
                    raise
            else:
                begin = end
                continue
            # outside of the handler: the error holds on to the memory of what failed
            self._most[kind, device.type] = (end - begin) // 2
            self._warn(kind, device)
            torch.cuda.empty_cache()
        return found

    def _warn(self, kind: str, device: torch.device) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{device}: out of memory in {kind}. Batches are halved from here on, and done on "
                "the CPU if a single item does not fit: slower, with the same result. Free the "
                "device's memory, run fewer fits on it at once, or use device='cpu'",
                MemoryWarning,
                stacklevel=2,
            )


def placed(module: Module, device: torch.device) -> Module:
    """A module on a device: itself if it is there, else a copy.

    The copy's tensors are made from the module's own, so gradients go through to those.
    """
    if next(module.parameters()).device.type == device.type:
        return module
    return with_tensors(module, lambda tensor: tensor.to(device))


def with_tensors(module: Module, change: Callable[[Tensor], Tensor]) -> Module:
    """A copy of a module whose parameters and buffers are what ``change`` makes of them."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): change(tensor) for tensor in tensors})


class Draws:
    """Random numbers for a batch, the same however the batch is cut.

    Parameters
    ----------
    generator : torch.Generator
        Numbers are drawn where it lives and moved to where they are used: with a generator on the
        CPU, a seed means the same numbers on every device.
    n : int
        Items of the batch.
    """

    def __init__(self, generator: torch.Generator, n: int) -> None:
        self._generator, self._n = generator, n
        self._drawn: list[Tensor] = []

    def part(self, rows: slice) -> Part:
        """The numbers of some items; every part must ask for the same ones, in the same order."""
        return Part(self, rows)

    def number(self, i: int, draw: Callable[[torch.Generator, int], Tensor]) -> Tensor:
        """Draw ``i`` of the whole batch, made by the first part that gets so far.

        ``draw(generator, n)`` makes it for ``n`` items.
        """
        if i == len(self._drawn):
            self._drawn.append(draw(self._generator, self._n))
        return self._drawn[i]


class Part:
    """The random numbers of some items of a batch, in the order they are asked for.

    Parameters
    ----------
    draws : Draws
        Of the whole batch.
    rows : slice
        The items.
    """

    def __init__(self, draws: Draws, rows: slice) -> None:
        self._draws, self._rows = draws, rows
        self._next = 0

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in ``[0, 1)`` with type, shape and device of ``like``."""
        shape, dtype = like.shape[1:], like.dtype

        def draw(generator: torch.Generator, n: int) -> Tensor:
            out = torch.empty((n, *shape), dtype=dtype, device=generator.device)
            return out.uniform_(generator=generator)

        return self._take(draw).to(like.device)

    def keep(self, share: float, like: Tensor) -> Tensor:
        """Dropout's factors for ``like``: 0, or 1 over the share that is kept.

        Parameters
        ----------
        share : float
            Of what is kept, to a precision of 1 / 256: a byte decides, since these are millions
            of numbers and whole words of them cost more than the network around.
        like : Tensor
            Gives type, shape and device.
        """
        shape, most = like.shape[1:], round(256 * share)

        def draw(generator: torch.Generator, n: int) -> Tensor:
            count = n * math.prod(shape)
            words = torch.randint(
                -(2**63), 2**63 - 1, (count // 8 + 1,), generator=generator, device=generator.device
            )
            return (words.view(torch.uint8)[:count] < most).view(n, *shape)

        return self._take(draw).to(like.device).to(like.dtype).mul_(256 / most)

    def _take(self, draw: Callable[[torch.Generator, int], Tensor]) -> Tensor:
        drawn = self._draws.number(self._next, draw)
        self._next += 1
        return drawn[self._rows]

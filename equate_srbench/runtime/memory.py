"""Recovery from out-of-memory errors on a device, with results that do not depend on it.

A fit has one ``OomSafe``: it halves the batch on out-of-memory, then falls back to the CPU. Random
numbers of a batch come from ``Draws``, so that they do not depend on how the batch is split.
"""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
Module = TypeVar("Module", bound=nn.Module)

CPU = torch.device("cpu")


class MemoryWarning(RuntimeWarning):
    """A device ran out of memory; the work was split or moved to the CPU, with the same result."""


class OomSafe:
    """Halves the batch on out-of-memory, then falls back to the CPU.

    The batch is halved until it fits; if a single item does not fit, work of its kind runs on the
    CPU. The limit is remembered for later batches of the same kind, and the first one is reported
    by a ``MemoryWarning``. On a CPU a batch is one plain call.
    """

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], int] = {}  # items that fit, by kind of work and device
        self._warned = False

    def run(
        self,
        kind: str,
        work: Callable[[slice, torch.device], T],
        n: int,
        device: torch.device | str,
    ) -> list[T]:
        """Process a batch, in pieces if needed.

        Parameters
        ----------
        kind : str
            Kind of work, named in the warning; each kind has its own limit.
        work : callable
            ``work(rows, device)`` processes items ``rows`` of the batch on ``device``: the one
            given below, or the CPU. It is repeated with fewer rows if it raised
            ``torch.OutOfMemoryError``, so it must be free of side effects until then.
        n : int
            Items in the batch.
        device : torch.device or str

        Returns
        -------
        list
            Results of the calls in the order of the rows; one result if the batch fits.

        Raises
        ------
        torch.OutOfMemoryError
            If the CPU runs out of memory too.
        """
        device = torch.device(device)
        found: list[T] = []
        begin = 0
        while begin < n or not found:
            most = self._limits.get((kind, device.type), max(n, 1))
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
            self._limits[kind, device.type] = (end - begin) // 2
            self._warn(kind, device)
            torch.cuda.empty_cache()
        return found

    def _warn(self, kind: str, device: torch.device) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{device}: out of memory in {kind}. Batches are halved from now on, and processed "
                "on the CPU if a single item does not fit: slower, with the same result. Free "
                "memory on the device, run fewer fits on it at once, or use device='cpu'",
                MemoryWarning,
                stacklevel=2,
            )


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The tensors concatenated; the tensor itself if there is only one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def placed(module: Module, device: torch.device) -> Module:
    """The module itself if it is on the device, else a copy there.

    The copy is differentiable: gradients flow back to the module's own tensors.
    """
    if next(module.parameters()).device.type == device.type:
        return module
    return with_tensors(module, lambda tensor: tensor.to(device))


def with_tensors(module: Module, change: Callable[[Tensor], Tensor]) -> Module:
    """A copy of a module with ``change`` applied to its parameters and buffers."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): change(tensor) for tensor in tensors})


class Draws:
    """Random numbers for a batch that do not depend on how the batch is split.

    Parameters
    ----------
    generator : torch.Generator
        Numbers are drawn on its device and moved to where they are used: with a generator on the
        CPU, a seed gives the same numbers on every device.
    n : int
        Items in the batch.
    """

    def __init__(self, generator: torch.Generator, n: int) -> None:
        self._generator, self._n = generator, n
        self._drawn: list[Tensor] = []

    def part(self, rows: slice) -> RowDraws:
        """The numbers of some items; all parts must request the same draws in the same order."""
        return RowDraws(self, rows)

    def number(self, i: int, draw: Callable[[torch.Generator, int], Tensor]) -> Tensor:
        """The ``i``-th draw of the whole batch, made when the first part requests it.

        ``draw(generator, n)`` draws for ``n`` items.
        """
        if i == len(self._drawn):
            self._drawn.append(draw(self._generator, self._n))
        return self._drawn[i]


class RowDraws:
    """The random numbers of some rows of a batch, in the order of the requests.

    Parameters
    ----------
    draws : Draws
        Of the whole batch.
    rows : slice
        The rows.
    """

    def __init__(self, draws: Draws, rows: slice) -> None:
        self._draws, self._rows = draws, rows
        self._next = 0

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in ``[0, 1)`` with dtype, shape and device of ``like``."""
        shape, dtype = like.shape[1:], like.dtype

        def draw(generator: torch.Generator, n: int) -> Tensor:
            out = torch.empty((n, *shape), dtype=dtype, device=generator.device)
            return out.uniform_(generator=generator)

        return self._take(draw).to(like.device)

    def keep(self, share: float, like: Tensor) -> Tensor:
        """Dropout factors: 0, or the inverse of the keep probability.

        Parameters
        ----------
        share : float
            Keep probability, rounded to 1 / 256: one random byte per number, because whole words
            would cost more than the network itself.
        like : Tensor
            Gives dtype, shape and device.
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

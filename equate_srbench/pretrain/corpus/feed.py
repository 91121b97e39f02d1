"""Pools of the corpus made ahead of the network by worker processes."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig, Counts, pool, thinned

if TYPE_CHECKING:
    import torch

    from equate_srbench.pretrain.corpus.device_tables import Templates


@dataclass(frozen=True)
class Order:
    """Which pools one of several processes takes, in which order.

    Pools go out in groups of ``size * count``: every process takes ``count`` pools of a group,
    so that processes with one pool each see what one process with as many pools sees.

    Attributes
    ----------
    first : int
        Index of the first pool of the first group.
    count : int, default=1
        Pools of a group for each process.
    rank, size : int
        Number of the process, and how many there are.
    """

    first: int
    count: int = 1
    rank: int = 0
    size: int = 1

    def __call__(self, i: int) -> int:
        """Index of the ``i``-th pool of this process."""
        group, j = divmod(i, self.count)
        return self.first + (group * self.size + self.rank) * self.count + j


@dataclass(frozen=True, eq=False)
class Pool:
    """A finished pool, and the processor seconds that its worker had used until then.

    ``made`` are its batches, or the formulas whose tables the device draws that trains.
    """

    index: int
    made: list[Batch] | Templates
    counts: Counts
    worker: int
    cpu_seconds: float

    def batches(self, config: CorpusConfig, device: torch.device) -> list[Batch]:
        """The batches to train on, drawn on ``device`` if there are only formulas so far."""
        made = self.made
        if not isinstance(made, list):
            from equate_srbench.pretrain.corpus.device_tables import (
                draw_batches,  # brings the compiled kernel
            )

            made = draw_batches(config, self.index, made, device)
        return [thinned(config, self.index, i, batch) for i, batch in enumerate(made)]


def _make(
    config: CorpusConfig, index: int, banned: Filter
) -> tuple[list[Batch] | Templates, Counts]:
    if config.tables == 1:
        return pool(config, index, banned)
    from equate_srbench.pretrain.corpus.device_tables import templates

    return templates(config, index, banned)


def _work(config: CorpusConfig, order: Order, worker: int, workers: int, out: Connection) -> None:
    for told in (signal.SIGINT, signal.SIGTERM):  # a terminal or a scheduler tells all processes
        signal.signal(told, signal.SIG_IGN)  # and the trainer still needs its last pool
    banned = Filter.shipped()
    try:
        for i in count(worker, workers):
            index = order(i)
            made = _make(config, index, banned)
            out.send(Pool(index, *made, worker, time.process_time()))  # waits until it is wanted
    except (BrokenPipeError, ConnectionResetError):
        pass  # the trainer is gone, whatever ended it


class Feed:
    """The pools of ``order``, whoever makes them.

    Parameters
    ----------
    config : CorpusConfig
    order : Order
    workers : int
        Processes; 0 makes the pools in the calling thread.
    """

    def __init__(self, config: CorpusConfig, order: Order, workers: int) -> None:
        self._config, self._order, self._workers = config, order, workers
        self._processes = []
        self._readers: list[Connection] = []
        context = multiprocessing.get_context("spawn")
        for worker in range(workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_work, args=(config, order, worker, workers, writer), daemon=True
            )
            process.start()
            writer.close()  # with the worker's end the last one, its death ends the pipe
            self._processes.append(process)
            self._readers.append(reader)

    def __iter__(self) -> Iterator[Pool]:
        banned = None if self._workers else Filter.shipped()
        for i in count():
            if banned is not None:
                index = self._order(i)
                yield Pool(index, *_make(self._config, index, banned), 0, 0.0)
            else:
                yield self._take(i % self._workers)

    def _take(self, i: int) -> Pool:
        try:
            return self._readers[i].recv()
        except (EOFError, OSError):
            raise ChildProcessError(
                "a corpus worker ended: it was killed, or its error is printed above"
            ) from None

    def close(self) -> None:
        """End the workers."""
        for process, reader in zip(self._processes, self._readers, strict=True):
            reader.close()
            process.kill()
            process.join()

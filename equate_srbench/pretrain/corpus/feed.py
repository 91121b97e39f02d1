"""Generates pools of the corpus in worker processes, ahead of the training."""

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
    """Order of the pools of one training process among several.

    Pools are distributed in groups of ``size * count``: every process gets ``count`` pools of a
    group, so that several processes see the same pools as one process with as many per group.

    Attributes
    ----------
    first : int
        Index of the first pool of the first group.
    count : int, default=1
        Pools per group and process.
    rank, size : int
        Rank of the process, and number of processes.
    """

    first: int
    count: int = 1
    rank: int = 0
    size: int = 1

    def __call__(self, i: int) -> int:
        """Index of the ``i``-th pool of the process."""
        group, j = divmod(i, self.count)
        return self.first + (group * self.size + self.rank) * self.count + j


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool, and the total processor time of its worker so far.

    ``made`` are its batches, or formulas whose tables the training device generates.
    """

    index: int
    made: list[Batch] | Templates
    counts: Counts
    worker: int
    cpu_seconds: float

    def batches(self, config: CorpusConfig, device: torch.device) -> list[Batch]:
        """The training batches, generated on ``device`` if the pool holds only formulas."""
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
    for stop in (signal.SIGINT, signal.SIGTERM):  # sent to all processes by a terminal or scheduler
        signal.signal(stop, signal.SIG_IGN)  # the trainer still needs its last pool
    banned = Filter.shipped()
    try:
        for i in count(worker, workers):
            index = order(i)
            made = _make(config, index, banned)
            out.send(Pool(index, *made, worker, time.process_time()))  # blocks until received
    except (BrokenPipeError, ConnectionResetError):
        pass  # the trainer has ended


class Feed:
    """Iterates over the pools of ``order``.

    Parameters
    ----------
    config : CorpusConfig
    order : Order
    workers : int
        Worker processes; 0 generates the pools in the calling thread.
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
            writer.close()  # then only the worker holds this end, and its death closes the pipe
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
            pool: Pool = self._readers[i].recv()
        except (EOFError, OSError):
            raise ChildProcessError(
                "a corpus worker ended: it was killed, or its error is printed above"
            ) from None
        return pool

    def close(self) -> None:
        """Terminate the workers."""
        for process, reader in zip(self._processes, self._readers, strict=True):
            reader.close()
            process.kill()
            process.join()

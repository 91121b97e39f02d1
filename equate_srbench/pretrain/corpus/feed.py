"""Generates pools of the corpus in worker processes, ahead of the training."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from queue import SimpleQueue

from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig, Counts, pool, thinned

#: Pools of a worker that are received before the trainer wants them.
_AHEAD = 1


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
    """The batches of a pool, and the total processor time of its worker so far."""

    index: int
    batches: list[Batch]
    counts: Counts
    worker: int
    cpu_seconds: float


def make(config: CorpusConfig, index: int, banned: Filter) -> tuple[list[Batch], Counts]:
    """The training batches of pool ``index``, thinned, and its counts."""
    if config.tables == 1:
        batches, counts = pool(config, index, banned)
    else:
        import torch  # not needed for the plain corpus, nor the compiled kernel

        from equate_srbench.pretrain.corpus.device_tables import draw_batches, templates

        formulas, counts = templates(config, index, banned)
        batches = draw_batches(config, index, formulas, torch.device("cpu"))
    return [thinned(config, index, i, batch) for i, batch in enumerate(batches)], counts


def _work(config: CorpusConfig, order: Order, worker: int, workers: int, out: Connection) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):  # sent to all processes by a terminal or scheduler
        signal.signal(stop, signal.SIG_IGN)  # the trainer still needs its last pool
    if config.tables > 1:
        import torch

        torch.set_num_threads(1)  # every worker has one core
    banned = Filter.shipped()
    try:
        for i in count(worker, workers):
            index = order(i)
            batches, counts = make(config, index, banned)
            out.send((index, len(batches), counts, time.process_time()))  # waits until received
            for batch in batches:
                out.send(batch)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the trainer has ended


class _Receiver(threading.Thread):
    """Receives the pools of one worker while the trainer trains.

    Batches come one by one: whoever unpickles keeps the other threads of the process waiting, and a
    whole pool at once would let a GPU run dry.
    """

    def __init__(self, reader: Connection, worker: int) -> None:
        super().__init__(daemon=True)
        self._reader, self._worker = reader, worker
        self._pools: SimpleQueue[Pool | None] = SimpleQueue()
        self._wanted = threading.Semaphore(_AHEAD + 1)
        self._closed = False
        self.start()

    def run(self) -> None:
        """Receive until the worker ends or the feed is closed."""
        try:
            while True:
                self._wanted.acquire()
                if self._closed:
                    return
                index, n, counts, cpu_seconds = self._reader.recv()
                batches = [self._reader.recv() for _ in range(n)]
                self._pools.put(Pool(index, batches, counts, self._worker, cpu_seconds))
        except (EOFError, OSError):
            self._pools.put(None)

    def take(self) -> Pool:
        """The worker's next pool; ChildProcessError if it has ended."""
        found = self._pools.get()
        if found is None:
            raise ChildProcessError(
                "a corpus worker ended: it was killed, or its error is printed above"
            )
        self._wanted.release()
        return found

    def close(self) -> None:
        """End the thread, once the worker is gone."""
        self._closed = True
        self._wanted.release()
        self.join()
        self._reader.close()


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
        self._config, self._order = config, order
        self._processes = []
        self._receivers: list[_Receiver] = []
        context = multiprocessing.get_context("spawn")
        for worker in range(workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_work, args=(config, order, worker, workers, writer), daemon=True
            )
            process.start()
            writer.close()  # then only the worker holds this end, and its death closes the pipe
            self._processes.append(process)
            self._receivers.append(_Receiver(reader, worker))

    def __iter__(self) -> Iterator[Pool]:
        banned = None if self._receivers else Filter.shipped()
        for i in count():
            if banned is not None:
                index = self._order(i)
                yield Pool(index, *make(self._config, index, banned), 0, 0.0)
            else:
                yield self._receivers[i % len(self._receivers)].take()

    def close(self) -> None:
        """Terminate the workers."""
        for process in self._processes:
            process.kill()
        for process, receiver in zip(self._processes, self._receivers, strict=True):
            process.join()
            receiver.close()

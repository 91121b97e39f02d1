"""Pools of the corpus made ahead of the network by worker processes."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass

from equate_srbench.pretrain.corpus import Batch, CorpusConfig, Counts, pool
from equate_srbench.pretrain.decontaminate import Filter


@dataclass(frozen=True, eq=False)
class Pool:
    """A finished pool, and the processor seconds that its worker had used until then."""

    index: int
    batches: list[Batch]
    counts: Counts
    worker: int
    cpu_seconds: float


def _work(config: CorpusConfig, first: int, worker: int, workers: int, out, parent: int) -> None:  # noqa: ANN001
    banned, index = Filter.shipped(), first + worker
    while os.getppid() == parent:  # a killed trainer leaves no workers behind
        done = Pool(index, *pool(config, index, banned), worker, time.process_time())
        while os.getppid() == parent:
            try:
                out.put(done, timeout=5.0)
                break
            except queue.Full:
                continue
        index += workers


class Feed:
    """Pools ``first``, ``first + 1``, ... in order, whoever makes them.

    Parameters
    ----------
    config : CorpusConfig
    first : int
        Index of the first pool.
    workers : int
        Processes; 0 makes the pools in the calling thread.
    """

    def __init__(self, config: CorpusConfig, first: int, workers: int) -> None:
        self._config, self._first, self._workers = config, first, workers
        self._processes = []
        self._queues = []
        context = multiprocessing.get_context("spawn")
        for worker in range(workers):
            made = context.Queue(maxsize=2)
            process = context.Process(
                target=_work, args=(config, first, worker, workers, made, os.getpid()), daemon=True
            )
            process.start()
            self._processes.append(process)
            self._queues.append(made)

    def __iter__(self) -> Iterator[Pool]:
        index = self._first
        banned = None if self._workers else Filter.shipped()
        while True:
            if banned is not None:
                yield Pool(index, *pool(self._config, index, banned), 0, 0.0)
            else:
                i = (index - self._first) % self._workers
                yield self._take(i)
            index += 1

    def _take(self, i: int) -> Pool:
        while True:
            try:
                return self._queues[i].get(timeout=10.0)
            except queue.Empty:
                if not self._processes[i].is_alive():
                    raise RuntimeError(
                        "a corpus worker ended; its error is printed above"
                    ) from None

    def close(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.terminate()
            process.join()

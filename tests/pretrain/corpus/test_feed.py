"""Workers that make pools: same pools whoever makes them, and no process outlives its trainer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from equate_srbench.pretrain.corpus.examples import CorpusConfig
from equate_srbench.pretrain.corpus.feed import Feed, Order

CORPUS = CorpusConfig(seed=1, batch_points=384, batches=3)


def test__feed__trainer_killed__worker_ends() -> None:
    """Also while it holds a pool that nobody will ever read."""
    code = (
        "import os, time\n"
        "from equate_srbench.pretrain.corpus.examples import CorpusConfig\n"
        "from equate_srbench.pretrain.corpus.feed import Feed, Order\n"
        "if __name__ == '__main__':\n"
        "    feed = Feed(CorpusConfig(batches=2), Order(0), 1)\n"
        "    next(iter(feed))\n"
        "    time.sleep(4.0)\n"  # the next pools fill queue and pipe
        "    print(feed._processes[0].pid, flush=True)\n"
        "    time.sleep(600.0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as trainer:
        worker = psutil.Process(int(trainer.stdout.readline()))
        trainer.kill()
    worker.wait(timeout=120.0)


def test__feed__all_processes_told_to_end__pools_still_come() -> None:
    """Ctrl-C in a terminal reaches the worker too; the trainer ends when it has its step."""
    feed = Feed(CORPUS, Order(0), 1)
    pools = iter(feed)
    assert next(pools).index == 0
    (worker,) = feed._processes
    for told in (signal.SIGTERM, signal.SIGINT):
        os.kill(worker.pid, told)
    assert [next(pools).index for _ in range(3)] == [1, 2, 3]
    feed.close()
    assert not worker.is_alive()


def test__feed__worker_killed__is_said() -> None:
    """Also in the middle of a pool; the trainer does not wait for what will never come."""
    feed = Feed(CorpusConfig(seed=1, batches=2), Order(0), 1)
    try:
        next(iter(feed))
        time.sleep(4.0)  # the next pool is in the pipe, in part
        feed._processes[0].kill()
        with pytest.raises(ChildProcessError, match="a corpus worker ended"):
            for _ in feed:
                pass
    finally:
        feed.close()


def test__order__processes_with_one_pool__see_what_one_with_two_sees() -> None:
    """Groups of pools, whoever takes them."""
    alone = Order(5, count=2)
    pair = [Order(5, rank=rank, size=2) for rank in range(2)]
    for group in range(3):
        assert [alone(2 * group), alone(2 * group + 1)] == [order(group) for order in pair]
    crowd = [Order(0, count=3, rank=r, size=2)(i) for i in range(6) for r in range(2)]
    assert sorted(crowd) == list(range(12))


def test__feed__two_workers__same_pools_as_inline() -> None:
    """Who makes a pool does not change it."""
    inline = iter(Feed(CORPUS, Order(2), 0))
    feed = Feed(CORPUS, Order(2), 2)
    try:
        for theirs, ours in zip(feed, [next(inline) for _ in range(3)], strict=False):
            assert theirs.index == ours.index
            assert theirs.counts == ours.counts
            np.testing.assert_array_equal(theirs.batches[0].tokens, ours.batches[0].tokens)
            if theirs.index == 4:
                break
    finally:
        feed.close()

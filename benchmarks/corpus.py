"""Throughput of the corpus generators, relative to the plain one in the same run.

Run: ``OMP_NUM_THREADS=1 python benchmarks/corpus.py``; on a machine with CUDA the tables are also
generated on the GPU.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch

from equate_srbench.pretrain.corpus import device_tables, examples
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig


def rate(make: Callable[[int], list[Batch]], pools: int, device: torch.device) -> float:
    """Examples per second over several pools, after one pool of warm-up.

    In processor time on a CPU, in wall-clock time on a GPU.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    make(0)
    n, start = 0, clock()
    for index in range(1, pools + 1):
        n += sum(len(batch.tokens) for batch in make(index))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return n / (clock() - start)


def main() -> None:
    """Print a table of rates and ratios."""
    parser = argparse.ArgumentParser(description="Throughput of the corpus generators.")
    parser.add_argument("--pools", type=int, default=3)
    parser.add_argument("--tables", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--batch-points", type=int, default=CorpusConfig().batch_points)
    args = parser.parse_args()
    torch.set_num_threads(1)
    banned, plain = Filter.shipped(), CorpusConfig(batch_points=args.batch_points)
    cpu = torch.device("cpu")
    base = rate(lambda i: examples.pool(plain, i, banned)[0], args.pools, cpu)
    print(f"{platform.machine()}, 1 thread, {args.pools} pools of {plain.batches} batches each")
    print("| corpus | examples/s | ratio |\n| --- | --- | --- |")
    print(f"| plain generator, NumPy | {base:.0f} | 1 |")
    devices = [cpu, *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    for device in devices:
        for tables in args.tables:
            config = CorpusConfig(batch_points=args.batch_points, tables=tables)
            made = {i: device_tables.templates(config, i, banned)[0] for i in range(args.pools + 1)}

            def draw(i: int, c=config, m=made, d=device) -> list[Batch]:  # noqa: ANN001
                return device_tables.draw_batches(c, i, m[i], d)

            def whole(i: int, c=config, d=device) -> list[Batch]:  # noqa: ANN001
                return device_tables.draw_batches(c, i, device_tables.templates(c, i, banned)[0], d)

            alone, both = rate(draw, args.pools, device), rate(whole, args.pools, device)
            where = "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)
            name = f"{tables} tables a formula, on {where}"
            print(f"| {name} | {alone:.0f} | {alone / base:.2f} |")
            print(f"| the same, drawing the formulas included | {both:.0f} | {both / base:.2f} |")


if __name__ == "__main__":
    main()

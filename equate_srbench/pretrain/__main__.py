"""``python -m equate_srbench.pretrain``: train the compact backbone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import torch

from equate_srbench.pretrain.train import TrainConfig, pretrain


def minutes_until(text: str, now: datetime) -> float:
    """Minutes from ``now`` to the next ``HH:MM`` in UTC."""
    hour, minute = map(int, text.split(":"))
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= now:
        then += timedelta(days=1)
    return (then - now).total_seconds() / 60.0


def main(argv: Sequence[str] | None = None) -> None:
    """Train for a while; see ``pretrain`` for what the options mean."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.pretrain", description=main.__doc__
    )
    time = parser.add_mutually_exclusive_group(required=True)
    time.add_argument("--minutes", type=float)
    time.add_argument("--until-utc", metavar="HH:MM")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dir", type=Path, help="the run's directory (default: user cache)")
    parser.add_argument("--resume", action="store_true", help="go on from the state found there")
    parser.add_argument("--start", help="checkpoint a new run starts from, as compact")
    parser.add_argument("--export", type=Path, help="where compact.safetensors is written")
    parser.add_argument("--decay", type=float, default=0.15)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, help="torch threads of this process")
    parser.add_argument("--lr", type=float, default=TrainConfig.lr, help="peak, of a new run")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    minutes = args.minutes or minutes_until(args.until_utc, datetime.now(UTC))
    pretrain(
        minutes,
        args.dir,
        config=TrainConfig(lr=args.lr),
        resume=args.resume,
        device=args.device,
        start=args.start,
        workers=args.workers,
        decay=args.decay,
        export=args.export,
        report=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()

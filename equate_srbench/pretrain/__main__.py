"""``python -m equate_srbench.pretrain``: train a backbone.

Needs torch, numpy, numba and safetensors only, so that it runs on machines with a fixed set of
packages; ``torchrun -m equate_srbench.pretrain`` trains with several processes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.pretrain.corpus.examples import CorpusConfig
from equate_srbench.pretrain.state import StateError
from equate_srbench.pretrain.train import SIZES, DivergedError, SizeError, TrainConfig, pretrain
from equate_srbench.runtime.device import DeviceError


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty name: give a folder")
    return Path(text)


def make_parser(prog: str) -> argparse.ArgumentParser:
    """The options; see ``train.pretrain`` for what they mean."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Train a backbone on the synthetic corpus."
    )
    add = parser.add_argument
    add("--minutes", type=float, required=True, help="wall clock of this call")
    add("--dir", type=_folder, help="the run's folder (default: user cache)")
    add(
        "--resume",
        nargs="?",
        const=True,
        type=_folder,
        metavar="DIR",
        help="go on from the state in the run's folder, or in DIR, which then is the run's folder",
    )
    add("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--size", choices=sorted(SIZES, reverse=True),
        help="network of a new run (default: compact)")  # fmt: skip
    add("--start", metavar="CHECKPOINT", help="a new run starts from this one, such as compact")
    add("--export", type=Path, help="where the checkpoint goes (default: the run's folder)")
    add("--workers", type=int, default=1, help="processes that write the corpus (default: 1)")
    add("--threads", type=int, help="torch threads of this process")
    add("--accumulate", type=int, default=1, help="batches of a step (default: 1)")
    add(
        "--decay",
        type=float,
        default=0.15,
        help="last share of the call in which the rate falls to zero (default: 0.15); above 1 the "
        "call begins at 1/DECAY of the peak rate",
    )
    add("--tables", type=int,
        help="tables for each formula of a new run, drawn on the device if more than 1 (default: "
        "1 on a CPU, 4 on a GPU)")  # fmt: skip
    add("--lr", type=float, default=TrainConfig.lr, help="peak rate of a new run")
    add("--shard-mib", type=float, default=float("inf"),
        help="largest file of the state, which then is slim too (default: no limit)")  # fmt: skip
    return parser


def main(
    argv: Sequence[str] | None = None, prog: str = "python -m equate_srbench.pretrain"
) -> None:
    """Train for a while; what cannot work is said in one line with exit code 2."""
    parser = make_parser(prog)
    args = parser.parse_args(argv)
    for name in ("minutes", "workers", "accumulate", "lr", "shard_mib", "threads"):
        value, option = getattr(args, name), "--" + name.replace("_", "-")
        if value is not None and not value > 0:
            parser.error(f"{option} {value:g}: give more than 0")
        if name in ("minutes", "lr") and value == float("inf"):
            parser.error(f"{option} {value:g}: give a finite number")
    if args.export is not None and args.export.is_dir():
        parser.error(f"--export {args.export}: that is a folder, give a file")
    if not 0.0 <= args.decay < float("inf"):
        parser.error(f"--decay {args.decay:g}: give 0 or more; shares are 0 to 1")
    directory = args.dir if args.resume in (None, True) else args.resume
    if args.dir not in (None, directory):
        parser.error(f"--dir {args.dir} and --resume {args.resume}: give the folder once")
    if args.tables is None:
        args.tables = 4 if args.device != "cpu" and torch.cuda.is_available() else 1
    if args.tables < 1:
        parser.error(f"--tables {args.tables}: give 1 or more")
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        pretrain(
            args.minutes,
            directory,
            config=TrainConfig(
                backbone=SIZES[args.size or "compact"],
                corpus=CorpusConfig(tables=args.tables),
                lr=args.lr,
            ),
            resume=args.resume is not None,
            device=args.device,
            start=args.start,
            workers=args.workers,
            accumulate=args.accumulate,
            shard_mib=args.shard_mib,
            decay=args.decay,
            export=args.export,
            size=args.size,
            report=lambda line: print(line, flush=True),
        )
    except (
        OSError, CheckpointError, SizeError, StateError, DivergedError, DeviceError,
    ) as error:  # fmt: skip
        parser.error(str(error))


if __name__ == "__main__":
    main()

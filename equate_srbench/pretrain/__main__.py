"""``python -m equate_srbench.pretrain``: train a backbone.

Needs only torch, numpy, scipy, numba and safetensors, so that it runs in minimal environments;
``torchrun -m equate_srbench.pretrain`` trains with several processes.
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
        raise argparse.ArgumentTypeError("empty path: give a directory")
    return Path(text)


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Command-line options; see ``train.pretrain``."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Train a backbone on the synthetic corpus."
    )
    add = parser.add_argument
    add("--minutes", type=float, required=True, help="wall-clock time of this call")
    add("--dir", type=_folder, help="run directory (default: user cache)")
    add(
        "--resume",
        nargs="?",
        const=True,
        type=_folder,
        metavar="DIR",
        help="resume the run in the run directory, or in DIR",
    )
    add("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--size", choices=sorted(SIZES, reverse=True),
        help="network of a new run (default: compact)")  # fmt: skip
    add("--start", metavar="CHECKPOINT", help="initialise a new run from it, such as compact")
    add("--export", type=Path, help="checkpoint file to write (default: in the run directory)")
    add("--workers", type=int, default=1, help="corpus worker processes (default: 1)")
    add("--threads", type=int, help="torch threads per process")
    add(
        "--accumulate",
        type=int,
        default=1,
        help="batches accumulated per step (default: 1)",
    )
    add(
        "--decay",
        type=float,
        default=0.15,
        help="last fraction of the call over which the learning rate decays to zero (default: "
        "0.15); above 1 the call starts at 1/DECAY of the peak rate",
    )
    add("--tables", type=int,
        help="tables per formula of a new run, generated on the training device if more than 1 "
        "(default: 1 on a CPU, 4 on a GPU)")  # fmt: skip
    add("--natural", type=float, metavar="SHARE",
        help="share of formulas and of tables as in nature (new runs: "
        f"{CorpusConfig.natural_tables:g}); changes it in a resumed or started one")  # fmt: skip
    add("--lr", type=float, default=TrainConfig.lr, help="peak learning rate of a new run")
    add("--shard-mib", type=float, default=float("inf"),
        help="most MiB per file of the saved state; with a limit, the optimiser's moments are kept "
        "in bfloat16 (default: no limit)")  # fmt: skip
    return parser


def main(
    argv: Sequence[str] | None = None, prog: str = "python -m equate_srbench.pretrain"
) -> None:
    """Train for a given time; invalid options and states exit with code 2 and one line."""
    parser = make_parser(prog)
    args = parser.parse_args(argv)
    for name in ("minutes", "workers", "accumulate", "lr", "shard_mib", "threads"):
        value, option = getattr(args, name), "--" + name.replace("_", "-")
        if value is not None and not value > 0:
            parser.error(f"{option} {value:g}: give more than 0")
        if name in ("minutes", "lr") and value == float("inf"):
            parser.error(f"{option} {value:g}: give a finite number")
    if args.export is not None and args.export.is_dir():
        parser.error(f"--export {args.export}: is a directory, give a file")
    if not 0.0 <= args.decay < float("inf"):
        parser.error(f"--decay {args.decay:g}: give 0 or more; fractions are 0 to 1")
    directory = args.dir if args.resume in (None, True) else args.resume
    if args.dir not in (None, directory):
        parser.error(f"--dir {args.dir} and --resume {args.resume}: give the directory only once")
    if args.tables is None:
        args.tables = 4 if args.device != "cpu" and torch.cuda.is_available() else 1
    if args.tables < 1:
        parser.error(f"--tables {args.tables}: give 1 or more")
    if args.natural is not None and not 0.0 <= args.natural <= 1.0:
        parser.error(f"--natural {args.natural:g}: give a share from 0 to 1")
    natural = ("natural_formulas", "natural_tables") if args.natural is not None else ()
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
            corpus=dict.fromkeys(natural, args.natural),
            report=lambda line: print(line, flush=True),
        )
    except (
        OSError, CheckpointError, SizeError, StateError, DivergedError, DeviceError,
    ) as error:  # fmt: skip
        parser.error(str(error))


if __name__ == "__main__":
    main()

"""``equate pretrain``: train the compact backbone."""

from __future__ import annotations

import typer


def pretrain(context: typer.Context) -> None:
    """Train a backbone on the synthetic corpus."""
    # training has its own argument parser: it also runs on machines without typer
    from equate_srbench.pretrain.__main__ import main as train

    train(context.args, prog="equate pretrain")

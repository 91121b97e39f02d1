"""``equate convert``: Meta's E2E weights as a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equate_srbench.runtime.terminal import errors_in_one_line


def convert(
    source: Annotated[
        Path, typer.Argument(help="Released model1.pt of E2E, or a *.pth of its trainer.")
    ],
    out: Annotated[Path, typer.Argument(help="File to write, such as e2e.safetensors.")],
) -> None:
    """Convert Meta's E2E weights to a backbone, without executing code from the file.

    Use the result by its path: EquateRegressor(backbone="e2e.safetensors").
    """
    from rich.console import Console
    from rich.progress import Progress

    from equate_srbench.backbone.checkpoint import CheckpointError
    from equate_srbench.backbone.convert.e2e_weights import convert as convert_file

    console = Console(stderr=True, highlight=False)
    with (
        errors_in_one_line(CheckpointError, OSError),
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("weights", total=None)
        made = convert_file(
            source, out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    c = made.config
    heads = "" if made.heads_known else " (assumed as released: not stored in the file)"
    typer.echo(f"source      {source.name}: {made.kind}")
    typer.echo(f"layers      {c.encoder_layers} encoder, {c.decoder_layers} decoder")
    typer.echo(f"widths      {c.encoder_dim} encoder, {c.dim} decoder, {c.token_dim} number tokens")
    typer.echo(f"heads       {c.encoder_heads} encoder, {c.heads} decoder{heads}")
    typer.echo(f"parameters  {made.n_parameters:,}")
    typer.echo(f"SHA-256     {made.sha256}")
    typer.echo(f"written     {out} ({out.stat().st_size / 1e6:.0f} MB)")

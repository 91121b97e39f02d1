"""``equate models``: backbones that are known by name."""

from __future__ import annotations

from typing import Annotated

import typer

from equate_srbench.runtime.terminal import errors_in_one_line

app = typer.Typer(help="Pretrained backbones: what there is, and where.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As `equate models list` shows it.")]


@app.command("list")
def show() -> None:
    """Say which backbones there are, and whether they are on this machine."""
    from equate_srbench.backbone import registry

    for name, model in registry.known().items():
        if not model.is_built:
            state = "not built yet"
        elif model.path is None:
            state = f"not fetched: equate models fetch {name}"
        else:
            state = "with the package" if model.path.parent == registry.WEIGHTS else "fetched"
        size = f"{model.bytes / 1e6:.1f} MB" if model.bytes else "-"
        parameters = f"{model.parameters / 1e6:.1f} M"
        typer.echo(f"{name:<10s} {parameters:>7s}  {size:>8s}  {state}; {model.about}")


@app.command()
def fetch(name: Name) -> None:
    """Get a backbone into the cache folder, checked by its SHA-256.

    EQUATE_MODELS_URL names an address or a folder to take it from, EQUATE_CACHE the cache folder.
    """
    from equate_srbench.backbone import registry

    with errors_in_one_line(OSError):
        typer.echo(registry.fetch(name))


@app.command()
def verify(name: Annotated[str, typer.Argument(help="[default: all that are here]")] = "") -> None:
    """Compare files with their recorded size and SHA-256; exit code 2 if one differs."""
    from equate_srbench.backbone import registry

    here = [n for n, model in registry.known().items() if model.path is not None]
    with errors_in_one_line(OSError):
        for each in [name] if name else here:
            typer.echo(f"ok  {each}  {registry.verify(each)}")


@app.command()
def path(name: Name) -> None:
    """Print where the file is; exit code 2 if it is not on this machine."""
    from equate_srbench.backbone import registry

    with errors_in_one_line(OSError):
        typer.echo(registry.find(name))


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="A name, or a checkpoint's file.")] = "compact",
) -> None:
    """Print the model card: what it was trained on, for how long, and its scores.

    A file without a card beside it gets one from its own header, without scores.
    """
    from pathlib import Path

    from equate_srbench.backbone import registry
    from equate_srbench.backbone.checkpoint import CheckpointError

    with errors_in_one_line(OSError, CheckpointError):
        file = registry.find(name) if name in registry.known() else Path(name)
        written = file.with_suffix(".md")
        if written.is_file():
            typer.echo(written.read_text(encoding="utf-8"))
            return
        from equate_srbench.pretrain.card import text_of

        typer.echo(text_of(file))

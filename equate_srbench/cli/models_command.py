"""``equate models``: pretrained backbones by name."""

from __future__ import annotations

from typing import Annotated

import typer

from equate_srbench.runtime.terminal import errors_in_one_line

app = typer.Typer(help="Pretrained backbones: list, fetch and verify them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A name from `equate models list`.")]


@app.command("list")
def show() -> None:
    """List the backbones and whether they are on this machine."""
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
    """Download a backbone to the cache folder and check its SHA-256.

    EQUATE_MODELS_URL sets the address or folder of the source, EQUATE_CACHE the cache folder.
    """
    from equate_srbench.backbone import registry

    with errors_in_one_line(OSError):
        typer.echo(registry.fetch(name))


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="[default: all on this machine]")] = "",
) -> None:
    """Check size and SHA-256 of the files; exit code 2 if one differs."""
    from equate_srbench.backbone import registry

    here = [n for n, model in registry.known().items() if model.path is not None]
    with errors_in_one_line(OSError):
        for each in [name] if name else here:
            typer.echo(f"ok  {each}  {registry.verify(each)}")


@app.command()
def path(name: Name) -> None:
    """Print the path of the file; exit code 2 if it is not on this machine."""
    from equate_srbench.backbone import registry

    with errors_in_one_line(OSError):
        typer.echo(registry.find(name))


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="A name, or the path of a checkpoint.")] = "compact",
) -> None:
    """Print the model card: training data, training time and scores.

    Without a card file, the card is made from the header of the checkpoint, without scores.
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

"""``equate srbench``: check a submission, and export ours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from equate_srbench.runtime.terminal import errors_in_one_line

app = typer.Typer(help="The SRBench submission: check and export it.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with `algorithms` and `experiment`. [default: our submission]"),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the method, if the folder has several.")] = "",
    only: Annotated[
        list[str] | None, typer.Option(help="Name of a check; repeatable. [default: all]")
    ] = None,
) -> None:
    """Check SRBench's contract and its reviewers' list; exit code 1 if a check fails."""
    from equate_srbench.srbench import submission as submissions
    from equate_srbench.srbench.check import check as run
    from equate_srbench.srbench.check import refuse_unknown

    with errors_in_one_line(submissions.SubmissionError, OSError):
        refuse_unknown(only or ())
        found = submissions.find(folder, name) if folder else submissions.own()
    started, counts = time.monotonic(), {True: 0, False: 0, None: 0}
    for finding in run(found, only or ()):
        counts[finding.ok] += 1
        word = {True: "pass", False: "FAIL", None: "note"}[finding.ok]
        typer.echo(f"{word} {finding.name:<17s} {_printable(finding.detail)}")
    seconds = time.monotonic() - started
    notes = f", {counts[None]} to decide" if counts[None] else ""
    typer.echo(f"{counts[True]} passed, {counts[False]} failed{notes} in {seconds:.0f} s")
    raise typer.Exit(1 if counts[False] else 0)


@app.command()
def export(
    folder: Annotated[
        Path, typer.Argument(help="New or empty folder, or with --force a checkout of SRBench.")
    ],
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace our two folders in a folder with other contents."),
    ] = False,
    email: Annotated[str, typer.Option(help="Contact address for metadata.yml.")] = "",
) -> None:
    """Write the two folders of a pull request to SRBench."""
    from equate_srbench.srbench import submission as submissions

    with errors_in_one_line(submissions.SubmissionError, OSError):
        written = submissions.export(folder, force=force, email=email)
    for path in (written.algorithm, written.method):
        for file in sorted(p for p in path.iterdir() if p.is_file()):
            typer.echo(str(file))
    if not email:
        typer.echo("metadata.yml has no email yet: give --email, or write it there", err=True)


def _printable(text: str) -> str:
    """External text on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)

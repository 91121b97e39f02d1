"""``equate report``: compare the methods of a benchmark, or run a report notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equate_srbench.runtime.terminal import check_folder, errors_in_one_line, needs_extra

if TYPE_CHECKING:
    from equate_srbench.report.notebooks.catalogue import Notebook


def report(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|NAME", help="Folder of `equate bench`, or name of a notebook."),
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", help="NAME=VALUE for a notebook; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report. [default: RUN/report or equate-NAME]"),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the notebooks with their questions and parameters.")
    ] = False,
) -> None:
    """Compare the methods of a benchmark, or run a report notebook."""
    if list_:
        _list()
    elif not what:
        _refuse("no report is given: use a folder of `equate bench`, or a name from --list")
    elif Path(what).is_dir():
        _of_folder(Path(what), out, parameter or [])
    else:
        _of_notebook(what, out, parameter or [])


# -- parts -------------------------------------------------------------------------------------


def _of_folder(run: Path, out: Path | None, parameters: list[str]) -> None:
    with needs_extra("bench"), errors_in_one_line(ValueError, OSError):
        from equate_srbench.report.comparison.compare_page import read_rows, write_report
        from equate_srbench.report.tables import compare

        _warn_ambiguous(str(run))
        if parameters:
            _refuse(f"{str(run)!r} is a folder, and -p is for notebooks: leave -p out")
        frame = read_rows(run)
        for block in compare.blocks(frame):
            typer.echo(f"\n{block.title}: {block.pairs} datasets (times seeds)")
            if block.pairs:
                typer.echo(compare.to_text(compare.summary(block)))
        typer.echo(f"\nreport     {write_report(run, out)}")


def _warn_ambiguous(name: str) -> None:
    """Warn if a notebook has the same name as the folder, which takes precedence."""
    from equate_srbench.report.notebooks.catalogue import notebooks

    if name in notebooks():
        typer.echo(
            f"{name!r} is both a folder and a notebook: reporting on the folder; "
            "run the command in another folder for the notebook",
            err=True,
        )


def _of_notebook(name: str, out: Path | None, given: list[str]) -> None:
    with needs_extra("report"):
        import papermill  # noqa: F401 - what is missing is said before anything is done
        from rich.console import Console

        from equate_srbench.report.notebooks import catalogue
        from equate_srbench.report.notebooks.parameters import parse_pairs
        from equate_srbench.report.notebooks.progress_view import NotebookProgress
        from equate_srbench.report.notebooks.value_checks import check_values
    with errors_in_one_line(ValueError, OSError):
        try:
            notebook = catalogue.find(name)
        except catalogue.ReportError as error:
            _refuse(f"no folder {name!r}, and {error}")
        values = parse_pairs(notebook.parameters, given)
        check_values(values, {p.name: p.default for p in notebook.parameters.values()})
        folder = out or Path(f"equate-{notebook.name}")
        check_folder(folder)
        try:
            with NotebookProgress(Console(stderr=True, highlight=False)) as listener:
                page = catalogue.run(notebook, values, folder, listener)
        except catalogue.ReportError as error:
            typer.echo(f"equate: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            said = "stopped: no report was written; finished fits stay in their folder"
            typer.echo(said, err=True)
            raise typer.Exit(130) from None
    typer.echo(f"notebook   {page.with_suffix('.ipynb')}\nreport     {page}")


def _list() -> None:
    with needs_extra("report"):
        from equate_srbench.report.notebooks.catalogue import notebooks

        for notebook in notebooks().values():
            _describe(notebook)


def _describe(notebook: Notebook) -> None:
    typer.echo(f"{notebook.name}\n    {notebook.question}")
    for p in notebook.parameters.values():
        limits = f" ({p.limits})" if p.limits else ""
        default = p.default_text or '""'
        typer.echo(f"      -p {p.name}={default}  {p.kind}{limits}: {p.help}")
    typer.echo()


def _refuse(message: str) -> None:
    typer.echo(f"equate: {message}", err=True)
    raise typer.Exit(2)

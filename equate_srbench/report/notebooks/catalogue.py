"""The catalogue of report notebooks, and the execution of one to a notebook and an HTML page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from equate_srbench.report.notebooks.parameters import Parameter, Value, parse_declarations
from equate_srbench.runtime.files import publish, temporary_sibling
from equate_srbench.runtime.hints import did_you_mean

#: Output of the kernel process outside its cells.
_LOG = "kernel.txt"
#: Environment variable set in the kernel of a report, where widgets would be of no use.
STATIC = "EQUATE_STATIC"
#: Environment variable with the path of the file for the status line of the running cell.
PROGRESS = "EQUATE_PROGRESS"


class ReportError(RuntimeError):
    """A report could not be made; the message says what was kept and what to do."""


class ExecutionListener(Protocol):
    """Receives events while a notebook is executed."""

    def begin(self, titles: list[str], status_file: Path) -> None:
        """Called first, with the titles of the code cells and the file with the status line."""

    def cell(self, number: int) -> None:
        """Called when the code cell of this number, counted from 0, starts."""


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be executed with parameters.

    Attributes
    ----------
    name : str
    path : Path
    """

    name: str
    path: Path

    @cached_property
    def _node(self) -> Any:
        import nbformat  # from the extra `report`; the names of notebooks are known without it

        return nbformat.read(self.path, as_version=4)

    @property
    def title(self) -> str:
        """The heading of the first cell."""
        return str(self._node.cells[0].source.splitlines()[0].lstrip("# ").strip())

    @property
    def question(self) -> str:
        """The question that it answers: the first paragraph below the heading."""
        return " ".join(self._node.cells[0].source.split("\n\n")[1].replace("**", "").split())

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters declared in its ``parameters`` cell, by name."""
        return parse_declarations(
            next(c.source for c in self._node.cells if "parameters" in _tags(c))
        )

    @property
    def titles(self) -> list[str]:
        """Titles of the code cells, except for the parameters."""
        cells = [c for c in self._node.cells if c.cell_type == "code"]
        return [c.metadata.get("title", "") for c in cells if "parameters" not in _tags(c)]


def folder_of_notebooks() -> Path:
    """Folder of the notebooks: inside an installed package, or beside it in a checkout."""
    installed = Path(__file__).parents[1] / "notebook_files"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "notebooks"


def notebooks() -> dict[str, Notebook]:
    """All notebooks by name, ordered by number."""
    paths = sorted(folder_of_notebooks().glob("[0-9][0-9]_*.ipynb"))
    return {path.stem: Notebook(path.stem, path) for path in paths}


def find(name: str) -> Notebook:
    """Find a notebook by name, with or without ``.ipynb``, or by number.

    Raises
    ------
    ReportError
        If there is no such notebook.
    """
    known = notebooks()
    stem = name.removesuffix(".ipynb")
    for full, notebook in known.items():
        if stem in (full, full[:2], full[3:]):
            return notebook
    raise ReportError(
        f"no notebook {name!r}: use one of {', '.join(known)}{did_you_mean(stem, known)}"
    )


def run(
    notebook: Notebook,
    values: Mapping[str, Value],
    folder: Path,
    listener: ExecutionListener | None = None,
) -> Path:
    """Execute a notebook and write it together with its HTML page.

    Parameters
    ----------
    notebook : Notebook
    values : mapping of str to Value
        As returned by ``parameters.parse_pairs``; paths are relative to the current folder.
    folder : Path
        Receives ``NAME.ipynb`` and ``NAME.html`` when both are complete; unchanged until then.
    listener : ExecutionListener, optional

    Returns
    -------
    Path
        The page: self-contained, without scripts or requests.

    Raises
    ------
    ReportError
        If a cell fails or the kernel dies; the partial result is then ``NAME.partial.ipynb``.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from equate_srbench.report.notebooks.export import to_html

    name = notebook.name
    partial = folder / f"{name}.partial.ipynb"
    with _scratch(folder) as scratch:
        made = scratch / f"{name}.ipynb"
        failure = ""
        try:
            with _environment({STATIC: "1", PROGRESS: str(scratch / "progress")}):
                node = _execute(notebook, values, made, listener)
        except PapermillExecutionError as error:
            failure = f"failed in cell {error.exec_count}: {error.ename}: {error.evalue}"
        except DeadKernelError:
            log = (scratch / _LOG).read_text(encoding="utf-8", errors="replace").split("\n")
            failure = "failed: the kernel died (killed, or out of memory?)"
            failure = ": ".join(filter(None, [failure, " | ".join(filter(None, log[-4:]))]))
        if failure:
            publish(folder, {partial.name: made.read_text(encoding="utf-8")})
            raise ReportError(f"{name} {failure} - see the partial notebook {partial}")
    node.metadata.papermill.update(input_path=made.name, output_path=made.name)
    import nbformat

    text = nbformat.writes(node) + "\n"
    publish(folder, {made.name: text, f"{name}.html": to_html(node, notebook.title)})
    partial.unlink(missing_ok=True)
    return folder / f"{name}.html"


# -- parts -------------------------------------------------------------------------------------


def _execute(
    notebook: Notebook, values: Mapping[str, Value], made: Path, listener: ExecutionListener | None
) -> Any:
    import papermill

    from equate_srbench.report.notebooks.jupyter_kernel import logging_to

    started = -1

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal started
        if listener is not None and cell.cell_type == "code" and cell.metadata.get("title"):
            started += 1
            listener.cell(started)

    if listener is not None:
        listener.begin(notebook.titles, made.with_name("progress"))
    return papermill.execute_notebook(
        *(str(path).replace("{", "{{").replace("}", "}}") for path in (notebook.path, made)),
        parameters=dict(values),
        progress_bar=False,
        kernel_manager_class=logging_to(made.with_name(_LOG)),
        on_cell_start=on_cell_start,
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A temporary folder beside the output folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = temporary_sibling(folder)
    try:
        yield scratch.resolve()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which the kernel inherits, and restore them afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))

"""Notebooks as reports: which there are, and running one to a notebook and an HTML page."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from equate_srbench.report.notebooks.parameters import Parameter, Value, declared
from equate_srbench.runtime.files import publish
from equate_srbench.runtime.hints import did_you_mean

#: What the kernel says beside its cells, while it runs.
_LOG = "kernel.txt"
#: Set in the kernel of a report: no widgets there, nobody could use them.
STATIC = "EQUATE_STATIC"
#: Names the file that a cell at work writes one line about its progress to.
PROGRESS = "EQUATE_PROGRESS"


class ReportError(RuntimeError):
    """A report that could not be made; the message says what is left and what to do."""


class Watcher(Protocol):
    """What is told about a notebook while it runs."""

    def begin(self, titles: list[str], note: Path) -> None:
        """Titles of the code cells, and the file with a line about the one that runs."""

    def cell(self, number: int) -> None:
        """The code cell of this number, from 0, begins."""


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run with parameters.

    Attributes
    ----------
    name : str
    path : Path
    """

    name: str
    path: Path

    @cached_property
    def _node(self) -> Any:
        import nbformat  # of the extra `report`; names of notebooks are known without it

        return nbformat.read(self.path, as_version=4)

    @property
    def title(self) -> str:
        """The heading of the first cell."""
        return str(self._node.cells[0].source.splitlines()[0].lstrip("# ").strip())

    @property
    def question(self) -> str:
        """What it answers: the first paragraph below the heading."""
        return " ".join(self._node.cells[0].source.split("\n\n")[1].replace("**", "").split())

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What its ``parameters`` cell declares."""
        return declared(next(c.source for c in self._node.cells if "parameters" in _tags(c)))

    @property
    def titles(self) -> list[str]:
        """What each code cell does, but for the parameters."""
        cells = [c for c in self._node.cells if c.cell_type == "code"]
        return [c.metadata.get("title", "") for c in cells if "parameters" not in _tags(c)]


def folder_of_notebooks() -> Path:
    """Where the notebooks are: inside an installed package, or beside it in a checkout."""
    installed = Path(__file__).parents[1] / "notebook_files"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "notebooks"


def notebooks() -> dict[str, Notebook]:
    """All notebooks by name, in the order of their numbers."""
    paths = sorted(folder_of_notebooks().glob("[0-9][0-9]_*.ipynb"))
    return {path.stem: Notebook(path.stem, path) for path in paths}


def find(name: str) -> Notebook:
    """The notebook of a name, with or without ``.ipynb``, or of its number.

    Raises
    ------
    ReportError
        If there is none.
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
    notebook: Notebook, values: Mapping[str, Value], folder: Path, watcher: Watcher | None = None
) -> Path:
    """Run a notebook and leave it, executed, with its page.

    Parameters
    ----------
    notebook : Notebook
    values : mapping of str to Value
        As ``parameters.checked`` returns them; relative paths start at the current folder.
    folder : Path
        Gets ``NAME.ipynb`` and ``NAME.html``, both or neither; what was there stays until then.
    watcher : Watcher, optional

    Returns
    -------
    Path
        The page: self-contained, no script, no network.

    Raises
    ------
    ReportError
        If a cell fails or Python ends; the notebook so far is then ``NAME.partial.ipynb``.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from equate_srbench.report.notebooks.export import to_html

    name = notebook.name
    partial = folder / f"{name}.partial.ipynb"
    with _scratch(folder) as scratch:
        made = scratch / f"{name}.ipynb"
        try:
            with _environment({STATIC: "1", PROGRESS: str(scratch / "progress")}):
                node = _execute(notebook, values, made, watcher)
        except PapermillExecutionError as error:
            publish(folder, {partial.name: made.read_text(encoding="utf-8")})
            raise ReportError(
                f"{name} stopped in cell {error.exec_count}: {error.ename}: {error.evalue} - "
                f"the notebook so far is {partial}"
            ) from None
        except DeadKernelError:
            publish(folder, {partial.name: made.read_text(encoding="utf-8")})
            said = (scratch / _LOG).read_text(encoding="utf-8", errors="replace").split("\n")
            raise ReportError(
                f"the Python of {name} ended in the middle of its work (killed, or out of memory?)"
                f"{': ' if any(said) else ''}{' | '.join(filter(None, said[-4:]))} - the notebook "
                f"so far is {partial}"
            ) from None
    node.metadata.papermill.update(input_path=made.name, output_path=made.name)
    import nbformat

    text = nbformat.writes(node) + "\n"
    publish(folder, {made.name: text, f"{name}.html": to_html(node, notebook.title)})
    partial.unlink(missing_ok=True)
    return folder / f"{name}.html"


# -- parts -------------------------------------------------------------------------------------


def _execute(
    notebook: Notebook, values: Mapping[str, Value], made: Path, watcher: Watcher | None
) -> Any:
    import papermill

    from equate_srbench.report.notebooks.jupyter_kernel import logging_to

    begun = -1

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal begun
        if watcher is not None and cell.cell_type == "code" and cell.metadata.get("title"):
            begun += 1
            watcher.cell(begun)

    if watcher is not None:
        watcher.begin(notebook.titles, made.with_name("progress"))
    return papermill.execute_notebook(
        *(str(path).replace("{", "{{").replace("}", "}}") for path in (notebook.path, made)),
        parameters=dict(values),
        progress_bar=False,
        kernel_manager_class=logging_to(made.with_name(_LOG)),
        on_cell_start=on_cell_start,
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder beside the result, for what is not whole yet."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".tmp", dir=folder.parent))
    try:
        yield scratch.resolve()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that the kernel inherits."""
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

"""Panels in a notebook: where a person is at the kernel and the widgets are installed.

A report shows the pictures beside them; what is not shown here is said in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from equate_srbench.report.fit.search_path import Trajectory
from equate_srbench.report.notebooks.show import Shown, is_live, words
from equate_srbench.report.tables.record import FitRecord


def benchmark(run: str) -> Any:
    """The panel that starts, watches and stops benchmarks in a folder."""
    return _panel(lambda widgets: widgets.BenchmarkPanel(run))


def front(estimator: Any, record: FitRecord) -> Any:
    """The front and the chosen formula as linked panels."""
    return _panel(
        lambda widgets: widgets.explore(
            estimator, record.train.X, record.train.y, target=record.target
        )
    )


def trajectory(estimator: Any) -> Any:
    """The search of one fit, to be played; in a report, for JupyterLab's viewer or as a picture."""
    if not is_live():
        return Trajectory(estimator)
    return _panel(lambda widgets: widgets.TrajectoryPanel(estimator))


def upload(folder: str = ".") -> Any:
    """A button that puts a file into a folder, and says what to set ``table`` to."""
    if not is_live() or find_spec("ipywidgets") is None:
        return None
    import ipywidgets

    button = ipywidgets.FileUpload(accept=".csv,.tsv,.gz,.parquet", multiple=False)
    said = ipywidgets.HTML()

    def put(change: dict[str, Any]) -> None:
        for file in change["new"]:
            path = Path(folder) / Path(file["name"]).name
            path.write_bytes(file["content"])
            said.value = words(f"Set table = {path.name!r} above and run all cells.").forms[
                "text/html"
            ]

    button.observe(put, "value")
    return ipywidgets.VBox([button, said])


def _panel(make: Callable[[Any], Any]) -> Any | Shown | None:
    if not is_live():
        return None
    if find_spec("equate_widgets") is None:
        return words("For panels: pip install 'equate-srbench[widgets]'", kind="note")
    return make(import_module("equate_widgets"))

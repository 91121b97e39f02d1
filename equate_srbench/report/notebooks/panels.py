"""Interactive panels in notebooks, if a person uses the kernel and the widgets are installed.

In a report they are omitted: it has static figures. A missing installation is noted in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from equate_srbench.report.fit.trajectory_display import TrajectoryDisplay
from equate_srbench.report.notebooks.show import MimeBundle, is_interactive, text
from equate_srbench.report.tables.record import FitRecord


def benchmark(run: str) -> Any:
    """Panel that starts, monitors and stops benchmarks in a folder."""
    return _panel(lambda widgets: widgets.BenchmarkPanel(run))


def front(estimator: Any, record: FitRecord) -> Any:
    """Linked panels of the Pareto front and the chosen formula."""
    return _panel(
        lambda widgets: widgets.explore(
            estimator, record.train.X, record.train.y, target=record.target
        )
    )


def trajectory(estimator: Any) -> Any:
    """Panel of the search of a fit; in a report, for JupyterLab's viewer or as a static figure."""
    if not is_interactive():
        return TrajectoryDisplay(estimator)
    return _panel(lambda widgets: widgets.TrajectoryPanel(estimator))


def upload(folder: str = ".") -> Any:
    """Button that uploads a file into a folder, and says what to set ``table`` to."""
    if not is_interactive() or find_spec("ipywidgets") is None:
        return None
    import ipywidgets

    button = ipywidgets.FileUpload(accept=".csv,.tsv,.gz,.parquet", multiple=False)
    message = ipywidgets.HTML()

    def save(change: dict[str, Any]) -> None:
        for file in change["new"]:
            path = Path(folder) / Path(file["name"]).name
            path.write_bytes(file["content"])
            bundle = text(f"Set table = {path.name!r} above and run all cells.")
            message.value = bundle.data["text/html"]

    button.observe(save, "value")
    return ipywidgets.VBox([button, message])


def _panel(make: Callable[[Any], Any]) -> Any | MimeBundle | None:
    if not is_interactive():
        return None
    if find_spec("equate_widgets") is None:
        return text("For panels: pip install 'equate-srbench[widgets]'", kind="note")
    return make(import_module("equate_widgets"))

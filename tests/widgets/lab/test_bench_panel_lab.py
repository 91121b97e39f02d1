"""The benchmark panel in a real notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from equate_widgets.bench_run import BenchRun

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3600)]

PATIENT = '''
import pathlib, time
from sklearn.linear_model import LinearRegression

def may_go():
    try:
        pathlib.Path("one").unlink()
    except FileNotFoundError:
        return pathlib.Path("all").exists()
    return True

class Patient(LinearRegression):
    """Waits for the file ``one``, which it takes away, or for ``all``."""

    def fit(self, X, y):
        while not may_go():
            time.sleep(0.1)
        return super().fit(X, y)
'''


@pytest.fixture
def run(lab: Any) -> Iterator[BenchRun]:
    """The run of the panel that the Launcher opens; ended with the test."""
    (lab.folder / "patient.py").write_text(PATIENT)
    found = BenchRun(lab.folder / "runs" / "benchmark")
    yield found
    while found.state not in ("new", "ended"):
        found.stop()


def test__bench_panel__from_the_launcher__start_reload_stop_resume(
    lab: Any, page: Any, open_lab: Callable, run_all: Callable, shot: Callable, run: BenchRun
) -> None:
    """One day of a benchmark: it outlives an interrupt of the kernel and a reload of the page."""
    open_lab("")
    page.locator(".jp-LauncherCard").get_by_text("EQUATE benchmark").first.click()
    run_all()
    panel = page.locator(".equate-bench")
    panel.get_by_label("EQUATE", exact=True).uncheck()
    panel.get_by_label("E2E", exact=True).uncheck()
    panel.get_by_label("linear", exact=True).check()
    field(panel, "other", "patient:Patient")
    field(panel, "seconds per fit", "900")
    panel.get_by_text("24 fits").wait_for()

    panel.get_by_role("button", name="Start").click()
    panel.get_by_text("recent fits").wait_for()
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    panel.get_by_text("1 of 24 fits done").wait_for()
    assert run.state == "running"
    (lab.folder / "one").touch()
    panel.get_by_text("3 of 24 fits done").wait_for()
    panel.locator("img").wait_for()
    shot("bench_panel_running")

    panel.get_by_role("button", name="Stop").click()
    panel.locator("button:has-text('Resume'):not([disabled])").wait_for()
    panel.get_by_text("go on with").wait_for()
    assert run.state == "ended"
    kept = set((run.folder / "rows").iterdir())
    (lab.folder / "all").touch()
    panel.get_by_role("button", name="Resume").click()
    panel.get_by_text("24 of 24 fits done").wait_for()
    shot("bench_panel_done")
    assert kept < set((run.folder / "rows").iterdir())
    assert json.loads((run.folder / "panel.json").read_text())["settings"]["suite"] == "quick"


def field(panel: Any, label: str, text: str) -> None:
    """Type into a field and leave it."""
    box = panel.get_by_label(label, exact=True)
    box.fill(text)
    box.press("Tab")


def test__launcher__twice__same_notebook(lab: Any, page: Any, open_lab: Callable) -> None:
    """The card opens the notebook that is there, as somebody left it."""
    path = Path(lab.folder) / "equate-benchmark.ipynb"
    for _ in range(2):
        open_lab("")
        page.locator(".jp-LauncherCard").get_by_text("EQUATE benchmark").first.click()
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        assert path.is_file()
        marked = path.read_text().replace("# EQUATE benchmark", "# Mine")
        path.write_text(marked)
    assert "# Mine" in path.read_text()

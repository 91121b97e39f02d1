"""Reports in a real browser that reaches nothing: whole, and no wider than a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from equate_srbench.cli.main import app

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / "docs" / "results").glob("*.html"))


def assert_whole(chromium: Any, page_file: Path) -> None:
    """Open a page without a network: no requests, no errors, every picture drawn, nothing cut."""
    wanted: list[str] = []
    problems: list[str] = []
    context = chromium.new_context(viewport={"width": 1000, "height": 800}, offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)

    def gate(route: Any) -> None:
        if route.request.url == page_file.as_uri():
            route.continue_()
        else:
            wanted.append(route.request.url)
            route.abort()

    page.route("**/*", gate)
    page.goto(page_file.as_uri())
    sizes = page.evaluate(
        "() => [...document.querySelectorAll('svg, img')].map(e => e.complete === false ? 0 :"
        " e.getBoundingClientRect().width * e.getBoundingClientRect().height)"
    )
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert not wanted
    assert not problems
    assert sizes
    assert all(size > 0 for size in sizes)
    assert width <= 1000


@pytest.mark.parametrize("page_file", KEPT, ids=lambda path: path.stem)
def test__kept_report__no_network__whole(chromium: Any, page_file: Path) -> None:
    """The executed notebooks that the documentation shows."""
    assert_whole(chromium, page_file)


def test__fit_report__no_network__whole(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``equate fit`` leaves."""
    monkeypatch.chdir(tmp_path)
    x = pd.Series(range(1, 31), dtype=float)
    pd.DataFrame({"volume": 1 / x, "pressure": 8.314 * x}).to_csv("gas.csv", index=False)
    run = CliRunner().invoke(app, ["fit", "gas.csv", "--target", "pressure"])
    assert run.exit_code == 0, run.output
    assert_whole(chromium, tmp_path / "equate-gas" / "report.html")


def test__comparison__no_network__whole(chromium: Any, tmp_path: Path) -> None:
    """What ``equate report RUN`` leaves."""
    bench = ["bench", "quick", "--methods", "equate-fast,linear", "--every", "6", "--max-time", "1"]
    run = CliRunner().invoke(app, [*bench, "--jobs", "1", "--out", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(
        app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "page")]
    )
    assert run.exit_code == 0, run.output
    (page_file,) = (tmp_path / "page").rglob("*.html")
    assert_whole(chromium, page_file)

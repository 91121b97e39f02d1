"""The viewer opens trajectories without a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3600)]

MIME = "application/vnd.equate.trajectory+json"
HOSTILE = "<img src=x onerror=alert(1)>"


def payload(**values: Any) -> dict[str, Any]:
    """Two proposals of the backbone, then a start that climbs for three steps."""
    n = 5
    steps = {
        "start": [-1, -1, 0, 0, 0],
        "step": [0, 0, 0, 1, 2],
        "rung": [0.0, 0.0, 0.0, 1.0, 2.0],
        "distance": [None, None, 0.0, 0.4, 0.7],
        "predicted_score": [None, None, 0.5, 0.7, 0.9],
        "score": [0.2, 0.5, 0.5, 0.8, 1.0],
        "r2": [0.2, 0.5, 0.5, 0.8, 0.9999],
        "complexity": [3, 5, 5, 7, 5],
        "accepted": [True, True, False, True, True],
        "source": ["backbone"] * 2 + ["ascent"] * 3,
        "equation": ["x + 1", "2*x", "2*x", "x**2", "x**1.5"],
        "latex": ["x + 1", "2 x", "2 x", "x^{2}", "x^{1.5}"],
    }
    whole = {
        "version": 1, "kind": "trajectory", "title": "Kepler's third law", "target": "period",
        "features": ["x"], "rows_total": n, "steps": steps,
        "path": {"x": [0.0, 1.0, 1.0, 2.0, 3.0], "y": [0.0, 0.5, 0.5, 1.0, 1.2]},
    }  # fmt: skip
    return {**whole, **values}


def test__viewer__file__drawn_and_played_without_a_kernel(
    lab: Any, page: Any, open_lab: Callable, shot: Callable
) -> None:
    """A double click on ``*.equate.json`` shows the search; the server has no kernel for it."""
    before = [kernel["id"] for kernel in lab.get("kernels")]
    (lab.folder / "kepler.equate.json").write_text(json.dumps(payload()))
    open_lab("kepler.equate.json")
    view = page.locator(".equate-trajectory")
    view.get_by_text("Kepler's third law").wait_for()
    view.get_by_role("button", name="play").click()
    counter = view.locator("output")
    page.wait_for_function("node => /step 1/.test(node.textContent)", arg=counter.element_handle())
    page.wait_for_function("node => /step 2/.test(node.textContent)", arg=counter.element_handle())
    assert view.locator("math").count() > 0
    shot("viewer_file")
    assert [kernel["id"] for kernel in lab.get("kernels")] == before


def test__viewer__executed_notebook__drawn_without_a_kernel(
    lab: Any, page: Any, open_lab: Callable
) -> None:
    """An output of a notebook that somebody else ran is alive."""
    data = {MIME: payload(), "text/plain": "a trajectory"}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    lab.notebook("executed.ipynb", "trajectory", outputs={0: [output]})
    open_lab("executed.ipynb")
    view = page.locator(".jp-OutputArea .equate-trajectory")
    view.get_by_role("slider", name="step").press("Home")
    assert "step 0" in view.locator("output").text_content()


def test__viewer__hostile_names__are_text(lab: Any, page: Any, open_lab: Callable) -> None:
    """Names of columns and titles are never markup."""
    dialogs: list[Any] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    named = payload(title=HOSTILE, target=HOSTILE, features=[HOSTILE, "عمود", "🙂" * 200])
    (lab.folder / "hostile.equate.json").write_text(json.dumps(named))
    open_lab("hostile.equate.json")
    view = page.locator(".equate-trajectory")
    view.get_by_text(HOSTILE).first.wait_for()
    assert view.locator("img").count() == 0
    assert not dialogs


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kind": "something else"}, "not a trajectory"),
        ([], "not a trajectory"),
        (payload(version=2), "reads version 1"),
    ],
)
def test__viewer__another_file__says_so(
    lab: Any, page: Any, open_lab: Callable, content: Any, said: str
) -> None:
    """A file that only has the name is refused in words."""
    (lab.folder / "other.equate.json").write_text(json.dumps(content))
    open_lab("other.equate.json")
    page.locator(".equate-trajectory [role=alert]").get_by_text(said).wait_for()

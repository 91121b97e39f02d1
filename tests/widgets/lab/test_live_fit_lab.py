"""From a table to a formula that is understood, in a real notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3600)]

FIT = """
import numpy as np, pandas as pd
%load_ext equate_widgets
rng = np.random.default_rng(0)
table = pd.DataFrame(rng.uniform(1, 5, (150, 2)), columns=["mass", "radius"])
table["force"] = 6.7 * np.sin(table.mass) / table.radius**2 + 0.05 * rng.normal(size=150)
live = %equate force ~ table --time 10 --seed 0
live
"""
EXPLORE = "live.result(); live.explore()"


def test__live_fit__then_explore__click_slide_and_play(
    lab: Any, page: Any, open_lab: Callable, run_all: Callable, shot: Callable
) -> None:
    """A front point changes the tree, a slider changes R2, a trajectory plays."""
    lab.notebook("kepler.ipynb", FIT, EXPLORE)
    open_lab("kepler.ipynb")
    run_all()
    views = page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea .equate-view")
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea .equate-view').length >= 4")
    tree = page.locator("[data-node]")
    tree.first.wait_for()
    shot("live_fit")

    before = tree.all_text_contents()
    other = views.locator("tr[aria-selected=false]").nth(3)
    other.scroll_into_view_if_needed()
    other.click()
    page.wait_for_function(
        "before => [...document.querySelectorAll('[data-node]')].map(n => n.textContent).join()"
        " !== before",
        arg=",".join(before),
    )

    formula = views.filter(has=tree.first)
    scores = formula.inner_text()
    slider = formula.locator("input[type=range]").first
    slider.scroll_into_view_if_needed()
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([node, before]) => node.innerText !== before", arg=[formula.element_handle(), scores]
    )
    shot("equation_panel")

    page.get_by_label("play", exact=True).click()
    page.get_by_label("pause", exact=True).wait_for()
    page.get_by_label("play", exact=True).wait_for()
    page.get_by_label("play", exact=True).scroll_into_view_if_needed()
    shot("trajectory_panel")

"""From a table to a formula that is understood, in a real notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3600)]

FIT = """
import pandas as pd
from equate_srbench.data import SHIPPED
%load_ext equate_widgets
planets = pd.read_csv(SHIPPED["kepler"].path)
live = %equate period ~ planets --time 20 --seed 0 --columns distance
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
    other = views.locator("tr[aria-selected=false]").first
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

    steps = views.filter(has=page.get_by_label("play"))
    steps.get_by_label("play").click()
    steps.get_by_label("pause").wait_for()
    steps.get_by_label("play").wait_for()
    steps.scroll_into_view_if_needed()
    shot("trajectory_panel")

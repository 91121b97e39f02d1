"""A made-up fit, and pages that reach nothing but themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.widgets.made_up import make_fit


@pytest.fixture
def fit() -> Any:
    """A small fit."""
    return make_fit()


@pytest.fixture
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """Rows for the formulas of ``make_fit``."""
    X = pd.DataFrame(np.random.default_rng(2).uniform(1, 3, (60, 2)), columns=["mass", "radius"])
    y = X["mass"] * np.sin(X["radius"]) / X["radius"] ** 2
    return X, y.to_numpy()


@pytest.fixture
def open_view(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a widget's page; fails on script errors and on any request that leaves it."""
    problems: list[str] = []
    contexts = []

    def open_(view: Any, scheme: str = "light") -> Any:
        context = chromium.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 700})
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(view.to_html("test"), encoding="utf-8")

        def gate(route: Any) -> None:
            if route.request.url == file.as_uri():
                route.continue_()
            else:
                problems.append(f"request to {route.request.url}")
                route.abort()

        page.route("**/*", gate)
        page.goto(file.as_uri())
        page.wait_for_function("globalThis.equate?.painted !== undefined")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not problems

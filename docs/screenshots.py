"""Take screenshots of all panels, light and dark, and of the published reports.

Needs the extras ``widgets`` and ``browser``, and Chromium (``CHROMIUM`` or on the path).
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

from equate_srbench import EquateRegressor
from equate_widgets import EquationPanel, FrontPanel, LiveFit, TrajectoryPanel

FOLDER = Path(__file__).parent / "screenshots"
REPORTS = Path(__file__).parent / "results"


def panels() -> dict[str, FrontPanel | EquationPanel | TrajectoryPanel | LiveFit]:
    """One panel of each kind, of a fit to a noisy table."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1, 5, (200, 2)), columns=["mass", "radius"])
    y = 6.67 * X["mass"] / X["radius"] ** 2 * np.sin(X["mass"]) + 0.02 * rng.normal(size=200)
    live = LiveFit(EquateRegressor(random_state=0)).fit(X, y)
    est = live.result()
    return {
        "front": FrontPanel(est, title="Gravity with a twist", target="force"),
        "equation": EquationPanel(est, X, y, target="force"),
        "trajectory": TrajectoryPanel(est, title="Gravity with a twist", target="force"),
        "live_fit": live,
    }


def main() -> None:
    """Write the screenshots."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not found:
        sys.exit("Chromium not found: apt-get install chromium, or set CHROMIUM to its path")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        for name, panel in panels().items():
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    color_scheme=scheme, viewport={"width": 1000, "height": 400}
                )
                page.set_content(panel.to_html(name))
                page.wait_for_function("globalThis.equate?.painted !== undefined")
                page.screenshot(path=FOLDER / f"{name}_{scheme}.png", full_page=True)
        for report in sorted(REPORTS.glob("*.html")):
            page = browser.new_page(viewport={"width": 1000, "height": 1280}, device_scale_factor=1)
            page.goto(report.resolve().as_uri())
            page.screenshot(path=FOLDER / f"{report.stem}.png")
        browser.close()


if __name__ == "__main__":
    main()

"""Panels for Jupyter: pick a formula, understand it, watch how it was found.

Everything here shows what a fitted estimator holds. ``%load_ext equate_widgets`` adds the magic
``%equate``; nothing needs it.
"""

from __future__ import annotations

from typing import Any

from equate_widgets.equation_panel import EquationPanel
from equate_widgets.explore import explore
from equate_widgets.front_panel import FrontPanel
from equate_widgets.live_fit import LiveFit
from equate_widgets.trajectory_panel import TrajectoryPanel

__all__ = ["EquationPanel", "FrontPanel", "LiveFit", "TrajectoryPanel", "explore"]


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics; called by ``%load_ext equate_widgets``."""
    from equate_widgets.magics import EquateMagics

    ipython.register_magics(EquateMagics)

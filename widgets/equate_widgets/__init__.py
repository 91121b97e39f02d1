"""Jupyter panels: select a formula, understand it, and see how it was found.

The panels display the results of a fitted estimator. ``%load_ext equate_widgets`` adds the optional
magic ``%equate``.
"""

from __future__ import annotations

from typing import Any

from equate_widgets.equation_panel import EquationPanel
from equate_widgets.explore import explore
from equate_widgets.front_panel import FrontPanel
from equate_widgets.live_fit import LiveFit
from equate_widgets.trajectory_panel import TrajectoryPanel

__all__ = [
    "BenchmarkPanel",
    "EquationPanel",
    "FrontPanel",
    "LiveFit",
    "TrajectoryPanel",
    "explore",
]


def __getattr__(name: str) -> Any:
    """Import the benchmark panel lazily: it alone needs the extra ``bench``."""
    if name != "BenchmarkPanel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from equate_widgets.bench_panel import BenchmarkPanel
    except ModuleNotFoundError as error:
        raise ImportError(
            f"BenchmarkPanel needs {error.name}: pip install 'equate-srbench[bench]'"
        ) from None
    return BenchmarkPanel


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics; called by ``%load_ext equate_widgets``."""
    from equate_widgets.magics import EquateMagics

    ipython.register_magics(EquateMagics)

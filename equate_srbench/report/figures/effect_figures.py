"""Figures of a fit that stand beside those of ``figures``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from equate_srbench.report.figures.compare_figures import STYLE

_COLOUR = "#c2410c"
_ACROSS = 3
_LONGEST = 32  # characters of a name


def effects(found: Mapping[str, pd.DataFrame], target: str) -> Figure | None:
    """What the formula says about one column at a time; None for a formula without columns.

    Parameters
    ----------
    found : mapping of str to DataFrame
        As ``user_table.effects`` returns it.
    target : str
    """
    if not found:
        return None
    across = min(len(found), _ACROSS)
    down = math.ceil(len(found) / across)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.1 * across + 0.4, 2.7 * down), layout="constrained")
        grid = fig.subplots(down, across, squeeze=False)
        for ax, (name, part) in zip(grid.flat, found.items(), strict=False):
            ax.fill_between(part["x"], part["low"], part["high"], color=_COLOUR, alpha=0.15,
                            linewidth=0)  # fmt: skip
            ax.plot(part["x"], part["middle"], color=_COLOUR, linewidth=1.6)
            ax.set_xlabel(_short(name))
        for ax in list(grid.flat)[len(found) :]:
            ax.set_visible(False)
        for row in grid:
            row[0].set_ylabel(_short(target))
    return fig


def _short(name: str) -> str:
    """A column's name for an axis: printable, on one line, not too long."""
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"

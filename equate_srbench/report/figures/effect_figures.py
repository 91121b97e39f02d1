"""Figure of the partial effects of a formula."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from equate_srbench.report.figures.rendering import STYLE
from equate_srbench.report.formatting import axis_label

_COLOUR = "#c2410c"
_MAX_PER_ROW = 3


def partial_effects(effects: Mapping[str, pd.DataFrame], target: str) -> Figure | None:
    """Prediction against one column at a time, with a band for the other columns.

    Parameters
    ----------
    effects : mapping of str to DataFrame
        As returned by ``user_table.partial_effects``.
    target : str
        Name of the predicted column.

    Returns
    -------
    Figure or None
        None for a formula that uses no columns.
    """
    if not effects:
        return None
    across = min(len(effects), _MAX_PER_ROW)
    down = math.ceil(len(effects) / across)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.1 * across + 0.4, 2.7 * down), layout="constrained")
        grid = fig.subplots(down, across, squeeze=False)
        for ax, (name, part) in zip(grid.flat, effects.items(), strict=False):
            ax.fill_between(part["x"], part["low"], part["high"], color=_COLOUR, alpha=0.15,
                            linewidth=0)  # fmt: skip
            ax.plot(part["x"], part["middle"], color=_COLOUR, linewidth=1.6)
            ax.set_xlabel(axis_label(name))
        for ax in list(grid.flat)[len(effects) :]:
            ax.set_visible(False)
        for row in grid:
            row[0].set_ylabel(axis_label(target))
    return fig

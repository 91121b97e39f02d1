"""Matplotlib settings of all figures on white, and their rendering as SVG and PNG."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Settings under which these figures are drawn and rendered.
STYLE: dict[Any, Any] = {  # matplotlib types its keys one by one
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def draw_images(figure: Figure, *, salt: str = "equate", dpi: int = 160) -> tuple[str, bytes]:
    """Render a figure as SVG and PNG; equal figures give equal files.

    Parameters
    ----------
    figure : Figure
    salt : str, default="equate"
        Seed of the SVG's element ids; figures on one page need different ones.
    dpi : int, default=160
        Resolution of the PNG.

    Returns
    -------
    svg : str
        One ``<svg>`` element without a date.
    png : bytes
    """
    svg, png = io.StringIO(), io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Creator", "Date")))
        figure.savefig(png, format="png", dpi=dpi)
    text = svg.getvalue()
    return text[text.index("<svg") :], png.getvalue()

"""Labels for the points of a scatter plot, placed to avoid overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

#: Candidate positions of a label, best first: offset from its point in units of points, alignments.
_PLACES = (
    (6, 3, "left", "bottom"),
    (7, 0, "left", "center_baseline"),
    (6, -3, "left", "top"),
    (-6, 3, "right", "bottom"),
    (-7, 0, "right", "center_baseline"),
    (-6, -3, "right", "top"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
)
_MARKER = 6.0  # half the width of a marker in points, plus padding


def label_points(ax: Axes, points: ArrayLike, names: Sequence[str], size: float = 8.0) -> None:
    """Label each point, with the least overlap with all points and with earlier labels.

    The axis limits must have been set.

    Parameters
    ----------
    ax : Axes
    points : array-like of shape (n, 2)
        In data coordinates; points that are not finite get no label.
    names : sequence of str
    size : float, default=8.0
        Font size in points.
    """
    figure = cast(Figure, ax.figure)  # no axes here are in a subfigure
    figure.draw_without_rendering()  # the layout decides where the points are
    half = _MARKER * figure.dpi / 72.0
    places = np.asarray(points, dtype=float)
    finite = [i for i, place in enumerate(places) if np.isfinite(place).all()]
    taken = [
        Bbox([[x - half, y - half], [x + half, y + half]])
        for x, y in ax.transData.transform(places[finite])
    ]
    for i in finite:
        text = ax.annotate(
            names[i], places[i], xytext=(0, 0), textcoords="offset points", fontsize=size
        )
        costs = []
        for dx, dy, ha, va in _PLACES:
            text.set(position=(dx, dy), ha=ha, va=va)
            box = text.get_window_extent()
            outside = _area(box) - _shared(box, ax.bbox)
            costs.append(outside + sum(_shared(box, other) for other in taken))
        dx, dy, ha, va = _PLACES[costs.index(min(costs))]
        text.set(position=(dx, dy), ha=ha, va=va)
        taken.append(text.get_window_extent())


def _area(box: Bbox) -> float:
    return float(box.width * box.height)


def _shared(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return 0.0 if both is None else _area(both)

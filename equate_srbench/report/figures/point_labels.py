"""Names beside the points of a scatter plot, where they cover nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

#: Where a name may stand, best first: offset from its point in units of points, alignments.
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
_MARKER = 6.0  # half the width of a marker in points, and some air


def name_points(ax: Axes, points: ArrayLike, names: Sequence[str], size: float = 8.0) -> None:
    """Write a name beside each point, clear of the points and of the names before it if it can.

    The limits of the axes must stand already.

    Parameters
    ----------
    ax : Axes
    points : array-like of shape (n, 2)
        In data units; those that are not finite get no name.
    names : sequence of str
    size : float, default=8.0
        Of the letters, in points.
    """
    figure = cast(Figure, ax.figure)  # no axes here are in a subfigure
    figure.draw_without_rendering()  # the layout decides where points come to lie
    half = _MARKER * figure.dpi / 72.0
    places = np.asarray(points, dtype=float)
    shown = [i for i, place in enumerate(places) if np.isfinite(place).all()]
    taken = [
        Bbox([[x - half, y - half], [x + half, y + half]])
        for x, y in ax.transData.transform(places[shown])
    ]
    for i in shown:
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

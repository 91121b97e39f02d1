"""Names beside points."""

import math

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from equate_srbench.report.figures.point_labels import label_points

NAMES = ["EQUATE", "EQUATE paper", "TPSR (TFS)", "Operon"]


def drawn(points, names=NAMES):
    """Boxes of the names, of the markers, and of the axes, in pixels."""
    fig = Figure(figsize=(3.1, 3.0), layout="constrained")
    ax = fig.add_subplot()
    ax.set(xlim=(0, 50), ylim=(0, 1))
    for x, y in points:
        ax.plot(x, y, "o", markersize=8)
    label_points(ax, points, names)
    fig.draw_without_rendering()
    half = 4 * fig.dpi / 72
    markers = [
        Bbox([[x - half, y - half], [x + half, y + half]])
        for x, y in ax.transData.transform(points)
    ]
    return [text.get_window_extent() for text in ax.texts], markers, ax.bbox


def meet(boxes):
    """Pairs of boxes that share some area."""
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    return sum(
        both is not None and both.width * both.height > 0
        for both in (Bbox.intersection(a, b) for a, b in pairs)
    )


@pytest.mark.parametrize(
    "points",
    [
        [(13, 0.95), (14, 0.59), (14, 0.66), (18, 0.70)],
        [(11, 1.0), (18, 0.357), (17, 0.357), (18, 0.79)],
        [(49, 0.5), (49, 0.45), (1, 0.5), (1, 0.45)],
    ],
)
def test__label_points__points_close_together__names_keep_clear(points):
    """Of each other, of all markers, and of the edge of the axes."""
    names, markers, axes = drawn(points)
    assert len(names) == len(points)
    assert meet(names) == 0
    assert all(meet([name, marker]) == 0 for name in names for marker in markers)
    assert all(axes.x0 <= name.x0 and name.x1 <= axes.x1 for name in names)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 1)), min_size=4, max_size=4))
def test__label_points__points_anywhere__names_stay_beside_them(points):
    """However crowded it is, a name is no further away than its own height."""
    names, markers, _ = drawn(points)
    for name, marker in zip(names, markers, strict=True):
        dx = max(name.x0 - marker.x1, marker.x0 - name.x1, 0)
        dy = max(name.y0 - marker.y1, marker.y0 - name.y1, 0)
        assert math.hypot(dx, dy) < 12 * mpl.rcParams["figure.dpi"] / 72


def test__label_points__points_that_are_nowhere__no_name():
    """A method without a result has no marker, so no name either; no points are fine."""
    fig = Figure()
    ax = fig.add_subplot()
    label_points(ax, np.array([[1.0, np.nan], [2.0, -np.inf], [3.0, 1.0]]), ["a", "b", "c"])
    assert [text.get_text() for text in ax.texts] == ["c"]
    label_points(ax, np.empty((0, 2)), [])

"""Figures that compare methods."""

from __future__ import annotations

import pandas as pd

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.bench.rows import RowStore, make_row
from equate_srbench.bench.task import Task
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.tables import compare


def test__nondominated__pareto_front():
    """Nobody is better in both."""
    points = pd.DataFrame({"accuracy": [1, 2, 3, 3], "size": [4, 2, 1, 3]}, index=list("abcd"))
    assert compare_figures.nondominated(points) == ["c", "b", "a"]


def test__draw__all_figures__same_method_same_colour(block):
    """Every picture is there, and a method looks the same in each."""
    figures = compare_figures.draw(block)
    assert set(figures) == {"triple", "trade_off", "profile", "convergence", "ranks", "data_sets"}
    colour = spec("equate").colour
    for name in ("triple", "profile", "convergence", "data_sets"):
        colours = {line.get_color() for ax in figures[name].axes for line in ax.get_lines()}
        assert colour in colours, name


def test__draw__one_method_one_set__no_test_but_no_error(tmp_path):
    """Few rows give fewer pictures."""
    store = RowStore(tmp_path)
    task = Task("strogatz", "one", "some.module:Class")
    store.write(make_row(task, status="ok", total_seconds=1.0, fit_seconds=1.0, r2_test=0.5))
    (block,) = compare.blocks(store.frame())
    assert "ranks" not in compare_figures.draw(block)
    assert spec("some.module:Class").label == "Class"
    assert in_order({"zzz", "e2e", "equate"}) == ["equate", "e2e", "zzz"]

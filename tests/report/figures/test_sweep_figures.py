"""Figures of sweeps, with words among the values."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from equate_srbench.report.figures import sweep_figures
from equate_srbench.report.tables import compare, sweep
from tests.report.made_up import sweep_rows


def texts(figure: Figure) -> set[str]:
    """All texts of a figure's axes."""
    figure.canvas.draw()
    return {t.get_text() for t in figure.axes[0].texts} | {
        t.get_text() for t in figure.axes[0].get_xticklabels()
    }


def test__figures__a_word_among_the_values__is_a_point_of_its_own() -> None:
    """Numbers are joined, the word stands apart, and all have their names."""
    rows = sweep_rows([1.0, "auto", 0.0])
    curve = sweep_figures.accuracy_size(sweep.by_setting(rows, "lam"), "λ")
    assert {"λ = 0", "λ = 1", "λ = auto"} <= texts(curve)
    joined, alone = curve.axes[0].lines[:2]
    np.testing.assert_array_equal(joined.get_xdata(), [20, 10])
    np.testing.assert_array_equal(alone.get_xdata(), [17])
    assert texts(sweep_figures.size_by_dataset(rows, "lam")) == {"0", "1", "auto"}
    assert not plt.get_fignums()


def test__noise__two_levels__a_tick_for_each() -> None:
    """Both panels show both levels."""
    rows = sweep_rows([0.0])
    blocks = compare.blocks(rows) + compare.blocks(rows.assign(noise=0.1))
    figure = sweep_figures.noise(sweep.noise_levels(blocks))
    assert [[t.get_text() for t in ax.get_xticklabels()] for ax in figure.axes] == [
        ["0", "0.1"]
    ] * 2

"""A setting at several values, words among them."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from equate_srbench.report.notebooks import show
from equate_srbench.report.tables import sweep

VALUES = [1.0, "auto", 0.0]


def made_rows(values: list[float | str]) -> pd.DataFrame:
    """Three data sets per value; formulas are shorter where the value is larger."""
    rows = []
    for value in values:
        weight = 0.3 if value == "auto" else float(value)
        for i, dataset in enumerate(("a", "b", "c")):
            rows.append({
                "suite": "s", "noise": 0.0, "dataset": dataset, "seed": 1, "status": "ok",
                "method": "equate-paper", "r2_test": 0.995 - 0.01 * weight * i, "model": "x",
                "complexity": 20 - 10 * weight, "fit_seconds": 1.0, "solved": None,
                "solved_reason": None, "settings": json.dumps({"lam": value}),
                "diagnostics": json.dumps({"lam": 0.1 * (i + 1) if value == "auto" else value}),
            })  # fmt: skip
    return pd.DataFrame(rows)


def texts(figure: Figure) -> set[str]:
    """All texts of a figure's axes."""
    figure.canvas.draw()
    return {t.get_text() for t in figure.axes[0].texts} | {
        t.get_text() for t in figure.axes[0].get_xticklabels()
    }


def test__by_setting__numbers_and_a_word__numbers_first() -> None:
    """A word stands behind the numbers, and each value has its own fits."""
    table = sweep.by_setting(made_rows(VALUES), "lam")
    assert list(table["value"]) == [0.0, 1.0, "auto"]
    assert list(table["nodes"]) == [20, 10, 17]


def test__in_words__a_word_among_the_values__is_named() -> None:
    """Sentences name values as they were given."""
    said = " ".join(sweep.in_words(sweep.by_setting(made_rows([0.5, "auto"]), "lam"), "lambda"))
    assert "lambda = auto" in said
    assert "lambda = 0.5" in said


def test__chosen_in_words__auto__range_and_median() -> None:
    """What auto came to is read from the fits; without auto there is nothing to say."""
    rows = made_rows(VALUES)
    said = sweep.chosen_in_words(rows, "lam", "lambda")
    assert said == ["auto chose lambda from 0.1 to 0.3, with a median of 0.2."]
    assert sweep.chosen_in_words(made_rows([0.0, 1.0]), "lam", "lambda") == []


def test__figures__a_word_among_the_values__is_a_point_of_its_own() -> None:
    """Numbers are joined, the word stands apart, and all have their names."""
    rows = made_rows(VALUES)
    table = sweep.by_setting(rows, "lam")
    curve = sweep.curve(table, "λ")
    assert {"λ = 0", "λ = 1", "λ = auto"} <= texts(curve)
    joined, alone = curve.axes[0].lines[:2]
    np.testing.assert_array_equal(joined.get_xdata(), [20, 10])
    np.testing.assert_array_equal(alone.get_xdata(), [17])
    assert texts(sweep.per_data_set(rows, "lam")) == {"0", "1", "auto"}
    assert not plt.get_fignums()


@pytest.mark.parametrize("made", ["sweep", "fits"])
def test__tables__a_word_among_the_values__is_shown(made: str) -> None:
    """Tables of a page have the word as it is."""
    rows = made_rows(VALUES)
    table = (
        show.sweep(sweep.by_setting(rows, "lam"), "lambda")
        if made == "sweep"
        else show.fits(rows, setting="lam")
    )
    assert ">auto<" in str(table.forms["text/html"])

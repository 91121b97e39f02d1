"""Panels without a browser: traits, links, sliders, pruning, static forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets

pytest.importorskip("anywidget", reason="the extra `widgets` is not installed")

from equate_srbench.equation import Equation
from equate_widgets import EquationPanel, FrontPanel, LiveFit, TrajectoryPanel, explore
from equate_widgets.assets import module
from equate_widgets.equation_panel import slider_range
from tests.widgets.made_up import HOSTILE, make_fit


def test__front__data__every_front_formula_is_there(fit):
    """Places of the front point at its formulas; the answer is selected."""
    panel = FrontPanel(fit)
    texts = [panel.data["equation"][i] for i in panel.data["front"]]
    assert texts == fit.equations_["equation"].tolist()
    assert panel.selected == str(fit.equation_)
    assert panel.equation == fit.equation_
    assert panel.data["equation"][panel.data["chosen"]] == panel.selected


def test__front__nothing_selected__no_equation(fit):
    """An empty selection is None, not an error."""
    panel = FrontPanel(fit)
    panel.selected = ""
    assert panel.equation is None


def test__equation__sliders__live_scores_follow(fit, table):
    """Another constant changes R2 and the copies, not the tree."""
    panel = EquationPanel(fit, *table)
    before, tree = panel.r2, panel.view
    panel.constants = [*panel.constants[:-1], panel.constants[-1] + 1.0]
    assert panel.r2 < before
    assert panel.live["r2"] == pytest.approx(panel.r2)
    assert panel.live["exports"]["SymPy"] == str(panel.equation)
    assert panel.view is tree


@pytest.mark.parametrize("values", [[], [1.0] * 9, [np.nan], [np.inf]])
def test__equation__bad_constants__message_and_old_formula(fit, table, values):
    """A wrong number of values, or ones that are not finite, change nothing."""
    panel = EquationPanel(fit, *table)
    panel.constants = values
    assert panel.message
    assert panel.equation == fit.equation_


def test__equation__refit__least_squares_again(fit, table):
    """From where the sliders stand, back to the best; errors of the constants appear."""
    panel = EquationPanel(fit, *table)
    panel.constants = [value + 0.3 for value in panel.constants]
    moved = panel.r2
    panel.refit()
    assert panel.r2 > moved
    assert panel.formula == str(panel.equation)
    assert panel.view["constants"][0]["error"] is not None


def test__equation__prune__shorter_and_refitted(fit, table):
    """The branch becomes a constant, everything is fitted anew; undo brings it back."""
    panel = EquationPanel(fit, *table)
    tree = fit.equation_.tree
    panel.prune(tree.children()[1])
    assert panel.equation.size < tree.size
    assert panel.formula == str(panel.equation)
    panel.reset()
    assert panel.equation == fit.equation_


@pytest.mark.parametrize(
    "message", [{"do": "prune", "node": 99}, {"do": "prune", "node": -1}, {"do": "fly"}]
)
def test__equation__message_it_cannot_follow__said(fit, table, message):
    """From the page comes data, not trust."""
    panel = EquationPanel(fit, *table)
    panel._on_message(panel, message, [])
    assert panel.message
    assert panel.equation == fit.equation_


def test__equation__formula_of_unknown_columns__message(fit, table):
    """The panel keeps what it shows."""
    panel = EquationPanel(fit, *table)
    panel.formula = "nothing + 1"
    assert "nothing" in panel.message
    assert panel.equation == fit.equation_


def test__equation__rows_that_do_not_fit__error_with_both_numbers(fit, table):
    """Lengths are compared when the panel is made."""
    with pytest.raises(ValueError, match=r"\(3,\) for 60 rows"):
        EquationPanel(fit, table[0], table[1][:3])


def test__equation__undefined_on_rows__numbers_are_null(table):
    """JSON knows no NaN."""
    equation = Equation.from_string("log(mass - 2)", ["mass", "radius"])
    panel = EquationPanel(equation, *table)
    json.dumps([panel.view, panel.live], allow_nan=False)
    assert panel.live["r2"] is None
    panel._on_message(panel, {"do": "refit"}, [])
    assert "not defined" in panel.message


@pytest.mark.parametrize(
    ("value", "ends"), [(2.0, (-2.0, 6.0)), (-2.0, (-6.0, 2.0)), (0.0, (-1.0, 1.0))]
)
def test__slider_range__any_value__inside_and_around_zero(value, ends):
    """The value lies inside, and so does a change of sign."""
    assert slider_range(value) == ends


def test__trajectory__row_out_of_range__refused(fit):
    """The error names the range."""
    panel = TrajectoryPanel(fit)
    with pytest.raises(traitlets.TraitError, match=r"rows 0 \.\."):
        panel.row = 10_000


def test__explore__selection__linked_through_all_panels(fit, table):
    """Select in the front, step in the trajectory: the formula follows."""
    front, formula, steps = explore(fit, *table).children
    front.selected = fit.equations_["equation"].iloc[2]
    assert formula.equation == fit.equations_["object"].iloc[2]
    steps.equation = steps.data["steps"]["equation"][0]
    assert formula.formula == steps.equation == front.selected
    steps.equation = ""
    assert formula.formula


@pytest.mark.parametrize("i", range(4))
def test__mimebundle__every_view__has_a_still_without_scripts(fit, table, i):
    """Exported pages show something, whatever the columns are called."""
    fit = make_fit(20, names=HOSTILE)
    X = np.random.default_rng(0).uniform(1, 3, (50, len(HOSTILE)))
    view = [FrontPanel(fit), EquationPanel(fit, X, X[:, 0]), TrajectoryPanel(fit), LiveFit(fit)][i]
    data, _ = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<script" not in data["text/html"]
    assert "<img" not in data["text/html"]
    assert len(data["text/html"]) > 100


@pytest.mark.parametrize("name", ["front", "equation", "trajectory"])
def test__module__joined__imports_nothing_and_exports_a_widget(name):
    """One file for anywidget: no import is left, no CDN is named."""
    text = module(f"{name}_panel.js")
    assert "import " not in "".join(line[:7] for line in text.splitlines(keepends=True))
    assert text.count("export default") == 1
    assert "https://" not in text

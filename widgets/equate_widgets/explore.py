"""The linked panels of a fit."""

from __future__ import annotations

from typing import Any

import ipywidgets
import traitlets
from numpy.typing import ArrayLike

from equate_widgets.equation_panel import EquationPanel
from equate_widgets.front_panel import FrontPanel
from equate_widgets.trajectory_panel import TrajectoryPanel


def explore(
    est: Any, X: Any, y: ArrayLike, *, title: str = "", target: str = "y"
) -> ipywidgets.VBox:
    """Front, formula and trajectory of a fit as linked panels.

    A formula selected in one panel is shown in the others.

    Parameters
    ----------
    est : EquateRegressor
        Fitted.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows on which to show the formula: those of the fit, or others.
    y : array-like of shape (n_rows,)
    title : str, default=""
    target : str, default="y"
        Name of the predicted column.

    Returns
    -------
    VBox
        Its children are the ``FrontPanel``, ``EquationPanel`` and ``TrajectoryPanel``.
    """
    front = FrontPanel(est, title=title, target=target)
    formula = EquationPanel(est, X, y, target=target)
    steps = TrajectoryPanel(est, target=target)
    traitlets.link((front, "selected"), (formula, "formula"))

    def follow(change: Any) -> None:
        if change["new"]:  # empty if a step decoded no formula
            formula.formula = change["new"]

    steps.observe(follow, "equation")
    return ipywidgets.VBox([front, formula, steps])

"""A formula in detail: tree, constants, fit, partial effects, and copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from equate_srbench.equation import Equation
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.explain import impacts, partial_effect, pruned
from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.text.columns_by_name import read_table
from equate_srbench.expr.tree import Tree
from equate_srbench.report.figures import fit_figures
from equate_widgets.panel_view import PanelView, number, numbers

#: Maximum rows that are drawn, and that a partial effect averages over; scores use all rows.
MAX_POINTS = 500
EFFECT_ROWS = 200
#: Maximum number of partial effects that are drawn.
MAX_EFFECTS = 12
_LABELS = {
    "add": "+", "sub": "\u2212", "mul": "\u00d7", "div": "÷", "pow": "^", "inv": "1/·",
    "sqrt": "√", "square": "·²", "cube": "·³", "abs": "|·|",
}  # fmt: skip


class EquationPanel(PanelView):
    """A formula as a tree with the impact of each branch, sliders for constants, fit and effects.

    Parameters
    ----------
    equation : Equation or fitted estimator
        The formula, or an estimator with ``equation_``.
    X : DataFrame or array-like of shape (n_rows, n_columns)
    y : array-like of shape (n_rows,)
    target : str, default="y"
        Name of the predicted column.

    Attributes
    ----------
    formula : str
        Text of the formula; set it or link it with ``FrontPanel.selected`` to show another one.
    constants : list of float
        Values of the sliders.
    equation : Equation
        The formula with the constants of the sliders.
    r2 : float
        R2 of ``equation`` on all rows.
    message : str
        Why the last action failed; empty otherwise.
    """

    _module = "equation_panel.js"
    formula = traitlets.Unicode("").tag(sync=True)
    constants = traitlets.List(traitlets.Float()).tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, equation: Any, X: Any, y: ArrayLike, *, target: str = "y", **kwargs: Any
    ) -> None:
        first: Equation = getattr(equation, "equation_", equation)
        names = first.feature_names
        self._X = read_table(X, names, range(len(names)), named=first.named, wider=True)
        self._y = np.asarray(y, dtype=np.float64)
        if self._y.shape != (len(self._X),) or not len(self._y):
            raise ValueError(f"y has shape {self._y.shape} for {len(self._X)} rows")
        self._target, self._first, self.equation = target, first, first
        self._points = np.linspace(0, len(self._y) - 1, min(len(self._y), MAX_POINTS)).astype(int)
        description = self._describe(first)
        super().__init__(
            formula=str(first), constants=list(first.constants), view=description,
            live=self._measure(first), **kwargs,
        )  # fmt: skip
        self.observe(self._on_formula, "formula")
        self.observe(self._on_constants, "constants")
        self.on_msg(self._on_message)

    @property
    def r2(self) -> float:
        """R2 of the formula with the constants of the sliders, on all rows."""
        return self._score()[0]

    # -- actions -------------------------------------------------------------------

    def show(self, equation: Equation) -> None:
        """Show another formula of the same columns."""
        self.equation = equation
        self.message = ""
        with self.hold_sync():
            self.view = self._describe(equation)
            self.constants = list(equation.constants)
            self.live = self._measure(equation)
            self.formula = str(equation)

    def prune(self, node: int) -> None:
        """Replace the branch at ``node`` (prefix order) by a constant and refit all constants.

        Raises
        ------
        IndexError
            If there is no such node.
        ValueError
            If the pruned formula is undefined on some row.
        """
        tree = pruned(self.equation.tree, node, self._X)
        self.show(self.equation.with_tree(tree).fit_constants(self._X, self._y))

    def refit(self) -> None:
        """Refit the constants by least squares, starting from the sliders.

        Raises
        ------
        ValueError
            If the formula is undefined on some row.
        """
        self.show(self.equation.fit_constants(self._X, self._y))

    def reset(self) -> None:
        """Return to the initial formula of the panel."""
        self.show(self._first)

    def static_html(self) -> str:
        """The typeset formula, or its text if it cannot be typeset, with its R2."""
        from html import escape

        picture = fit_figures.formula(self.equation.to_latex())
        return f"{picture or escape(str(self.equation))}<p>R² {self.r2:.6g}</p>"

    # -- events -------------------------------------------------------------------------------

    def _on_formula(self, change: Any) -> None:
        if change["new"] == str(self.equation):
            return
        try:
            new = Equation.from_string(change["new"], self._first.feature_names)
            self.show(self._first.with_tree(new.tree))
        except FormulaError as error:
            self.message = f"{change['new']!r}: {error}"

    def _on_constants(self, change: Any) -> None:
        values = list(change["new"])
        tree = self.equation.tree
        if values == list(tree.constants):
            return
        try:
            self.equation = self._first.with_tree(tree.with_constants(values))
        except ValueError as error:  # a wrong number of constants, or one that is not finite
            self.message = str(error)
            return
        self.live = self._measure(self.equation)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        action = content.get("do")
        try:
            if action == "prune":
                self.prune(int(content["node"]))
            elif action in ("refit", "reset"):
                getattr(self, action)()
            else:
                self.message = f"unknown action {action!r}"
        except (ValueError, IndexError) as error:
            self.message = str(error)

    # -- data for the view ------------------------------------------------------------------------

    def _score(self) -> tuple[float, float]:
        """R2 and root mean squared error on all rows."""
        with np.errstate(all="ignore"):
            loss = float(np.mean((self.equation.predict(self._X) - self._y) ** 2))
            return float(1.0 - loss / np.var(self._y)), float(np.sqrt(loss))

    def _describe(self, equation: Equation) -> dict[str, Any]:
        names, X = equation.feature_names, self._X[self._points]
        errors = equation.standard_errors or [float("nan")] * len(equation.constants)
        one = X.shape[1] == 1
        return {
            "target": self._target,
            "columns": list(names),
            "rows": len(self._y),
            "complexity": equation.complexity,
            "nodes": list(self._nodes(equation)),
            "constants": [
                {"value": value, "low": low, "high": high, "error": number(error)}
                for value, error in zip(equation.constants, errors, strict=True)
                for low, high in [slider_range(value)]
            ],
            "actual": numbers(self._y[self._points]),
            "curve": numbers(X[:, 0]) if one else None,
        }

    def _nodes(self, equation: Equation) -> Iterator[dict[str, Any]]:
        tree, names = equation.tree, equation.feature_names
        worth = impacts(tree, self._X, self._y)
        for start in range(tree.size):
            part = Equation(tree.subtree(start), names)
            yield {
                "label": _label(part.tree, names),
                "children": tree.children(start),
                "text": str(part),
                "latex": part.to_latex(),
                "prunable": start > 0 and bool(part.tree.columns),
                "impact": number(worth[start]),
            }

    def _measure(self, equation: Equation) -> dict[str, Any]:
        X = self._X[self._points]
        score, rmse = self._score()
        some = X[:: max(1, len(X) // EFFECT_ROWS)]
        effects = [(j, partial_effect(equation.tree, some, j)) for j in equation.tree.columns]
        curve = None
        if X.shape[1] == 1:
            grid = np.linspace(X.min(), X.max(), 300)
            curve = {"x": numbers(grid), "y": numbers(equation.predict(grid[:, None]))}
        return {
            "r2": number(score),
            "rmse": number(rmse),
            "text": str(equation),
            "latex": equation.to_latex(),
            "predicted": numbers(equation.predict(X)),
            "curve": curve,
            "effects": [
                {
                    "name": equation.feature_names[j],
                    "x": numbers(effect.grid),
                    **{k: numbers(getattr(effect, k)) for k in ("mean", "low", "high")},
                }
                for j, effect in effects[:MAX_EFFECTS]
            ],
            "exports": {
                "LaTeX": equation.to_latex(),
                "SymPy": str(equation),
                "Python": equation.to_numpy(),
            },
        }


def slider_range(value: float) -> tuple[float, float]:
    """Range of a slider: from minus the value to three times it; -1 to 1 for zero."""
    if value == 0.0:
        return -1.0, 1.0
    return min(-value, 3 * value), max(-value, 3 * value)


def _label(tree: Tree, names: tuple[str, ...]) -> str:
    """Short label of the root of a branch."""
    symbol = tree.symbols[0]
    if symbol == CONSTANT:
        return f"{tree.constants[0]:.4g}"
    if symbol >= VARIABLE:
        return names[symbol - VARIABLE]
    name = BY_CODE[symbol].name
    return _LABELS.get(name, name)

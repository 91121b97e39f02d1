"""Formulas as tables of HTML."""

from __future__ import annotations

from equate_srbench.equation import Equation
from equate_srbench.expr.text.html import Front, formulas_html

HOSTILE = "<img src=x onerror=alert(1)>"


def test__formulas_html__hostile_names__are_text() -> None:
    """Names, columns and cells are never markup."""
    equation = Equation.from_string(f"`{HOSTILE}` + 1", [HOSTILE])
    html = formulas_html([equation], {HOSTILE: [HOSTILE]})
    assert "<img" not in html
    assert html.count("&lt;img") >= 3


def test__front__in_a_notebook__typeset_and_a_plain_table_in_parts() -> None:
    """The whole front shows LaTeX; what is cut from it is pandas' own."""
    equation = Equation.from_string("x**2/3", ["x"])
    row = {"complexity": 5, "loss": 0.5, "r2": 0.25, "equation": str(equation), "object": equation}
    front = Front([row])
    html = front._repr_html_()
    assert f"${equation.to_latex()}$" in html
    assert "<td>0.25</td>" in html
    assert type(front[["r2"]]).__name__ == "DataFrame"

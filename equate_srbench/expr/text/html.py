"""HTML tables of formulas, in which Jupyter typesets the LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Protocol

import pandas as pd


class Typesettable(Protocol):
    """A formula with a text and a LaTeX form, such as ``Equation``."""

    def to_latex(self) -> str:
        """LaTeX without dollar signs."""
        ...

    def __str__(self) -> str: ...


class Front(pd.DataFrame):
    """A table of formulas that notebooks typeset; its slices and copies are plain DataFrames.

    Columns ``complexity``, ``loss``, ``r2``, ``equation`` (text) and ``object`` (``Equation``).
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        plain: type[pd.DataFrame] = pd.DataFrame
        return plain

    def _repr_html_(self) -> str:
        return formulas_html(
            self["object"],
            {
                "complexity": [str(value) for value in self["complexity"]],
                "loss": [f"{value:.4g}" for value in self["loss"]],
                "r2": [f"{value:.6g}" for value in self["r2"]],
            },
        )


def formulas_html(
    equations: Iterable[Typesettable], columns: dict[str, list[str]] | None = None
) -> str:
    """An HTML table with one row per formula: the given columns, then the formula.

    Parameters
    ----------
    equations : iterable of Typesettable
    columns : dict of str to list of str, optional
        Texts per column, one for each formula.

    Returns
    -------
    str
        HTML without scripts; all text is escaped. The LaTeX is between dollar signs.
    """
    columns = columns or {}
    head = "".join(f"<th>{escape(name)}</th>" for name in (*columns, "formula"))
    rows = []
    for i, equation in enumerate(equations):
        cells = "".join(f"<td>{escape(texts[i])}</td>" for texts in columns.values())
        rows.append(f"<tr>{cells}<td>{_typeset(equation)}</td></tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _typeset(equation: Typesettable) -> str:
    text = escape(str(equation))
    return f'<span title="{text}">${escape(equation.to_latex())}$</span>'

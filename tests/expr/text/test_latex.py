"""LaTeX that people can read and mathtext can typeset."""

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from equate_srbench.expr.text.latex import name_latex, to_latex
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x - 2*y", r"x - 2\,y"),
        ("x/y", r"\frac{x}{y}"),
        ("1/x", r"\frac{1}{x}"),
        ("-x/y", r"-\frac{x}{y}"),
        ("(x + y)*x", r"\left(x + y\right)\,x"),
        ("x + (y + x)", "x + y + x"),
        ("x - (y + x)", r"x - \left(y + x\right)"),
        ("x*(y*x)", r"x\,y\,x"),
        ("sqrt(x)", r"\sqrt{x}"),
        ("abs(x)", r"\left|x\right|"),
        ("(x + y)**2", r"\left(x + y\right)^{2}"),
        ("(x**2)**2", r"\left(x^{2}\right)^{2}"),
        ("(x/y)**2", r"\left(\frac{x}{y}\right)^{2}"),
        ("x**(y + 1)", r"x^{y + 1}"),
        ("sin(x/y)", r"\sin\left(\frac{x}{y}\right)"),
        ("3.14159265*x", r"3.142\,x"),
        ("x*3", r"x \cdot 3"),
        ("x*(-3)", r"x\,\left(-3\right)"),
        ("6.674e-11*x", r"6.674 \cdot 10^{-11}\,x"),
        ("x - 1.5e-7", r"x - 1.5 \cdot 10^{-7}"),
        ("1e9 + x", "10^{9} + x"),
        ("123456*x", r"123456\,x"),
    ],
)
def test__to_latex__formula__readable(text, latex):
    """Fractions, minimal brackets, rounded numbers."""
    assert to_latex(parse(text, ["x", "y"]), ["x", "y"]) == latex


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("x", "x"), ("x_0", "x_{0}"), ("x12", "x_{12}"), ("theta", r"\theta"),
        ("sigma_x", r"\sigma_{x}"), ("lambda", r"\lambda"), ("mass", r"\mathrm{mass}"),
        ("T_hot_2", r"T_{\mathrm{hot}, 2}"), ("x 1", r"\mathrm{x\ 1}"), ("_", r"\mathrm{\_}"),
        ("50%", r"\mathrm{50\%}"),
    ],
)  # fmt: skip
def test__name_latex__column_names__subscripts_and_greek(name, latex):
    """Names are typeset as a physicist would."""
    assert name_latex(name) == latex


def test__to_latex__names_that_read_as_numbers__as_in_formula_text():
    """Columns called 1 and 2 are not the numbers one and two."""
    tree = Tree.apply("div", Tree.variable(0), Tree.variable(1))
    assert to_latex(tree, ["1", "2"]) == r"\frac{x_{1}}{x_{2}}"
    assert to_latex(tree, ["", "a\nb"]) == r"\frac{x_{0}}{a_{b}}"


AWKWARD = ["x 1", "a_b_c", "50% {x}", "$y$", "a^b~c", "\\alpha", "l'&#", "", "_", "\u00b5", "1st"]


def test__to_latex__random_formulas__mathtext_typesets(random_tree):
    """The mathtext parser accepts every formula, with awkward column names too."""
    parser = MathTextParser("path")
    rng = np.random.default_rng(5)
    for i in range(60):
        tree = random_tree(rng, depth=4)
        names = [AWKWARD[(i + j) % len(AWKWARD)] for j in range(3)]
        parser.parse(f"${to_latex(tree, names)}$")

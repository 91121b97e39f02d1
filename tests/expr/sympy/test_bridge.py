"""Trees to SymPy objects and back without text."""

import numpy as np
import pytest
import sympy

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.sympy.bridge import from_sympy, to_sympy
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree

SYMBOLS = sympy.symbols("x y z", real=True)
COLUMNS = {symbol: j for j, symbol in enumerate(SYMBOLS)}


def test__to_sympy__known_formula__expression():
    """Whole constants are integers, others keep all their bits."""
    x, y, _ = SYMBOLS
    expression = to_sympy(parse("2*x**2 - 0.1*sin(y)", "xyz"), SYMBOLS)
    assert expression == 2 * x**2 - sympy.Float(0.1) * sympy.sin(y)
    assert [float(f) for f in expression.atoms(sympy.Float)] == [-0.1]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__round_trip__every_operator__same_function(op):
    """Each operator survives the way to SymPy and back."""
    tree = Tree.apply(op.name, *[Tree.variable(j) for j in range(op.arity)])
    again = from_sympy(to_sympy(tree, SYMBOLS), COLUMNS)
    X = np.array([[0.3, 0.8, 1.0], [0.9, 0.2, 1.0]])
    np.testing.assert_allclose(evaluate(again, X), evaluate(tree, X), rtol=1e-15)


def test__round_trip__random_trees__same_values(random_tree, table, sound_rows):
    """Values agree wherever the formula and its parts are finite."""
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(300):
        tree = random_tree(rng, depth=4)
        rows = sound_rows(tree, table)
        if not rows.any():
            continue
        try:
            again = from_sympy(to_sympy(tree, SYMBOLS), COLUMNS)
        except FormulaError:
            continue  # SymPy left our operators
        compared += 1
        wanted = evaluate(tree, table)[rows]
        np.testing.assert_allclose(evaluate(again, table)[rows], wanted, rtol=1e-6, atol=1e-6)
    assert compared > 150


def test__to_sympy__tower_of_powers__ends_at_once():
    """9**9**9 is computed in floating point, where it is infinite."""
    tower = Tree.constant(9.0)
    for _ in range(4):
        tower = Tree.apply("pow", Tree.constant(9.0), tower)
    with pytest.raises(FormulaError, match="not finite"):
        to_sympy(tower, SYMBOLS)


def test__to_sympy__fractions__exact():
    """Quotients of whole numbers stay fractions."""
    assert to_sympy(parse("2/3*x", "xyz"), SYMBOLS) == sympy.Rational(2, 3) * SYMBOLS[0]


@pytest.mark.parametrize(
    "expression",
    [sympy.sinh(SYMBOLS[0]), sympy.Symbol("q"), sympy.I, sympy.oo, sympy.nan,
     sympy.Max(SYMBOLS[0], SYMBOLS[1]), sympy.atan2(SYMBOLS[0], SYMBOLS[1]),
     sympy.Piecewise((SYMBOLS[0], SYMBOLS[0] > 0), (0, True)), sympy.zoo, sympy.gamma(SYMBOLS[0])],
    ids=str,
)  # fmt: skip
def test__from_sympy__unknown_things__formula_error(expression):
    """What trees do not have is refused by name."""
    with pytest.raises(FormulaError):
        from_sympy(expression, COLUMNS)


def test__from_sympy__derivative_of_abs__quotient():
    """The sign that SymPy's derivative brings is written with what there is."""
    tree = from_sympy(sympy.Abs(SYMBOLS[0]).diff(SYMBOLS[0]), COLUMNS)
    assert evaluate(tree, np.array([[-2.0], [3.0]])).tolist() == [-1.0, 1.0]

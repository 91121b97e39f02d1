"""``model``: the string that SRBench reads, by its own way of reading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sympy
from sympy.parsing.sympy_parser import parse_expr

from equate_srbench.equation import Equation
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.text.names import plain_names
from equate_srbench.expr.tree import Tree
from equate_srbench.formula_regressor import model
from equate_srbench.regressor import EquateRegressor

NAMES = ["alpha", "E", "I", "S", "N", "gamma", "beta", "spin", "x_1", "lambda", "x 2"]


def sympy_values(text: str, columns: list[str], X: np.ndarray) -> np.ndarray:
    """Parse as the harness does, with symbols for the columns, and evaluate in float64."""
    symbols = {name: sympy.Symbol(name) for name in columns}
    expression = parse_expr(text, local_dict=symbols)
    assert {s.name for s in expression.free_symbols} <= set(columns)
    value = sympy.lambdify(list(symbols.values()), expression, modules="numpy")(*X.T)
    return np.broadcast_to(value, len(X))


def estimator(tree: Tree, columns: list[str] | None, n: int) -> EquateRegressor:
    """An estimator whose answer is ``tree``."""
    est = EquateRegressor()
    est.n_features_in_ = n
    if columns is not None:
        est.feature_names_in_ = np.array(columns, dtype=object)
    est.equation_ = Equation(tree, columns or [f"x{j}" for j in range(n)])
    return est


def random_tree(rng: np.random.Generator, n_columns: int, depth: int = 3) -> Tree:
    """A random formula."""
    if depth == 0 or rng.random() < 0.15:
        if rng.random() < 0.6:
            return Tree.variable(int(rng.integers(n_columns)))
        return Tree.constant(float(rng.normal() * 10.0 ** rng.integers(-3, 4)))
    op = OPERATORS[int(rng.integers(len(OPERATORS)))]
    return Tree.apply(op.name, *(random_tree(rng, n_columns, depth - 1) for _ in range(op.arity)))


@pytest.mark.parametrize("seed", range(150))
def test__model__random_formula__sympy_computes_what_it_does(seed):
    """Relative difference at most 1e-12, for any operator and any constants."""
    rng = np.random.default_rng(seed)
    n = len(NAMES)
    X = rng.uniform(0.2, 3.0, (20, n))
    est = estimator(random_tree(rng, n), NAMES, n)
    table = pd.DataFrame(X, columns=NAMES)
    expected = est.equation_.predict(table)
    keep = np.isfinite(expected) & (np.abs(expected) < 1e200)
    text = model(est, table)
    assert text == model(est, table)
    with np.errstate(all="ignore"):
        found = sympy_values(text, list(plain_names(NAMES)), X)
    scale = np.abs(expected[keep])
    np.testing.assert_array_less(np.abs(found[keep] - expected[keep]), 1e-12 * scale + 1e-300)


def test__model__fit_on_an_array__string_in_the_names_of_the_frame():
    """SRBench passes a frame even where fit got an array."""
    X = np.random.default_rng(0).uniform(1, 5, (30, 2))
    y = X[:, 0] / X[:, 1] + 1.5
    est = EquateRegressor(random_state=0).fit(X, y)
    table = pd.DataFrame(X, columns=["theta", "E"])
    text = model(est, table)
    np.testing.assert_allclose(sympy_values(text, ["theta", "E"], X), est.predict(X), rtol=1e-12)
    assert model(est) == str(est.equation_)
    assert "x0" in model(est, X)


def test__model__constant__is_a_number():
    """A constant model is a number that SymPy reads."""
    X = np.ones((5, 2))
    est = EquateRegressor().fit(X, np.full(5, 0.1))
    assert float(parse_expr(model(est))) == 0.1


def test__model__names_that_sympy_knows__parse_as_columns():
    """``pi`` and functions are renamed, so that the text has one meaning."""
    tree = Tree.apply("add", Tree.variable(0), Tree.apply("exp", Tree.variable(1)))
    columns = ["pi", "exp"]
    X = np.random.default_rng(0).uniform(1, 2, (5, 2))
    est = estimator(tree, columns, 2)
    text = model(est, pd.DataFrame(X, columns=columns))
    plain = list(plain_names(columns))
    np.testing.assert_allclose(
        sympy_values(text, plain, X), est.equation_.predict(pd.DataFrame(X, columns=columns))
    )


def test__model__unfitted__refused():
    """As everything else of an unfitted estimator."""
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        model(EquateRegressor())

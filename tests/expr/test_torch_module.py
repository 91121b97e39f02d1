"""Formulas as torch modules."""

import numpy as np
import torch

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.torch_module import FormulaModule
from equate_srbench.expr.tree import Tree


def test__forward__random_formulas__numpy_values(random_tree, table, sound_rows):
    """Values agree with NumPy to rounding."""
    rng = np.random.default_rng(6)
    for _ in range(100):
        tree = random_tree(rng)
        rows = sound_rows(tree, table)
        values = FormulaModule(tree)(torch.tensor(table)).detach().numpy()
        wanted = evaluate(tree, table)
        np.testing.assert_allclose(values[rows], wanted[rows], rtol=1e-6, atol=1e-9)


def test__constants__trained__tree_follows():
    """Gradient descent moves the constants, and the tree can be read back."""
    X = torch.linspace(1.0, 2.0, 20, dtype=torch.float64)[:, None]
    y = 3.0 * X[:, 0] + 0.5
    module = FormulaModule(parse("2*x + 1", ["x"]))
    assert module.constants.dtype == torch.float64
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=100, tolerance_grad=1e-12)

    def loss():
        optimizer.zero_grad()
        value = ((module(X) - y) ** 2).mean()
        value.backward()
        return value

    optimizer.step(loss)
    np.testing.assert_allclose(module.tree().constants, [3.0, 0.5], rtol=1e-4)


def test__forward__constant_formula_and_batches__leading_shape():
    """The last axis holds the columns; all others stay."""
    X = torch.zeros(4, 3, 2, dtype=torch.float64)
    assert FormulaModule(Tree.constant(2.0))(X).shape == (4, 3)
    assert FormulaModule(parse("a + b", ["a", "b"]))(X).shape == (4, 3)


def test__state_dict__round_trip(tmp_path):
    """Constants are an ordinary parameter."""
    module = FormulaModule(parse("2*x + 1", ["x"]))
    other = FormulaModule(parse("5*x + 7", ["x"]))
    other.load_state_dict(module.state_dict())
    assert other.tree() == module.tree()

"""The compiled kernel computes what NumPy does, and derives it right."""

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import evaluate_many, jacobian
from equate_srbench.refine.derivatives import RULES
from equate_srbench.refine.numpy_loops import build_loop_table

# where both the operator and its derivatives are defined
DOMAINS = {
    "sqrt": (0.1, 4.0), "log": (0.1, 4.0), "inv": (0.2, 3.0), "pow": (0.2, 3.0), "div": (0.3, 3.0),
    "arcsin": (-0.9, 0.9), "arccos": (-0.9, 0.9), "tan": (-1.3, 1.3),
}  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__evaluate_many__each_operator__bitwise_numpy(op):
    """The kernel runs NumPy's own loops, also outside the domain."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0.0, 2.0, (100, 2)), [[0.0, 0.0], [0.0, -1.0], [-0.0, 2.0]]])
    tree = Tree.apply(op.name, *(Tree.variable(j) for j in range(op.arity)))
    np.testing.assert_array_equal(evaluate_many([tree], X)[0], evaluate(tree, X))


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__jacobian__each_operator__equals_central_differences(op):
    """Derivatives by every argument at random points of the domain."""
    low, high = DOMAINS.get(op.name, (-2.0, 2.0))
    X = np.random.default_rng(1).uniform(low, high, (60, 2))
    # x + c with c = 0, so that the derivative by c is that by the argument
    args = [Tree.apply("add", Tree.variable(j), Tree.constant(0.0)) for j in range(op.arity)]
    tree = Tree.apply(op.name, *args)
    exact = jacobian(tree, X)
    assert exact.shape == (60, op.arity)
    for j in range(op.arity):
        step = 1e-6 * np.eye(op.arity)[j]
        up, down = (evaluate(tree.with_constants(tuple(s * step)), X) for s in (1.0, -1.0))
        np.testing.assert_allclose(exact[:, j], (up - down) / 2e-6, rtol=1e-6, atol=1e-7)


def test__jacobian__shared_path_and_chain__equals_hand_written():
    """c0 * sin(c1 * x) - c2: the columns do not overwrite each other."""
    X = np.linspace(0.0, 3.0, 50)[:, None]
    sine = Tree.apply("sin", Tree.apply("mul", Tree.constant(1.7), Tree.variable(0)))
    wave = Tree.apply("mul", Tree.constant(2.5), sine)
    tree = Tree.apply("sub", wave, Tree.constant(4.0))
    x = X[:, 0]
    expected = np.stack([np.sin(1.7 * x), 2.5 * x * np.cos(1.7 * x), -np.ones(50)], axis=1)
    np.testing.assert_allclose(jacobian(tree, X), expected, rtol=1e-14, atol=1e-14)


def test__jacobian__no_constants__no_columns():
    """A formula without constants has an empty Jacobian."""
    assert jacobian(Tree.variable(0), np.ones((5, 1))).shape == (5, 0)


def test__evaluate_many__root_leaves__columns_and_constants():
    """A variable or a constant alone is a formula too."""
    X = np.arange(6.0).reshape(3, 2)
    out = evaluate_many([Tree.variable(1), Tree.constant(2.5)], X)
    np.testing.assert_array_equal(out, [[1.0, 3.0, 5.0], [2.5, 2.5, 2.5]])


def test__evaluate_many__no_trees_or_many_rows__right_shape():
    """Long tables go through in blocks and come out whole."""
    X = np.random.default_rng(0).normal(size=(10_001, 1))
    assert evaluate_many([], X).shape == (0, 10_001)
    np.testing.assert_array_equal(
        evaluate_many([Tree.apply("cube", Tree.variable(0))], X)[0], X[:, 0] ** 2 * X[:, 0]
    )


def test__build_loop_table__every_operator__has_rules_and_loops():
    """No operator without derivative, no loop without address."""
    table = build_loop_table()
    assert set(RULES) == {op.name for op in OPERATORS}
    assert (table.steps[:, 0] != 0).all()
    assert all(len(RULES[op.name]) == op.arity for op in OPERATORS)

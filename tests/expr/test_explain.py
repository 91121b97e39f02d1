"""Impact of a formula's parts, effect of its columns, pruning."""

import numpy as np
import pytest

from equate_srbench.equation import Equation
from equate_srbench.expr.explain import impacts, partial_effect, pruned, r2
from equate_srbench.expr.tree import Tree


@pytest.fixture
def table(rng):
    """Two columns and a target that is mostly the first."""
    X = rng.uniform(1.0, 3.0, (80, 2))
    return X, 10 * X[:, 0] + 0.1 * X[:, 1]


def tree_of(text):
    """A tree over columns a and b."""
    return Equation.from_string(text, ["a", "b"]).tree


def test__impacts__exact_formula__the_branch_that_matters_has_the_most(table):
    """Root: everything; constants: nothing; the strong column far before the weak one."""
    tree = tree_of("10*a + 0.1*b")
    found = dict(zip((str(tree.subtree(i)) for i in range(tree.size)), impacts(tree, *table),
                     strict=True))  # fmt: skip
    assert found["Tree(add mul 10 x_0 mul 0.1 x_1)"] == pytest.approx(1.0)
    assert found["Tree(10)"] == 0.0
    assert found["Tree(x_0)"] > 0.9
    assert 0.0 < found["Tree(x_1)"] < 0.01


def test__impacts__constant_target__nan(table):
    """No variance, no R2."""
    found = impacts(tree_of("a + b"), table[0], np.ones(80))
    assert np.isnan(found).all()


def test__impacts__undefined_without_the_branch__infinite(table):
    """sqrt(a - mean of a) is not defined on half of the rows."""
    X = np.column_stack([table[0][:, 0], table[0][:, 0]])
    found = impacts(tree_of("sqrt(a - b)"), X, X[:, 0])
    assert np.isinf(found[2])


def test__pruned__branch__becomes_its_mean(table):
    """The rest of the formula stays, in the same order."""
    new = pruned(tree_of("10*a + 0.1*b"), 4, table[0])
    assert new.symbols == tree_of("10*a + 2").symbols
    assert new.constants[0] == 10.0
    assert new.constants[1] == pytest.approx(0.1 * table[0][:, 1].mean())


@pytest.mark.parametrize("start", [-1, 3])
def test__pruned__no_such_node__error_names_the_range(table, start):
    """Neither before the root nor behind the last leaf."""
    with pytest.raises(IndexError, match=r"nodes 0 \.\. 2"):
        pruned(tree_of("a + b"), start, table[0])


def test__pruned__undefined_branch__constant_one(table):
    """Nothing finite to take a mean of."""
    assert pruned(tree_of("log(-a) + b"), 1, table[0]).constants == (1.0,)


def test__partial_effect__linear_column__straight_line_inside_its_band(table):
    """The other column moves the band, not the slope."""
    effect = partial_effect(tree_of("10*a + 0.1*b"), table[0], 0, points=11)
    np.testing.assert_allclose(np.diff(effect.mean, n=2), 0.0, atol=1e-9)
    assert (effect.low <= effect.mean).all()
    assert (effect.mean <= effect.high).all()
    assert effect.grid[[0, -1]].tolist() == [table[0][:, 0].min(), table[0][:, 0].max()]


def test__partial_effect__partly_undefined__nan_there_only(table):
    """Where no row has a value there is no effect, and no warning."""
    effect = partial_effect(tree_of("log(a - 2)"), table[0], 0)
    assert np.isnan(effect.mean[0])
    assert np.isfinite(effect.mean[-1])


def test__r2__against_its_definition(table):
    """Undefined on a row is -inf."""
    X, y = table
    assert r2(tree_of("10*a + 0.1*b"), X, y) == pytest.approx(1.0)
    assert r2(Tree.constant(float(y.mean())), X, y) == pytest.approx(0.0)
    assert r2(tree_of("log(-a)"), X, y) == -np.inf

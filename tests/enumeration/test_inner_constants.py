"""Skeletons with one inner constant."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.enumeration.inner_constants import Skeletons
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refiner

X2 = np.random.default_rng(0).uniform(0.5, 3.0, (40, 2))
x, z = Tree.variable(0), Tree.variable(1)
c = Tree.constant(1.0)


def skeletons(X: np.ndarray, largest: int) -> Skeletons:
    """Of all operators."""
    columns = list(range(X.shape[1]))
    return Skeletons(X, np.arange(8), columns, operators=OPERATORS, most=30_000, largest=largest)


def test__skeletons__of_four_nodes__have_the_usual_ones_and_no_free_scale():
    """One constant each, not where scale and offset are fitted anyway."""
    found = skeletons(X2, 4)
    trees = [found._tree(i, 1.0) for i in range(len(found))]
    assert {len(tree.constants) for tree in trees} == {1}
    symbols = {tree.symbols for tree in trees}
    for wanted in (
        Tree.apply("sin", Tree.apply("mul", x, c)),
        Tree.apply("exp", Tree.apply("mul", x, c)),
        Tree.apply("inv", Tree.apply("add", x, c)),
        Tree.apply("log", Tree.apply("add", z, c)),
        Tree.apply("pow", x, c),
    ):
        assert wanted.symbols in symbols
    assert Tree.apply("mul", x, c).symbols not in symbols
    assert Tree.apply("log", Tree.apply("mul", x, c)).symbols not in symbols
    assert found.largest == 4


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
def test__starts__laws_with_an_inner_constant__lead_to_them(unit):
    """In any unit of the column, some start converges to the law."""
    rng = np.random.default_rng(1)
    X = rng.uniform(0.5, 3.0, (60, 1)) * unit
    t = X[:, 0] / unit
    targets = np.stack([np.exp(-1.7 * t), 1.0 / (t + 0.6), np.sin(11.0 * t), t**1.37])
    found = skeletons(X, 4).starts(targets, np.ones_like(targets), [80] * 4, is_fine=True)
    for k, target in enumerate(targets):
        trees = [start.tree for start in found if start.target == k]
        fitted = Refiner(X, target).fit(trees, max_steps=40)
        assert np.nanmin(fitted.unexplained) < 1e-18, k
    errors = [start.error for start in found if start.target == 0]
    assert errors == sorted(errors)


def test__skeletons__too_many__end_at_a_complete_size():
    """The number of nodes up to which they are complete is told."""
    few = Skeletons(X2, np.arange(8), [0, 1], operators=OPERATORS, most=300, largest=6)
    assert 3 <= few.largest < 6
    sizes = {few._tree(i, 1.0).size for i in range(len(few))}
    assert max(sizes) == few.largest

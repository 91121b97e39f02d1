"""Semantic backpropagation: target values of nodes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.edits.inversion import backpropagate, node_targets
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.operators import BY_NAME, OPERATORS
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.programs import Programs

X3 = np.random.default_rng(0).uniform(0.5, 3.0, (150, 3))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__node_targets__replacing_the_node__gives_the_target(seed):
    """Where a node has its wanted value, the whole formula has the target's value."""
    rng = random.Random(seed)
    tree = Mutator([0, 1, 2], rng).tree(4)
    now = evaluate(tree, X3)
    if not np.isfinite(now).all() or tree.size < 3:
        return
    target = now * 1.001 + 1e-4
    wide = np.column_stack([X3, np.zeros(len(X3))])
    for node in node_targets(tree, X3, target, np.ones(len(X3)), min_rows=0.5):
        wide[:, 3] = node.target
        got = evaluate(tree.replace(node.at, Tree.variable(3)), wide)
        ok = (node.weights > 0) & np.isfinite(got)
        # far from the identity a wanted value can lose digits; ignore hopeless cancellation
        good = ok & (np.abs(node.target) < 1e6) & (np.abs(node.target) > 1e-6)
        close = np.isclose(got[good], target[good], rtol=1e-4, atol=1e-6)
        assert good.sum() == 0 or close.mean() > 0.95


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from([op.name for op in OPERATORS]),
    which=st.integers(0, 1),
    a=st.floats(-3.0, 3.0).filter(lambda v: abs(v) > 0.05),
    b=st.floats(-3.0, 3.0).filter(lambda v: abs(v) > 0.05),
    shift=st.floats(-1e-3, 1e-3),
)
def test__backpropagate__each_operator__has_numeric_inverse_and_slope(name, which, a, b, shift):
    """A node's target gives the operator's, and weights are squared derivatives there."""
    op = BY_NAME[name]
    which = min(which, op.arity - 1)
    args = [np.full(4, v) for v in (a, b)[: op.arity]]
    with np.errstate(all="ignore"):
        now = op.array(np, *args)[0]
    wanted = now + shift
    tree = Tree.apply(name, *(Tree.variable(j) for j in range(op.arity)))
    X = np.column_stack(args)
    found = backpropagate(
        Programs([tree]), [0], X, np.full((1, 4), wanted), np.full((1, 4), 2.0), min_rows=0.5
    )
    if not np.isfinite(now):
        return
    place = np.flatnonzero(found.at == 1 + which)
    if not len(place):  # out of the operator's range, or a formula that does not depend on it
        return
    d, weight = float(found.target[place[0], 0]), float(found.weights[place[0], 0])
    assert found.value[place[0]].tolist() == args[which].tolist()

    def at(value: float) -> float:
        moved = [np.array([value]) if j == which else v[:1] for j, v in enumerate(args)]
        with np.errstate(all="ignore"):
            return float(op.array(np, *moved)[0])

    assert at(d) == pytest.approx(wanted, rel=1e-7, abs=1e-9)
    step = 1e-5 * max(abs(d), 1e-3)
    slope = (at(d + step) - at(d - step)) / (2.0 * step)
    if np.isfinite(slope) and 1e-3 < abs(slope) < 1e3:
        assert weight == pytest.approx(2.0 * slope**2, rel=1e-3)


def test__backpropagate__several_programs__are_as_one_by_one():
    """Nodes come in order of programs, and in prefix order."""
    rng = random.Random(5)
    trees = [Mutator([0, 1, 2], rng).tree(4) for _ in range(30)]
    with np.errstate(all="ignore"):
        trees = [t for t in trees if np.isfinite(evaluate(t, X3)).all()]
    targets = np.stack([evaluate(t, X3) + 0.01 for t in trees])
    weights = np.random.default_rng(0).uniform(0.5, 2.0, targets.shape)
    chosen = list(range(len(trees)))[::2]
    found = backpropagate(Programs(trees), chosen, X3, targets[chosen], weights[chosen])
    assert (np.diff(found.program) >= 0).all()
    for row, i in enumerate(chosen):
        alone = node_targets(trees[i], X3, targets[i], weights[i])
        here = found.program == row
        assert found.at[here].tolist() == [node.at for node in alone]
        for name in ("value", "target", "weights"):
            single = np.array([getattr(node, name) for node in alone]).reshape(-1, len(X3))
            np.testing.assert_array_equal(getattr(found, name)[here], single)

"""Enumerated formulas: all of them, each once, with their values, within the memory."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.enumeration.formulas import PROBES, Enumeration, spread_rows
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME
from equate_srbench.expr.tree import Tree

X2 = np.random.default_rng(0).uniform(0.5, 3.0, (100, 2))
RNG = partial(np.random.default_rng, 1)
FEW = [BY_NAME[name] for name in ("add", "sub", "mul", "div", "sqrt", "exp")]


def enumerated(X: np.ndarray, largest: int, **options: object) -> Enumeration:
    """All formulas of up to ``largest`` nodes."""
    rows = spread_rows(X, X.sum(axis=1), PROBES, RNG())
    formulas = Enumeration(X[rows], list(range(X.shape[1])), **options)
    while formulas.largest < largest:
        assert formulas.grow()
    return formulas


def every_tree(size: int) -> list[Tree]:
    """Every tree of that many nodes over FEW, without functions of numbers alone."""
    if size == 1:
        return [Tree.variable(0), Tree.variable(1), Tree.constant(1.0), Tree.constant(2.0)]
    out = []
    for op in FEW:
        if op.arity == 1:
            out += [Tree.apply(op.name, arg) for arg in every_tree(size - 1)]
            continue
        for a in range(1, size - 1):
            pairs = itertools.product(every_tree(a), every_tree(size - 1 - a))
            out += [Tree.apply(op.name, u, v) for u, v in pairs]
    return [tree for tree in out if tree.columns]


def test__formulas__every_tree_of_few_nodes__has_its_values_there():
    """Brute force finds no function of up to 5 nodes that the enumeration lacks."""
    formulas = enumerated(X2, 5, operators=FEW)
    probes, known = X2[spread_rows(X2, X2.sum(axis=1), PROBES, RNG())], formulas.values.T
    for nodes in range(1, 6):
        end = formulas.up_to(nodes)
        for tree in every_tree(nodes):
            values = evaluate(tree, probes)
            size = np.abs(values).max()
            if not (size < 1e150 and np.ptp(values) > 1e-9 * size):  # also NaN
                continue
            gap = np.abs(known[:end] - values).max(axis=1) / size
            assert gap.min() < 1e-8, tree


def test__formulas__entries__have_no_equal_values():
    """On the probe rows, to ten digits, but for one in ten thousand on the edge of a rounding."""
    formulas = enumerated(X2, 5)
    values = formulas.values[:, len(formulas.numbers) :]
    size = np.abs(values).max(axis=0)
    order = np.argsort(size, kind="stable")
    for shift in range(1, 4):  # equal values have equal sizes
        a, b = values[:, order[:-shift]], values[:, order[shift:]]
        same = np.abs(a - b).max(axis=0) <= 1e-10 * size[order[shift:]]
        assert same.sum() <= 1e-4 * len(order)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), p=st.integers(1, 3))
def test__formulas__trees__evaluate_to_the_stored_values(seed, p):
    """On the probe rows and, as asked for later, on any others."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, p)) * 10.0 ** rng.integers(-2, 3)
    formulas = enumerated(X, 4)
    on_rows = formulas.values_on(X, len(formulas))
    some = np.sort(rng.permutation(len(formulas))[:40])
    np.testing.assert_array_equal(formulas.values_at(X, some), on_rows[:, some])
    for i in some:
        tree = formulas[int(i)]
        np.testing.assert_array_equal(on_rows[:, i], evaluate(tree, X))
        assert tree.is_valid()
        assert tree.size in range(1, 5)


@pytest.mark.parametrize("size", [2, 3, 4])
def test__formulas__positions_by_size__are_the_trees_sizes(size):
    """Shorter ones come first."""
    formulas = enumerated(X2, 4)
    assert {formulas[i].size for i in formulas.of_size(size)} == {size}
    assert formulas.up_to(size) == formulas.of_size(size).stop
    assert all(formulas.rarity(("add",))[i] >= size for i in formulas.of_size(size))


def test__formulas__no_room_for_the_next_size__stay_as_they_are():
    """Either all formulas of a size are there or none; 76 bytes each, and their keys."""
    formulas = enumerated(X2, 3, capacity=3000)
    before = len(formulas)
    assert not formulas.grow()
    assert len(formulas) == before
    assert formulas.largest == 3
    default = Enumeration(X2[:PROBES], [0, 1], capacity=1_000_000)
    held = (default._values, default._triples, default._table)
    assert sum(array.nbytes for array in held) < 120e6


def test__formulas__count_next__is_what_the_next_size_tries():
    """The bound that decides about room counts the blocks that are evaluated."""
    formulas = enumerated(X2, 4)
    tried = sum(job.end - job.begin for job in formulas.next_jobs())
    assert 0.99 * formulas.count_next() <= tried <= formulas.count_next()


def test__formulas__undefined_on_a_probe_row__are_left_out():
    """The logarithm of a column with a negative value is no formula."""
    X = X2.copy()
    X[:, 0] -= 1.5
    formulas = enumerated(X, 3)
    assert Tree.apply("log", Tree.variable(0)) not in list(formulas)
    assert Tree.apply("log", Tree.variable(1)) in list(formulas)


def test__spread_rows__a_column_of_few_values__differs_on_the_first_rows():
    """The first four rows have four values of every column if there are some."""
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.integers(0, 8, 200), rng.normal(size=200)]).astype(float)
    rows = spread_rows(X, X[:, 1] ** 2, PROBES, rng)
    assert len(set(rows)) == PROBES
    assert len(set(X[rows[:4], 0])) == 4
    assert {X[:, 1].min(), X[:, 1].max()} <= set(X[rows, 1])

"""What a formula and a node of it cost, and the weight of simplicity that follows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import LENGTH, MAX_PARSIMONY, PARSIMONY, Archive, Candidate
from equate_srbench.problem.selection import description_length, price_of_node
from equate_srbench.runtime.clock import Deadline

X = np.random.default_rng(0).uniform(1.0, 2.0, (80, 2))
a, b = Tree.variable(0), Tree.variable(1)
f = Tree.apply
PRODUCT = Tree.apply("mul", a, b)
LONG = Tree.apply("add", Tree.apply("sin", PRODUCT), Tree.apply("div", Tree.constant(0.7), b))


def archive() -> Archive:
    """An archive on eighty rows."""
    return Archive(X, X[:, 0] * X[:, 1], deadline=Deadline(60.0))


def candidate(tree: Tree, loss: float) -> Candidate:
    """A formula whose outer scale and offset are 1 and 0."""
    return Candidate(tree, tree, loss, 1.0 - loss, "edit", 0.0)


@pytest.mark.parametrize("tree", [PRODUCT, LONG])
@pytest.mark.parametrize("error", [0.5, 0.01])
def test__price_of_node__an_average_node__pays_for_itself(tree: Tree, error: float) -> None:
    """R2 that grows by the price of a node takes as many nats off the rows as the node costs."""
    n = 400.0
    price = price_of_node(tree, error, 1.0, n)
    nats = description_length(tree, 1.0, 1.0, n) / complexity(tree)
    gain = -(description_length(tree, error - 1e-6 * price, 1.0, n)
             - description_length(tree, error, 1.0, n)) / 1e-6  # fmt: skip
    assert gain == pytest.approx(nats, rel=1e-3)


def test__price_of_node__less_noise_or_more_rows__cheaper() -> None:
    """Where formulas fit well, or rows are many, a node needs to gain little."""
    noisy = price_of_node(LONG, 0.4, 1.0, 100.0)
    assert price_of_node(LONG, 0.04, 1.0, 100.0) == pytest.approx(noisy / 10.0)
    assert price_of_node(LONG, 0.4, 1.0, 1000.0) < noisy / 5.0
    assert price_of_node(LONG, 0.0, 1.0, 100.0) < 1e-15


@pytest.mark.parametrize("tree", [PRODUCT, LONG])
def test__balance__a_node_less__is_worth_its_price(tree: Tree) -> None:
    """At the candidate, the score gives the price for a node."""
    rows, price = archive(), 0.001
    rows.calibrate_parsimony(candidate(tree, 0.1), price)
    slope = rows.parsimony / LENGTH * math.exp(-tree.size / LENGTH)
    assert slope == pytest.approx(price)


def test__balance__costly_node__largest_weight() -> None:
    """The weight stays within the published sweep, so that accuracy keeps a say."""
    rows = archive()
    assert rows.parsimony == PARSIMONY
    rows.calibrate_parsimony(candidate(PRODUCT, 0.9), 0.5)
    assert rows.parsimony == MAX_PARSIMONY


def test__description_length__noise__prefers_the_law_to_the_overfit():
    """On noisy rows the law is shorter than a longer formula that fits a little better."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 3.0, (300, 3))
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.2, 300)
    law, more = (
        f("mul", a, b),
        f("add", f("mul", a, b), f("mul", Tree.constant(0.01), f("sin", Tree.variable(2)))),
    )
    judged = Archive(X, y, deadline=Deadline(10.0))
    short, long = judged.refine([law, more], "edit")
    assert long.loss < short.loss
    length = [
        description_length(k.tree, k.loss, judged.variance, judged.n_rows) for k in (short, long)
    ]
    assert length[0] < length[1]


def test__description_length__as_many_constants_as_rows__loses_to_the_law():
    """Six planets do not support five fitted constants, however well these fit."""
    law = f("cube", f("sqrt", a))
    constants = [Tree.constant(v) for v in (0.9997, 1.50013, 3.7e-4, 0.484, 2.8e-5)]
    power = f("mul", constants[0], f("pow", a, constants[1]))
    wave = f("exp", f("mul", constants[2], f("cos", f("mul", constants[3], a))))
    overfit = f("add", f("mul", power, wave), constants[4])
    assert description_length(law, 1e-9, 1.0, 6) < description_length(overfit, 1e-16, 1.0, 6)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e300])
def test__description_length__constant_out_of_range__costs_more(value):
    """A fitted divisor that ran away is a number like others, and absurd."""

    def length(c: float) -> float:
        tree = Tree.apply("mul", Tree.constant(c), Tree.variable(0))
        return description_length(tree, 1.0, 1.0, 50)

    assert length(value) > length(1.37) + 10.0

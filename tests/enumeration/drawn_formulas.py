"""Formulas drawn at random, of an exact number of nodes, and tables of them."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.mutations import WEIGHTS
from equate_srbench.expr.operators import BINARY, UNARY
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

RANGES = ((0.5, 3.0), (-2.0, 2.0), (1.0, 10.0), (0.0, 1.0), (-1.0, 5.0))
_UNARY, _BINARY = [op.name for op in UNARY], [op.name for op in BINARY]


def formula(rng: random.Random, size: int, p: int) -> Tree:
    """A formula of ``size`` nodes of columns, 1 and 2; operators never act on numbers alone."""
    if size == 1:
        if rng.random() < 0.8:
            return Tree.variable(rng.randrange(p))
        return Tree.constant(rng.choice((1.0, 2.0)))
    while True:
        if size == 2 or rng.random() < 0.45:
            args = [formula(rng, size - 1, p)]
            name = rng.choices(_UNARY, [WEIGHTS[n] + 0.2 for n in _UNARY])[0]
        else:
            first = rng.randrange(1, size - 1)
            args = [formula(rng, first, p), formula(rng, size - 1 - first, p)]
            name = rng.choices(_BINARY, [WEIGHTS[n] for n in _BINARY])[0]
        if any(arg.columns for arg in args):
            return Tree.apply(name, *args)


def law(rng: random.Random, kind: str, p: int) -> Tree:
    """A formula of up to 7 nodes (``small``), or two of 3 or 4 nodes as a product, ratio, ..."""
    if kind == "small":
        return formula(rng, rng.randint(2, 7), p)
    u, v = (formula(rng, rng.randint(3, 4), p) for _ in range(2))
    if kind in ("mul", "div"):
        return Tree.apply(kind, u, v)
    if kind == "sum":
        return Tree.apply("add", u, Tree.apply("mul", Tree.constant(rng.uniform(0.3, 3.0)), v))
    assert kind == "factor"
    return Tree.apply("mul", u, Tree.apply("add", Tree.constant(rng.uniform(0.3, 3.0)), v))


def table(rng: random.Random, kind: str, p: int, n: int = 300) -> tuple[Tree, Array, Array]:
    """A law of ``p`` columns that is defined and varies on its rows; with scale and offset."""
    while True:
        tree = law(rng, kind, p)
        X = np.random.default_rng(rng.randrange(2**32)).uniform(*rng.choice(RANGES), (n, p))
        values = evaluate(tree, X)
        size = np.abs(values).max()
        varies = size < 1e6 and np.ptp(values) > 1e-3 * size  # not for NaN
        if varies and len(tree.columns) == p:
            scale = rng.choice((1.0, -1.0)) * rng.uniform(0.3, 5.0)
            return tree, X, scale * values + rng.uniform(-5.0, 5.0)

"""Compiled reproduction: what comes out is valid, within bounds, and new."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.edits.population import Population
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.operators import CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.programs import Programs
from equate_srbench.refine.refiner import Refiner

SEEDS = st.integers(0, 2**63 - 1)


def population(seed: int = 0, columns: tuple[int, ...] = (0, 2), largest: int = 24) -> Population:
    """An empty population."""
    return Population(list(columns), largest=largest, capacity=4, seed=seed, floor=1e-20)


def trees(programs: Programs) -> list[Tree]:
    """All programs as trees."""
    return [programs.tree(i) for i in range(len(programs))]


def tidied(tree: Tree) -> Tree | None:
    """The normal form of a tree; None if nothing is left but a constant."""
    found = trees(population(columns=(0, 1, 2), largest=60).breed(Programs([tree]), 0))
    return found[0] if found else None


def evolved(seed: int, rounds: int = 3, limit: int = 24) -> tuple[Population, list[Tree]]:
    """A population after some rounds, and all its children."""
    rng = np.random.default_rng(seed % 1000)
    X = rng.uniform(0.5, 3.0, (40, 3))
    refiner = Refiner(X, np.sin(X[:, 0]) * X[:, 2] + 0.1 * rng.normal(size=40))
    found, children = population(seed), []
    found.limit = limit
    for _ in range(rounds):
        batch = found.breed(Programs([]), 150)
        children += trees(batch)
        found.settle(refiner.fit(batch, max_steps=3))
    return found, children


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, limit=st.integers(3, 24))
def test__breed__any_seed__children_are_valid_and_within_the_limit(seed, limit):
    """Prefix code is complete, constants are in step, columns and sizes are allowed."""
    _, children = evolved(seed, limit=limit)
    assert len(children) > 10
    for child in children:
        assert child.is_valid()
        assert child.size <= limit
        assert set(child.columns) <= {0, 2}
        assert np.isfinite(child.constants).all()


def test__breed__same_seed__same_children():
    """All draws come from the seed."""
    assert evolved(5)[1] == evolved(5)[1]
    assert evolved(5)[1] != evolved(6)[1]


def test__breed__formula_seen_before__is_left_out():
    """A formula is tried once."""
    found = population()
    x = Programs([Tree.apply("sin", Tree.variable(0))])
    assert [len(found.breed(x, 0)) for _ in range(2)] == [1, 0]


def shuffled(tree: Tree, rng: random.Random) -> Tree:
    """The same tree with the terms and factors of its sums and products in another order."""
    args = [shuffled(a, rng) for a in tree.args()]
    if tree.symbols[0] in (1, 3) and rng.random() < 0.5:  # add, mul
        args.reverse()
    symbols, constants = tree.symbols[:1], ()
    for arg in args:
        symbols, constants = symbols + arg.symbols, constants + arg.constants
    return Tree(symbols, constants) if args else tree


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__breed__terms_and_factors_in_another_order__is_the_same_formula(seed):
    """The hash does not depend on the order of commutative arguments."""
    rng = random.Random(seed)
    tree = Mutator([0, 2], rng).tree(4)
    while tree.constants or tree.size > 24:
        tree = Mutator([0, 2], rng).tree(4)
    other = shuffled(tree, rng)
    if any(
        form is None or form.constants or form.size < tree.size
        for form in (tidied(tree), tidied(other))
    ):  # something cancels, and that is not looked for
        return  # in every order
    assert len(population(largest=40).breed(Programs([tree, other]), 0)) == 1


def test__breed__sums_nested_differently__are_one_formula():
    """``(a + b) + c`` and ``a + (c + b)``."""
    a, b, c = (Tree.apply(name, Tree.variable(0)) for name in ("sin", "exp", "log"))
    left = Tree.apply("add", Tree.apply("add", a, b), c)
    right = Tree.apply("add", a, Tree.apply("add", c, b))
    assert len(population().breed(Programs([left, right]), 0)) == 1


@pytest.mark.parametrize(("name", "other"), [("sub", "div"), ("add", "mul"), ("pow", "div")])
def test__breed__other_operator_or_order__is_another_formula(name, other):
    """What differs is tried."""
    x, z = Tree.variable(0), Tree.apply("sin", Tree.variable(2))
    different = [Tree.apply(name, x, z), Tree.apply(other, x, z)]
    if name not in ("add", "mul"):
        different.append(Tree.apply(name, z, x))
    assert len(population().breed(Programs(different), 0)) == len(different)


def has_constant_part(tree: Tree, X: np.ndarray) -> bool:
    """Whether an operator has the same value on all rows, as ``x - x`` has."""
    parts = [evaluate(tree.subtree(i), X) for i in range(tree.size) if tree.symbols[i] != CONSTANT]
    return any((values == values[0]).all() or np.isnan(values).all() for values in parts)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__tidy__any_formula__equal_but_for_scale_and_offset_and_not_longer(seed):
    """Constant factors and terms move and merge; what is left spans the same formulas."""
    tree = Mutator([0, 1, 2], random.Random(seed)).tree(5)
    found = tidied(tree) if tree.size <= 60 else None
    X = np.random.default_rng(seed).uniform(0.5, 3.0, (80, 3))
    if found is None or has_constant_part(tree, X):
        return
    assert found.size <= tree.size
    old, new = evaluate(tree, X), evaluate(found, X)
    both = np.isfinite(old) & np.isfinite(new)
    old, new = old[both], new[both]
    size = max(np.abs(old).max(initial=0.0), np.abs(new).max(initial=0.0))
    if len(old) < 20 or size > 1e4 or np.ptp(new) < 1e-3 * size:
        return
    design = np.stack([new, np.ones_like(new)], axis=1)
    fit = design @ np.linalg.lstsq(design, old, rcond=None)[0]
    np.testing.assert_allclose(fit, old, atol=1e-7 * size)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add 2 mul 3 x", "x"),
        ("mul mul 2 x z", "mul x z"),
        ("add sin mul 2 mul 3 x z", "add sin mul 6 x z"),
        ("square sqrt x", "x"),
        ("exp log sin x", "sin x"),
        ("mul x x", "square x"),
        ("div 2 x", "inv x"),
        ("mul x inv z", "div x z"),
        ("sin sub x 3", "sin add -3 x"),
        ("sin sub sub x z sub x z", None),
    ],
)
def test__tidy__redundant_constants_and_operators__are_gone(text, expected):
    """Examples that can be read."""
    symbols = {"add": 1, "sub": 2, "mul": 3, "div": 4, "inv": 7, "sqrt": 8, "square": 9, "exp": 11,
               "log": 12, "sin": 13, "x": 64, "z": 66}  # fmt: skip

    def read(words: str) -> Tree:
        parts = words.split()
        numbers = [float(w) for w in parts if w not in symbols]
        return Tree([symbols.get(w, CONSTANT) for w in parts], numbers)

    assert tidied(read(text)) == (None if expected is None else read(expected))

"""The promises of ``rewrite`` on trees of up to 40 nodes with constants of every size."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_CODE, CONSTANT, UNARY, VARIABLE
from equate_srbench.expr.text.printing import to_text
from equate_srbench.expr.tree import Tree

NAMES = ["a", "b", "c"]
CONSTANTS = (0.0, 1.0, -1.0, 2.0, 0.5, -2.0, -0.5, 3.0, -0.7, 1e-300, 1e300)
EXPONENTS = (1.5, -2.0, 2.5, -0.5, 4.0, 0.25, 2.0)


def draw(rng: Random, n: int) -> Tree:
    """A random tree of about ``n`` nodes."""
    if n == 1:
        if rng.random() < 0.35:
            plain = rng.random() < 0.5
            value = rng.choice(CONSTANTS) if plain else round(rng.gauss(0, 3), rng.choice((1, 15)))
            return Tree.constant(value)
        return Tree.variable(rng.randrange(3))
    if n == 2 or rng.random() < 0.3:
        return Tree.apply(rng.choice(UNARY).name, draw(rng, n - 1))
    name = rng.choices(("add", "sub", "mul", "div", "pow"), (4, 3, 4, 2, 0.5))[0]
    if name == "pow" and rng.random() < 0.7:
        return Tree.apply(name, draw(rng, n - 2), Tree.constant(rng.choice(EXPONENTS)))
    k = rng.randint(1, n - 2)
    return Tree.apply(name, draw(rng, k), draw(rng, n - 1 - k))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Positive rows, rows of mixed sign, and rows of small whole numbers with zeros."""
    rng = np.random.default_rng(3)
    parts = rng.uniform(0.2, 3.0, (30, 3)), rng.uniform(-3.0, 3.0, (40, 3))
    return np.concatenate([*parts, rng.integers(-2, 3, (20, 3)).astype(float)])


def run(tree: Tree, X: np.ndarray, rng: np.random.Generator | None = None) -> list[np.ndarray]:
    """Values of all parts, the whole last; with a generator, every part rounded at random."""
    stack: list[np.ndarray] = []
    parts = []
    place = len(tree.constants)
    with np.errstate(all="ignore"):
        for symbol in reversed(tree.symbols):
            if symbol == CONSTANT:
                place -= 1
                value = np.full(len(X), tree.constants[place])
            elif symbol >= VARIABLE:
                value = X[:, symbol - VARIABLE]
            else:
                op = BY_CODE[symbol]
                value = op.array(np, *(stack.pop() for _ in range(op.arity)))
            if rng is not None:
                value = value * (1.0 + 2e-16 * rng.normal(size=len(X))) + 1e-17
            stack.append(value)
            parts.append(value)
    return parts


def check(tree: Tree, X: np.ndarray) -> None:
    """All promises on one tree."""
    text = to_text(tree, NAMES)
    new = rewrite(tree)
    assert new.is_valid()
    assert rewrite(new) == new, text
    assert complexity(new) <= complexity(tree), text
    parts = np.array(run(tree, X))
    sizes, a, b = np.abs(parts), parts[-1], evaluate(new, X)
    # cos(arccos(0)) is 6e-17 only by rounding: what is as small counts as 0
    visible = (sizes > 1e-13) | (sizes == 0.0) | (parts == parts[:, :1]).all(axis=1)[:, None]
    sound = (np.isfinite(parts) & (sizes < 1e100) & visible).all(axis=0)
    # a formula that amplifies rounding may round otherwise
    rng = np.random.default_rng(0)
    moved = np.array([run(tree, X, rng)[-1] for _ in range(4)])
    with np.errstate(all="ignore"):
        noise = np.abs(moved - a).max(axis=0)
        sound &= np.isfinite(noise)
        allowed = 1e-9 * np.maximum(sizes.max(axis=0), 1.0) + 1e3 * noise
        assert np.isfinite(b[sound]).all(), text
        assert (np.abs(a - b)[sound] <= allowed[sound]).all(), text


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
def test__rewrite__any_tree__equal_settled_not_longer(seed, n, rows):
    """Values, size and idempotence, and finite wherever the formula is."""
    check(draw(Random(seed), n), rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test__rewrite__ten_thousand_trees__equal_settled_not_longer(seed, rows):
    """The same for 10,000 trees."""
    rng = Random(seed)
    for _ in range(2_000):
        check(draw(rng, rng.randint(1, 40)), rows)


def test__rewrite__same_tree__same_result():
    """Nothing depends on what was rewritten before."""
    rng = Random(4)
    trees = [draw(rng, rng.randint(1, 40)) for _ in range(40)]
    forward = [rewrite(tree) for tree in trees]
    assert [rewrite(tree) for tree in reversed(trees)] == forward[::-1]


def test__complexity__roots_of_negative_constants__counted():
    """Constants without a value once made the count recurse without end."""
    negative = Tree.apply("sqrt", Tree.apply("mul", Tree.constant(-2.0), Tree.constant(2.0)))
    tree = Tree.apply("exp", Tree.apply("mul", Tree.apply("log", Tree.variable(0)), negative))
    for _ in range(3):
        tree = Tree.apply("pow", Tree.apply("mul", tree, negative), Tree.constant(1.5))
    assert complexity(tree) >= 3

"""Immutable trees: structure, edits, canonical order."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

X0, X1, TWO = Tree.variable(0), Tree.variable(1), Tree.constant(2.0)
SEEDS = st.integers(0, 2**32 - 1)


def test__apply__prefix_order():
    """Symbols and constants follow prefix order."""
    tree = Tree.apply("sub", Tree.apply("mul", TWO, X0), Tree.apply("sin", Tree.constant(3.0)))
    codes = [BY_NAME[name].code for name in ("sub", "mul", "sin")]
    assert tree.symbols == (codes[0], codes[1], CONSTANT, VARIABLE, codes[2], CONSTANT)
    assert tree.constants == (2.0, 3.0)
    assert tree.size == 6
    assert tree.depth == 3
    assert tree.columns == (0,)


def test__apply__wrong_number_of_arguments__names_both_numbers():
    """The error carries the wanted and the given number."""
    with pytest.raises(ValueError, match="sin takes 1 arguments, got 2"):
        Tree.apply("sin", X0, X1)


def test__apply__unknown_operator__key_error():
    """Names come from the operator table only."""
    with pytest.raises(KeyError):
        Tree.apply("sinh", X0)


@given(seed=SEEDS)
def test__subtree_and_replace__any_node__inverse_of_each_other(seed, random_tree):
    """Putting a subtree back changes nothing; putting another in keeps the tree valid."""
    rng = np.random.default_rng(seed)
    tree, other = random_tree(rng), random_tree(rng, depth=2)
    i = int(rng.integers(tree.size))
    assert tree.subtree(i).is_valid()
    assert tree.replace(i, tree.subtree(i)) == tree
    replaced = tree.replace(i, other)
    assert replaced.is_valid()
    assert replaced.subtree(i) == other


@given(seed=SEEDS)
def test__args__join_again(seed, random_tree):
    """A tree is its root applied to its arguments."""
    tree = random_tree(np.random.default_rng(seed))
    args = tree.args()
    assert tree.size == 1 + sum(arg.size for arg in args)
    if args:
        assert tree.depth == 1 + max(arg.depth for arg in args)


@given(seed=SEEDS)
def test__canonical__shuffled_commutative_arguments__same_tree(seed, random_tree):
    """The order of terms and factors does not matter to the canonical form."""
    rng = np.random.default_rng(seed)
    tree = random_tree(rng)

    def shuffled(t: Tree) -> Tree:
        args = [shuffled(arg) for arg in t.args()]
        if not args:
            return t
        name = next(n for n, op in BY_NAME.items() if op.code == t.symbols[0])
        if BY_NAME[name].commutative and rng.random() < 0.5:
            args.reverse()
        return Tree.apply(name, *args)

    assert shuffled(tree).canonical() == tree.canonical()
    assert tree.canonical().canonical() == tree.canonical()


def test__canonical__chains__values_kept(table, random_tree):
    """Reordering changes values by rounding only."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        tree = random_tree(rng, depth=4)
        a, b = evaluate(tree, table), evaluate(tree.canonical(), table)
        both = np.isfinite(a) & np.isfinite(b)
        np.testing.assert_allclose(a[both], b[both], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("symbols", "constants"),
    [((), ()), ((1,), ()), ((8,), ()), ((64, 64), ()), ((0,), ()), ((64,), (1.0,)), ((63, 64), ()),
     ((-1,), ()), ((1, 64), ()), ((1, 64, 64, 64), ())],
)  # fmt: skip
def test__is_valid__broken__false(symbols, constants):
    """Missing or spare arguments, unknown codes and unmatched constants are noticed."""
    assert not Tree(symbols, constants).is_valid()


def test__with_constants__wrong_number__error():
    """Both numbers are in the message."""
    with pytest.raises(ValueError, match="2 constants for 1 places"):
        TWO.with_constants([1.0, 2.0])


@given(seed=SEEDS)
def test__equality_hash_pickle__agree(seed, random_tree):
    """Equal trees hash alike and survive pickling."""
    tree = random_tree(np.random.default_rng(seed))
    again = pickle.loads(pickle.dumps(tree))  # noqa: S301 - our own bytes
    assert again == tree
    assert hash(again) == hash(tree)
    assert tree != Tree.apply("abs", tree)
    assert tree != "tree"

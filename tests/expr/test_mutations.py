"""Random formulas and random edits."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.mutations import Mutator


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6))
def test__mutator_edit__any_tree__gives_a_valid_tree_within_the_limit(seed):
    """Edits keep the prefix code complete, the constants in step and the size bounded."""
    rng = random.Random(seed)
    mutator = Mutator([0, 2], rng, max_size=20)
    tree, other = mutator.tree(4), mutator.tree(3)
    for _ in range(10):
        new = mutator.edit(tree, other)
        assert new.is_valid()
        assert new.size <= 20
        assert set(new.columns) <= {0, 2}
        tree = new


def test__mutator__same_seed__same_trees():
    """All draws come from the generator that was passed in."""
    one, two = (Mutator([0, 1], random.Random(5)) for _ in range(2))
    assert [one.tree(4) for _ in range(50)] == [two.tree(4) for _ in range(50)]

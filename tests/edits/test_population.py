"""The best formulas of every size are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.edits.population import NEAR, Population
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.programs import Programs
from equate_srbench.refine.refiner import Refined

CHAIN = ("sin", "exp", "tanh")


def tree(size: int, which: int) -> Tree:
    """A formula with this number of nodes; ``which`` is in its constant."""
    out = Tree.apply("mul", Tree.constant(float(which)), Tree.variable(0))
    for i in range(size - 3):
        out = Tree.apply(CHAIN[i % 3], out)
    return out


def fitted(sizes: list[int], errors: list[float]) -> Refined:
    """Formulas with given errors."""
    error = np.array(errors)
    programs = Programs([tree(s, i) for i, s in enumerate(sizes)])
    return Refined(programs, error, error, np.arange(len(error)) + 1.0, np.zeros(len(error)))


def empty(capacity: int = 3) -> Population:
    """A population without formulas."""
    return Population([0], largest=10, capacity=capacity, seed=0, floor=1e-20)


offers = st.lists(
    st.tuples(st.integers(3, 10), st.floats(1e-12, 1.0) | st.just(float("inf"))), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(rounds=st.lists(offers, min_size=1, max_size=4))
def test__settle__any_offers__the_front_is_never_lost(rounds):
    """No formula that was offered is better than all of its size and smaller that are held."""
    population, seen = empty(), []
    for offer in rounds:
        population.settle(fitted([s for s, _ in offer], [e for _, e in offer]))
        seen += offer
        for size, error in seen:
            held = population.error[: size + 1].min()
            assert held <= error * (1.0 + NEAR) / (1.0 - NEAR)
        for size in range(11):
            row, n = population.error[size], population.held[size]
            assert (np.diff(row[:n]) > 0.0).all()
            assert np.isfinite(row[:n]).all()
            assert np.isinf(row[n:]).all()


def test__settle__formula__comes_back_with_constants_scale_and_size():
    """What is held is the whole formula."""
    population = empty()
    population.settle(fitted([5, 3, 5], [0.5, 0.9, 0.2]))
    assert population.program(5, 0).tree(0) == tree(5, 2)
    assert population.program(5, 1).tree(0) == tree(5, 0)
    assert population.scale[5, :2].tolist() == [3.0, 1.0]
    assert population.front().tolist() == [3, 5]


def test__settle__as_good_as_a_shorter_one__is_not_kept():
    """A negligible term more is no other formula."""
    population = empty()
    population.settle(fitted([4, 6, 8], [0.5, 0.5 * (1.0 - 0.5 * NEAR), 0.4]))
    assert population.held[[4, 6, 8]].tolist() == [1, 0, 1]


def test__settle__alike_in_error__one_of_them():
    """The best of those that differ by rounding."""
    population = empty()
    population.settle(fitted([5, 5, 5], [0.3, 0.3 * (1.0 - 0.5 * NEAR), 0.3 * (1.0 + 2.0 * NEAR)]))
    np.testing.assert_allclose(population.error[5, :2], [0.3 * 0.9975, 0.303], rtol=1e-3)


def test__bounds__size_is_full__its_worst():
    """A size with free places takes anything."""
    population = empty(capacity=2)
    population.settle(fitted([5, 5, 5, 6], [0.4, 0.2, 0.3, 0.1]))
    assert population.bounds()[5] == 0.3
    assert np.isinf(population.bounds()[6])


def test__bounds__many_alike__no_room_for_worse():
    """Where all fit alike a size never fills; after some tries only better ones are fitted."""
    population = empty()
    for _ in range(61):
        population.settle(fitted([5], [0.9]))
    assert population.held[5] == 1
    assert population.bounds()[5] == 0.9

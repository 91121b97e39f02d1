"""The sieve lets every target pass, and little else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.enumeration.formulas import Enumeration
from equate_srbench.enumeration.sieve import Sieve, ratios


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
    negative=st.booleans(),
)
def test__sieve__a_target_with_other_scale_and_offset__passes(seed, scale, offset, negative):
    """With the bit of that target set."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(5, 4))
    sieve = Sieve(targets, np.zeros(5))
    block = np.ascontiguousarray(targets.T) * (-scale if negative else scale) + scale * offset
    at, bits = sieve.passed(block)
    assert at.tolist() == list(range(5))
    assert all(bit >> t & 1 for t, bit in enumerate(bits.tolist()))


def test__sieve__random_formulas__are_stopped():
    """One in a million of a million passes for each of thirty targets."""
    rng = np.random.default_rng(0)
    sieve = Sieve(rng.normal(size=(30, 4)), np.zeros(30))
    passed = sum(len(sieve.passed(rng.normal(size=(4, 8192)))[0]) for _ in range(20))
    assert passed < 20 * 8192 * 30 * 1e-5


def test__sieve__a_rounded_target__lets_its_formula_pass():
    """The errors of the values widen the cells."""
    rng = np.random.default_rng(1)
    values = rng.uniform(0.0, 10.0, (4, 200))
    rounded = np.round(values, 5)
    for v in range(0, 200, 40):
        some = slice(v, v + 40)
        sieve = Sieve(rounded[:, some].T, np.full(40, 0.000005))
        at, bits = sieve.passed(np.ascontiguousarray(values[:, some]))
        assert at.tolist() == list(range(40))
        assert all(bit >> t & 1 for t, bit in enumerate(bits.tolist()))
    assert not Sieve(np.round(values[:, :40]).T, np.full(40, 0.5)).is_complete
    assert Sieve(values[:, :40].T, np.full(40, 1e-9)).is_complete


def test__sieve__undefined_and_constant_formulas__do_not_pass():
    """NaN, inf and constants have no ratios."""
    sieve = Sieve(np.array([[0.0, 1.0, 2.0, 5.0]]), np.zeros(1))
    block = np.array([[0.0, 1.0, 2.0, 5.0], [np.nan] * 4, [np.inf] * 4, [3.0] * 4, [1e300] * 4]).T
    at, _ = sieve.passed(np.ascontiguousarray(block))
    assert at.tolist() == [0]
    assert np.isnan(ratios(np.full((4, 1), 2.0))).all()


def test__sieve_of_jobs__formulas_of_the_next_size__are_found_with_their_arguments():
    """What passes of the blocks names the formula that it is."""
    X = np.random.default_rng(2).uniform(0.5, 3.0, (8, 2))
    formulas = Enumeration(X, [0, 1])
    while formulas.largest < 4:
        formulas.grow()
    wanted = 3.0 - 2.0 * np.sin(X[:, 0] * X[:, 1]) / X[:, 1]  # 6 nodes, 5 of them below
    formulas.grow()
    passed = Sieve(wanted[None, :4], np.zeros(1)).of_jobs(formulas, formulas.next_jobs(once=True))
    assert passed
    values = [
        p.op.array(np, *(formulas.values[:, at] for at in (p.first, p.second)[: p.op.arity]))
        for p in passed
    ]
    correlations = [np.corrcoef(v.T, wanted)[-1, :-1] for v in values]
    assert max(np.abs(c).max() for c in correlations) > 1.0 - 1e-12

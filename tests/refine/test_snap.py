"""Simple numbers in place of fitted ones."""

import numpy as np
import pytest

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text
from equate_srbench.refine.one_formula import fit_constants
from equate_srbench.refine.snap import snap
from equate_srbench.runtime.clock import Deadline

NAMES = ["a", "b", "c"]
ROWS = np.random.default_rng(0).uniform(0.5, 3.0, (200, 3))


def disturbed(text, size, seed=0):
    """The formula with its constants off by ``size`` relative, and its true values."""
    tree = parse(text, NAMES)
    shift = np.random.default_rng(seed).normal(size=len(tree.constants))
    constants = [c * (1.0 + size * s) for c, s in zip(tree.constants, shift, strict=True)]
    return tree.with_constants(constants), evaluate(tree, ROWS)


@pytest.mark.parametrize(
    "text",
    ["2*a - 3*b", "a/3 + 0.75*b", "sin(6.283185307179586*a)", "1.4142135623730951*a*b",
     "0.3989422804014327*exp(-0.5*a**2)", "a**1.5*b", "4.1887902047863905*a**3",
     "0.3333333333333333*a + 0.1", "9.869604401089358*a/b", "0.5*a + 2.718281828459045*b"],
)  # fmt: skip
def test__snap__exact_data__simple_numbers_found(text):
    """A fit that is right to 1e-8 ends with the very numbers of the law."""
    start, y = disturbed(text, 1e-8)
    snapped = snap(start, ROWS, y)
    assert mean_square(snapped, ROWS, y) <= 1e-24 * y.var()
    assert snapped == rewrite(parse(text, NAMES))


@pytest.mark.parametrize("text", ["9.81*a + b", "6.674*a*b/c**2", "0.123456789*a", "3.14159*a"])
def test__snap__exact_data__measured_constants_kept(text):
    """Numbers that are not simple are left alone when the data say so."""
    tree = parse(text, NAMES)
    snapped = snap(tree, ROWS, evaluate(tree, ROWS))
    np.testing.assert_array_equal(evaluate(snapped, ROWS), evaluate(tree, ROWS))


def test__snap__noise__margin_decides():
    """With a margin a fit under noise gets its round numbers, without it keeps the fitted ones."""
    rng = np.random.default_rng(3)
    tree = parse("2*a + 0.5*b", NAMES)
    y = evaluate(tree, ROWS) + 0.02 * rng.normal(size=200)
    fitted = fit_constants(tree, ROWS, y).tree
    assert to_text(snap(fitted, ROWS, y, margin=2 * 3 / 200, reach=0.03), NAMES) == "2*a + 0.5*b"
    kept = snap(fitted, ROWS, y, margin=1e-12)
    assert mean_square(kept, ROWS, y) <= mean_square(fitted, ROWS, y) * (1.0 + 1e-9)


def test__snap__useless_terms__dropped():
    """Zero is tried, and the term disappears."""
    start = parse("2*a + 1e-14*b", NAMES)
    assert to_text(snap(start, ROWS, 2.0 * ROWS[:, 0]), NAMES) == "2*a"


def test__snap__factor_one_and_square__disappear():
    """Constants that become 1 or 2 in the right place become structure."""
    start = parse("1.0000000001*a**1.9999999999 + 0*b", NAMES)
    assert to_text(snap(start, ROWS, ROWS[:, 0] ** 2), NAMES) == "a**2"


def test__snap__refit_callable__used_with_held_places():
    """The caller's solver sees the positions that must stay."""
    start, y = disturbed("2*exp(0.5*a) + b", 1e-9)
    seen = []

    def refit(tree, held):
        seen.append(set(held))
        return fit_constants(tree, ROWS, y, held=held).tree

    snapped = snap(start, ROWS, y, refit=refit)
    assert to_text(snapped, NAMES) == "2*exp(0.5*a) + b"
    assert all(held for held in seen)


def test__snap__weights__rows_of_weight_zero_ignored():
    """An outlier without weight does not keep a constant from snapping."""
    start, y = disturbed("2*a - 3*b", 1e-9)
    y = y.copy()
    y[0] += 100.0
    weights = np.ones(200)
    weights[0] = 0.0
    assert to_text(snap(start, ROWS, y, weights), NAMES) == "2*a - 3*b"


def test__snap__deadline_over__only_rewritten():
    """No time, no moves."""
    start, y = disturbed("2*a - 3*b", 1e-9)
    assert snap(start, ROWS, y, deadline=Deadline(0.0)).constants == start.constants

"""Simplification that is believed only when the numbers agree."""

import time

import numpy as np
import pytest

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.sympy.client import SympyWorker
from equate_srbench.expr.sympy.simplify import equal_values, simplify
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text
from equate_srbench.expr.tree import Tree

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def worker():
    """One ready worker for the module."""
    worker = SympyWorker()
    worker.forms(parse("a*b + a", NAMES), 60.0)
    yield worker
    worker.close()


@pytest.mark.parametrize(
    ("text", "short"),
    [("sin(a)**2 + cos(a)**2", "1"), ("(a**2 - b**2)/(a - b)", "a + b"), ("a*b/b + 0", "a"),
     ("sqrt(a**2 + 2*a*b + b**2)", "Abs(a + b)"), ("(a + b)**2 - 2*a*b", "a**2 + b**2")],
)  # fmt: skip
def test__simplify__identity__short_form(text, short, worker, table):
    """Textbook identities come out."""
    found = simplify(parse(text, NAMES), table, time_limit=20.0, worker=worker)
    assert to_text(found, NAMES) == short


def _wrong(n, seed, worker, table, random_tree):
    """Number of ``n`` random formulas whose simplified form differs on fresh points."""
    rng = np.random.default_rng(seed)
    X = table[:40]
    fresh = np.random.default_rng(seed + 1).uniform(X.min(axis=0), X.max(axis=0), (300, 3))
    wrong = 0
    for _ in range(n):
        tree = random_tree(rng)
        start = time.monotonic()
        short = simplify(tree, X, time_limit=0.2, worker=worker)
        assert time.monotonic() - start < 15.0  # some would take minutes
        assert complexity(short) <= complexity(tree)
        a, b = evaluate(tree, fresh), evaluate(short, fresh)
        shifted = evaluate(tree, fresh * (1.0 + 2e-16))  # what rounding alone does to the formula
        defined = np.isfinite(a) & np.isfinite(shifted)
        with np.errstate(all="ignore"):
            allowed = 1e-9 * np.abs(a) + 1e3 * np.abs(a - shifted) + 1e-9
            wrong += bool((np.abs(a - b) > allowed)[defined].any())
    return wrong


def test__simplify__random_formulas__none_wrong(worker, table, random_tree):
    """The result agrees on points that neither the check nor the caller has seen."""
    assert _wrong(60, 0, worker, table, random_tree) == 0


@pytest.mark.slow
def test__simplify__two_thousand_formulas__none_wrong(worker, table, random_tree):
    """The same for 2000."""
    assert _wrong(2000, 1, worker, table, random_tree) == 0


class Lying:
    """A worker that answers with something else."""

    def __init__(self, *trees):
        self.trees = list(trees)

    def forms(self, tree, seconds):
        """The prepared answers."""
        return self.trees


@pytest.mark.parametrize("lie", ["a", "a*b*c + 1e-7", "1", "log(a*b*c)"])
def test__simplify__wrong_form__refused(lie, table):
    """Shorter is not enough."""
    tree = parse("a*b*c + a - a*1.0000000000001", NAMES)
    found = simplify(
        tree, table, worker=Lying(parse(lie, NAMES), Tree((1, 64)), Tree((0,), (np.nan,)))
    )
    np.testing.assert_allclose(evaluate(found, table), evaluate(tree, table), rtol=1e-9)


def test__simplify__no_time__own_rules_only(table):
    """Without time no process is asked."""
    worker = SympyWorker()
    found = simplify(parse("a + a + b - b", NAMES), table, time_limit=0.0, worker=worker)
    assert to_text(found, NAMES) == "2*a"
    assert worker.pid is None


def test__simplify__undefined_everywhere__unchanged(table):
    """Nothing can be checked, so nothing is changed."""
    tree = parse("log(-a**2 - 1) + a - a", NAMES)
    assert simplify(tree, table, time_limit=0.0) == tree


def test__equal_values__rules():
    """NaN in the second only is a difference, NaN in the first is not."""
    a = np.array([1.0, np.nan, 3.0])
    assert equal_values(a, np.array([1.0 + 1e-12, 5.0, 3.0]))
    assert not equal_values(a, np.array([1.0, 5.0, np.nan]))
    assert not equal_values(a, np.array([1.0 + 1e-6, 5.0, 3.0]))
    assert not equal_values(np.array([np.nan]), np.array([np.nan]))

"""A law is recovered in any spelling, an approximation is not."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from equate_srbench.bench import protocol
from equate_srbench.bench.recovery import Law, Recovery, judge
from equate_srbench.bench.suites.drawing import Range
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import Task
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.normal import from_tree, to_tree
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

SHARED = Path(__file__).parents[3] / "shared"
RANGES = {"x": Range(1.0, 3.0), "y": Range(-2.0, 2.0)}
SUITES = ["feynman", "strogatz", "srsd", "srsd_dummy", "fastsrb", "classic"]
#: Steps by which formulas grow.
WORDS = ("sin({})", "exp({}/3)", "({})**2", "sqrt(abs({}) + 1)", "{} + x*y", "({})*y", "x/(2 + {})")
YES, LONG, NO = Recovery(True, True), Recovery(True, False), Recovery(False, False)


def laws(suite: str) -> list[tuple[str, str, Law]]:
    """Set, truth and law of a suite."""
    sets = load_suite(suite)
    found = []
    for name in sets.datasets:
        rows = protocol.split(Task(suite, name, "e2e"), sets.load(name, max_rows=200))
        found.append((name, rows.truth, rows.law))
    return found


@pytest.mark.parametrize("suite", SUITES)
def test__judge__every_law__recovers_itself_and_another_does_not(suite):
    """Each law as written and as printed, but never with a thousandth more."""
    for name, truth, law in laws(suite):
        tree = parse(truth, list(law.ranges))
        names = list(law.ranges)
        assert judge(truth, law) == YES, name
        assert judge(to_text(tree, names), law) == YES, name
        assert judge(f"1.001*({truth})", law).recovered is _zero(tree, law), name


def _zero(tree, law) -> bool:
    """Whether rounding makes a law 0 on most rows, so that nothing can be told from it."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([one.draw_wider(400, rng) for one in law.ranges.values()])
    return float(np.mean(evaluate(tree, rows) == 0.0)) > 0.95


@pytest.mark.parametrize(
    "spelling",
    [
        "x**2*(1 + y) - sin(x)",
        "x*x + y*x**2 - sin(x)",
        "(x - 0)**2*(y + 1.0) - cos(x - pi/2)",
        "exp(2*log(x))*(1 + y) - sin(x)",
        "x**3*(y**2 - 1)/(x*(y - 1)) - sin(x)",
    ],
)
def test__judge__equivalent_spellings__recovered(spelling):
    """Algebra changes neither the values nor the verdict."""
    assert judge(spelling, Law("x**2*(1 + y) - sin(x)", RANGES)).recovered is True


def test__judge__drawn_trees__normal_form_recovers_them(rng):
    """100 random formulas are recovered by their own normal form."""
    tried = 0
    for _ in range(100):
        text = "x"
        for word in rng.choice(WORDS, rng.integers(1, 5)):
            text = str(word).format(text)
        tree = parse(text, ["x", "y"])
        other = to_text(to_tree(from_tree(tree)), ["x", "y"])
        assert judge(other, Law(text, RANGES)).recovered is True, (text, other)
        tried += other != text
    assert tried > 20


@pytest.mark.parametrize("degree", [3, 5, 7, 9])
def test__judge__polynomial_approximation__not_recovered(degree):
    """However well it fits between the rows, it fails beyond them."""
    x = np.linspace(1.0, 3.0, 400)
    fitted = np.polynomial.Polynomial.fit(x, np.exp(np.sin(x)), degree).convert().coef
    text = " + ".join(f"{c!r}*x**{k}" for k, c in enumerate(fitted.tolist()))
    r2 = 1 - np.var(np.exp(np.sin(x)) - np.polyval(fitted[::-1], x)) / np.var(np.exp(np.sin(x)))
    assert r2 > 0.99
    assert judge(text, Law("exp(sin(x))", {"x": RANGES["x"]})) == NO


def test__judge__right_only_where_rows_are__not_recovered():
    """An absolute value that the range hides shows beyond it only if the sign may change."""
    law = Law("x*abs(y)", {"x": Range(1, 3), "y": Range(-2, 0.5)})
    assert judge("-x*y", law) == NO
    assert judge("x*y", Law("x*abs(y)", {"x": Range(1, 3), "y": Range(0, 2)})).recovered is True


def test__judge__long_spelling__recovered_but_not_short():
    """At most 1.5 times the nodes, or 6 more, whichever is more."""
    law = Law("x + y", RANGES)
    size = complexity(parse("x + y", ["x", "y"]))
    for text in ("x + y + 0*sin(x)", "x + y + 1e-12*sin(x)*cos(y)*exp(x)*sqrt(x)"):
        nodes = complexity(parse(text, ["x", "y"]))
        assert judge(text, law) == (YES if nodes <= size + 6 else LONG)
    assert judge("x + y + 1e-12*sin(x)*cos(y)*exp(x)*sqrt(x)", law) == LONG


def test__judge__undefined_on_some_rows__not_recovered():
    """A formula has to be finite wherever the law is, but for 1 % of the rows."""
    law = Law("x", {"x": Range(-1.0, 1.0)})
    assert judge("sqrt(x)**2", law) == NO
    assert judge("x**2/x", law) == YES


def test__judge__beyond_the_parser__not_recovered():
    """Functions and sizes that the parser refuses are no law of any suite."""
    assert judge("besselj(0, x)", Law("x", RANGES)) == NO
    assert judge(" + ".join(["x*y"] * 300), Law("x", RANGES)) == NO


def test__judge__law_undefined_beyond_its_range__no_verdict():
    """Where there is nothing to compare with, nothing is said."""
    assert judge("x", Law("log(-1 - x**2)", RANGES)) == Recovery(None, None)


def test__judge__constants_off_by_noise__recovered_after_the_refit(rng):
    """With noise-free rows the structure is judged; another structure stays wrong."""
    X = np.column_stack([one.draw(500, rng) for one in RANGES.values()])
    law = Law("2.5*exp(-x/2)*y + 1.5", RANGES)
    y = evaluate(parse(law.formula, list(RANGES)), X)
    found = "2.47*exp(-0.52*x)*y + 1.52"
    assert judge(found, law) == NO
    assert judge(found, law, (X, y)) == YES
    assert judge("2.47*y/(1 + 0.7*x) + 1.52", law, (X, y)) == NO


def test__judge__refit_where_partly_undefined__other_rows_count(rng):
    """Rows on which the formula has no value do not keep its constants from being refitted."""
    law = Law("3*log(x)", {"x": Range(1.0, 3.0)})
    X = np.concatenate([law.ranges["x"].draw(300, rng), [-1.0, 0.0]])[:, None]
    y = np.where(X[:, 0] > 0, 3 * np.log(np.abs(X[:, 0]) + (X[:, 0] == 0)), 0.0)
    assert judge("2.9*log(x)", law, (X, y)) == YES


def test__judge__against_the_shared_judge__same_verdicts(rng):
    """Laws, perturbed laws and fits of short series: both implementations say the same."""
    module, load = _shared_judge()
    checked = []
    for name in load.names("classic")[::6] + load.names("srsd")[::8]:
        suite, _, own = name.partition("/")
        data = load_suite(suite).load(own, max_rows=200)
        law = Law(data.truth, dict(zip(data.X.columns, data.ranges, strict=True)))
        for model in (data.truth, f"({data.truth})*1.00001", f"({data.truth})*1.0000000001"):
            size = complexity(parse(model, list(law.ranges)))
            row = SimpleNamespace(dataset=name, model=model, complexity=size)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = module.judge(load, row)
            assert judge(model, law).recovered is theirs["recovered"], (name, model)
            checked.append(theirs["recovered"])
    assert {True, False} == set(checked)


def _shared_judge():
    paths = SHARED / "peers" / "recovery.py", SHARED / "data" / "suites" / "load.py"
    if not all(path.exists() for path in paths):
        pytest.skip("no ../shared/peers and ../shared/data/suites beside the checkout")
    modules = []
    for i, path in enumerate(paths):
        spec = importlib.util.spec_from_file_location(f"shared_{i}", path)
        modules.append(importlib.util.module_from_spec(spec))
        spec.loader.exec_module(modules[-1])
    return modules

"""Composed laws: drawn by seed, with the groups that the exact law has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from equate_srbench.bench.recovery import Law
from equate_srbench.bench.suites.drawing import Range
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse

SCRIPT = Path(__file__).parents[2] / "studies" / "structure.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    """The script as a module."""
    if not SCRIPT.is_file():
        pytest.skip("an installed package has no studies beside it")
    spec = importlib.util.spec_from_file_location("study_structure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def given(study: ModuleType, formula: str, columns: int) -> object:
    """A law on uniform rows."""
    names = [f"x{j}" for j in range(columns)]
    X = np.random.default_rng(0).uniform(0.5, 2.0, (200, columns))
    tree = parse(formula, names)
    law = Law(formula, {name: Range(0.5, 2.0) for name in names})
    return study.Drawn(law, tree, X, evaluate(tree, X))


@pytest.mark.parametrize(
    ("formula", "known"),
    [
        ("x0*x1 + x2", {"identity": "01 2"}),
        ("x0*exp(x1)*(x2 + x3)", {"log": "0 1 23"}),
        ("sqrt(x0*x1 + x2**2)", {"square": "01 2"}),
        ("1/(x0 + x1*x2)", {"inverse": "0 12"}),
        ("x0*x1 + x1*x2 + x0*x2", {}),
    ],
)
def test__truth__known_laws__groups_in_each_view(study, formula, known):
    """A column that does nothing is in no group."""
    found = study.truth(given(study, formula, 5))
    assert {view: study.written(groups) for view, groups in found.items()} == known


@pytest.mark.parametrize("seed", range(5))
def test__drawn__any_seed__within_the_stated_sizes_and_again_the_same(study, seed):
    """Columns, nodes and rows."""
    one, other = study.drawn(seed), study.drawn(seed)
    assert one.law == other.law
    np.testing.assert_array_equal(one.y, other.y)
    assert study.COLUMNS[0] <= one.X.shape[1] <= study.COLUMNS[1]
    assert study.NODES[0] <= complexity(one.tree) <= study.NODES[1]
    assert study.ROWS[0] <= len(one.y) <= study.ROWS[1]

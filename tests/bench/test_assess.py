"""Symbolic solution: right, wrong and undecided."""

from __future__ import annotations

import subprocess
import time

import numpy as np
import pandas as pd
import pytest

from equate_srbench.bench import assess as module
from equate_srbench.bench.assess import assess, compare
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "I", "gamma"]


@pytest.fixture
def X(rng) -> pd.DataFrame:
    """Positive columns, two with names that SymPy owns."""
    return pd.DataFrame(rng.uniform(1, 3, (300, 3)), columns=NAMES)


def verdict(model: str, truth: str) -> str:
    """The child's answer, in this process."""
    rows = np.random.default_rng(3).uniform(1, 3, (50, 3))
    return compare(parse(model, NAMES), parse(truth, NAMES), rows)


@pytest.mark.parametrize(
    ("model", "truth", "answer"),
    [
        ("a*I", "I*a", "difference constant"),
        ("a + I + 3.7", "a + I", "difference constant"),
        ("0.37*sin(a)", "sin(a)", "quotient constant"),
        ("(a**2 - I**2)/(a - I)", "a + I", "quotient constant"),
        ("sin(a)*cos(I) + cos(a)*sin(I)", "sin(a + I)", "difference constant"),
        ("sqrt(a)*sqrt(I)", "sqrt(a*I)", "difference constant"),
        ("log(a*I)", "log(a) + log(I)", "difference constant"),
        ("exp(a)*exp(2.5*I)", "exp(a + 2.5*I)", "difference constant"),
        ("0.15915494*a", "a/(2*pi)", "difference constant"),
        ("exp(-0.15915*a)*I", "I*exp(-a/(2*pi))", "difference constant"),
        ("1.0000003*a**1.9999998 + 0.0000004*I", "a**2", "difference constant"),
        ("a + 1.01*I", "a + I", "no constant"),
        ("a + I*gamma", "a + I", "no constant"),
        ("1.3*a*I + 0.7", "a*I", "no constant"),
        ("sin(a)", "a - a**3/6 + a**5/120", "no constant"),
    ],
)
def test__compare__pairs__as_srbench_defines(model, truth, answer):
    """Difference or quotient constant after simplification, with constants to three digits."""
    assert verdict(model, truth) == answer


def test__assess__child_process__three_outcomes(X):
    """Right by SymPy, wrong by numbers, and open for what cannot be read."""
    assert assess("gamma*(a + I)", "a*gamma + I*gamma", X).solved is True
    wrong = assess("gamma*a + I", "a*gamma + I*gamma", X)
    assert (wrong.solved, wrong.reason) == (False, "numbers differ")
    unread = assess("besselj(0, a)", "a", X)
    assert unread.solved is None
    assert "besselj" in unread.reason


def test__assess__close_in_numbers_only__wrong(X):
    """A formula within half a per cent of the truth is not the truth."""
    assert assess("a*I + 0.004*sin(gamma)", "a*I", X).solved is False


def test__assess__undefined_on_a_row__wrong_without_sympy(X, monkeypatch):
    """No child is asked where the numbers decide."""
    monkeypatch.setattr(module, "_ask", None)
    assert assess("log(a - 2)", "log(a)", X).solved is False


def test__assess__equal_but_not_simplified__undecided(X, monkeypatch):
    """Numbers that agree everywhere and no proof: not decided, and the reason says so."""
    monkeypatch.setattr(module, "_ask", lambda *args: "no constant")
    found = assess("a", "a", X)
    assert found.solved is None
    assert "equal in numbers" in found.reason


def test__assess__out_of_time__undecided_and_the_child_gone(X, monkeypatch):
    """The child ends at its limit of processor time."""
    slow = "import time, resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile 1: pass"
    real = subprocess.run

    def run(command, **options):
        return real([command[0], "-c", slow], **options)

    monkeypatch.setattr(module.subprocess, "run", run)
    start = time.monotonic()
    found = assess("a", "a", X, seconds=1.0)
    assert found.solved is None
    assert "no answer within" in found.reason
    assert time.monotonic() - start < 60.0


def test__assess__unreadable_truth__error(X):
    """A truth that cannot be read is a defect of the suite, not an open question."""
    with pytest.raises(FormulaError):
        assess("a", "a +", X)


def test__assess__constant_truth_and_model__no_crash(X):
    """Degenerate formulas have a verdict."""
    assert assess("1", "a", X).solved is False
    assert assess("2*a", "a", X).solved is True
    assert np.isfinite(X.to_numpy()).all()

"""Formulas at the floor of a rounded table are exact, others are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.canonical import prepare
from equate_srbench.problem.floor import EXACT
from equate_srbench.runtime.clock import Deadline

NAMES = ["a", "b"]
#: Laws with constants to fit, and what they lack of being right.
LAWS = {
    "2.3*exp(-0.7*a) + 1.1*b": "0.02*sin(2*a)",
    "a*b/(a + 1.7*b)": "0.01*a*b",
    "3.1*sin(1.3*a + 0.4) - 0.8*b**2": "0.02*cos(b)",
    "2.7*sqrt(a**2 + 1.9*b)": "0.01*a",
}
ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 decimal": lambda y: np.round(y, 1),
    "3 decimals": lambda y: np.round(y, 3),
    "6 decimals": lambda y: np.round(y, 6),
    "3 digits": lambda y: np.array([float(f"{v:.3g}") for v in y]),
    "7 digits": lambda y: np.array([float(f"{v:.7g}") for v in y]),
    "single": lambda y: y.astype(np.float32).astype(np.float64),
    "none": lambda y: y,
}


def rows(seed: int, n: int = 300) -> np.ndarray:
    """Uniform rows."""
    return np.random.default_rng(seed).uniform(0.5, 4.0, (n, 2))


def tried(X: np.ndarray, y: np.ndarray, *texts: str) -> tuple[Archive, list[Candidate]]:
    """An archive that has refined some formulas, in order."""
    problem = prepare(X, y, None)
    archive = Archive(
        problem.X, problem.y, problem.weights, deadline=Deadline(), floor=problem.floor
    )
    found = [archive.refine([parse(text, NAMES)], "edit", max_steps=60)[0] for text in texts]
    return archive, found


def values(text: str, X: np.ndarray) -> np.ndarray:
    """Values of a formula."""
    return evaluate(parse(text, NAMES), X)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("law", LAWS)
def test__is_exact__rounded_target__the_law_and_nothing_coarser(law, rounding):
    """Refitted on the rounded rows, in nine of ten tables; what lacks a term is not, in any."""
    exact = []
    for seed in range(10):
        X = rows(seed)
        y = values(f"{law} + {LAWS[law]}", X)
        if rounding not in ("1 decimal", "3 digits"):  # there, that little does not show
            archive, (worse,) = tried(X, ROUNDINGS[rounding](y), law)
            assert not archive.is_exact(worse), worse
        archive, (right,) = tried(X, ROUNDINGS[rounding](values(law, X)), law)
        exact.append(archive.is_exact(right))
    assert np.mean(exact) >= 0.9


@pytest.mark.parametrize("decimals", [1, 2, 4])
@pytest.mark.parametrize("law", LAWS)
def test__is_exact__rounded_columns__the_law(law, decimals):
    """The columns were rounded after the target was measured: slopes carry that to it."""
    exact = []
    for seed in range(10):
        X = rows(seed)
        archive, (right, more) = tried(
            np.round(X, decimals), np.round(values(law, X), 6), law, f"{law} + 0.1*sin(7*a)*b"
        )
        exact.append(archive.is_exact(right))
        assert more.loss > 0.9 * right.loss  # nothing is below the floor
    assert np.mean(exact) >= 0.9


def test__is_exact__columns_as_tabulated__only_what_beats_their_rounding():
    """The target was computed from the rounded columns: the law shows that they were not."""
    X = np.round(rows(0), 1)
    y = values("a*exp(-0.3*b)", X)
    archive, (near,) = tried(X, y, "a*exp(-0.3*b + 0.001*a)")
    assert archive.is_exact(near)
    coarse = "a/(1 + 0.35*b + 0.03*b**2)"
    archive, (rough, right) = tried(X, y, coarse, "a*exp(-0.3*b)")
    assert archive.is_exact(right)
    assert not archive.is_exact(rough)


def test__is_exact__whole_target_of_a_whole_law__not_half_a_unit():
    """Residuals below a half do not make a formula exact once another is exact to the digit."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, 30, (200, 2)).astype(float)
    y = X[:, 0] * X[:, 1] + X[:, 0]
    archive, (right,) = tried(X, y, "a*b + a")
    assert right.loss <= EXACT * archive.variance
    assert archive.is_exact(right)
    near = parse("a*b + a + 0.4*sin(7*a*b)", NAMES)
    error = float(np.mean((evaluate(near, X) - y) ** 2))
    assert not archive.is_exact(archive.add(near, near, error, "edit"))


def test__is_exact__cancellation__at_its_own_rounding():
    """A law that cancels is exact at the error that float64 makes of it."""
    X = rows(0)
    law = "(a + 30000000.0)**2 - a**2 - 900000000000000.0 + b"
    archive, _ = tried(X, values(law, X), "a")
    scale = np.round(values(law, X).max() / archive.y.max())  # canonical rows are in other units
    same = parse(f"((a + 30000000.0)**2 + b - 900000000000000.0 - a**2)/{scale}", NAMES)
    error = float(np.mean((evaluate(same, archive.X) - archive.y) ** 2))
    right = archive.add(same, same, error, "edit")
    assert EXACT * archive.variance < error < 1e-15 * archive.variance
    assert archive.is_exact(right)
    archive, (wrong,) = tried(X, values(law, X), "60000000*a + 1.5*sin(b)")
    assert not archive.is_exact(wrong)


def test__is_exact__noise__never():
    """Ten thousand times finer rounding says nothing about noise."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        X = np.round(rows(seed), 4)
        y = np.round(values("a*b", X) + 0.05 * rng.normal(size=len(X)), 5)
        archive, found = tried(X, y, "a*b", "a*b + 0.1*a")
        assert not any(map(archive.is_exact, found))
        assert archive.law is None


def test__law__short_exact_formula__of_two_the_shorter():
    """With it a search ends; a long one does not end it."""
    X = rows(0)
    y = np.round(values("a*b", X), 3)
    archive, (long,) = tried(X, y, "a*b" + "".join(f" + 0.0*sin({k}*a)" for k in range(2, 9)))
    assert archive.is_exact(long)
    assert archive.law is None
    archive, (middle, short) = tried(X, y, "a*b + 0.0*b", "a*b")
    assert archive.is_exact(middle)
    assert archive.law is short


def test__law__few_rows__never():
    """An exact fit of nine rows is chance for a formula of more than three nodes."""
    X = rows(0, 9)
    archive, (right,) = tried(X, values("2.3*exp(-0.7*a)", X), "2.3*exp(-0.7*a)")
    assert archive.is_exact(right)
    assert archive.law is None


def test__least_error__rounded__share_of_the_variance():
    """A step squared over twelve, until something is more exact than that."""
    X = rows(0)
    y = np.round(values("a + b", X), 2)
    archive, _ = tried(X, y, "a + b")
    assert archive.least_error == pytest.approx(1e-4 / 12 / archive.variance, rel=1e-6)
    assert Archive(X, y, deadline=Deadline()).least_error == EXACT
    archive.add(Tree.variable(0), Tree.variable(0), 1e-9, "edit")
    assert archive.least_error == EXACT

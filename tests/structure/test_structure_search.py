"""Structure search: joins, what is left, laws found part by part, limits."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.problem.archive import EXACT, Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.structure import joining
from equate_srbench.structure.decomposition import Decomposition, Part
from equate_srbench.structure.structure_search import StructureSearch
from equate_srbench.structure.surrogate import LINKS
from equate_srbench.structure.tidying import tidied

NAMES = [f"x{j}" for j in range(6)]
LAW = "(x0 + sqrt(x1**2 + x2))*exp(-x3)*x4"


def rows(n: int = 300) -> np.ndarray:
    """Uniform rows of six columns."""
    return np.random.default_rng(0).uniform(0.5, 3.0, (n, 6))


def archive(law: str, deadline: Deadline | None = None) -> Archive:
    """An archive on the rows of a law."""
    X = rows()
    return Archive(X, evaluate(parse(law, NAMES), X), deadline=deadline or Deadline(120.0))


def finding(kind: str, link: str, *columns: tuple[int, ...]) -> Decomposition:
    """A finding whose parts have no values."""
    parts = tuple(Part(g, lambda X: np.zeros(len(X))) for g in columns)
    return Decomposition(kind, {v.name: v for v in LINKS}[link], parts, 1.0, 1e-6)


@pytest.mark.parametrize("text", ["2*x0 + 3", "x0*(-0.5)", "4 + x0**2", "sin(x0)", "x0 + x1"])
def test__affine__any_tree__has_equal_values(text):
    """``c f + d`` is the tree."""
    tree = parse(text, NAMES)
    scale, f, offset = joining.affine(tree)
    np.testing.assert_allclose(scale * evaluate(f, rows()) + offset, evaluate(tree, rows()))


@pytest.mark.parametrize(
    ("law", "kind", "link", "parts"),
    [
        ("3*x0*x1*(x2 + 2)", "product", "log", ["x0*x1", "x2 + 2"]),
        ("2*x0*x1 - 3*exp(x2) + 1", "sum", "identity", ["2*(x0*x1)", "-3*exp(x2)"]),
        ("sqrt(2*x0 + x1*x2 + 5)", "sum", "square", ["2*x0", "1.5*(x1*x2)"]),
        ("1/(x0 + 0.5*x1 + 2)", "sum", "inverse", ["1*x0", "0.3*x1"]),
    ],
)
def test__joined__right_forms__exact_and_parts_leave_each_other(law, kind, link, parts):
    """Refitted, a joined formula is the law, and its other parts leave each part."""
    kept, found = archive(law), finding(kind, link, (0,), (1,))
    trees = [parse(part, NAMES) for part in parts]
    (candidate,) = kept.refine([joining.joined(trees, found)], "structure", max_steps=100)
    assert candidate is not None
    assert candidate.loss <= 1e-18 * kept.variance
    values = joining.part_values(candidate, trees, found, kept.X)
    target, _ = joining.left_by(kept.y, values, 0, found)
    np.testing.assert_allclose(np.corrcoef(target, values[0])[0, 1], 1.0, atol=1e-9)


def test__left_by_one__product_in_logarithms__is_the_quotient():
    """The log of ``y / a``."""
    y, a = np.array([2.0, -6.0]), np.array([-4.0, 3.0])
    left = joining.left_by_one(y, a, finding("product", "log", (0,), (1,)))
    np.testing.assert_allclose(left, np.log(np.abs(y / a)))
    plain = joining.left_by_one(y, a, finding("product", "identity", (0,), (1,)))
    np.testing.assert_allclose(plain, y / a)


def test__tidied__factor_with_errors__simple_after_division():
    """``0.1 (x0 + x1 x2)`` with constants that are off, on a target that is off."""
    X = rows()
    y = 0.1 * (X[:, 0] + X[:, 1] * X[:, 2])
    y *= 1.0 + 1e-4 * np.random.default_rng(1).normal(size=len(y))
    kept = Archive(X, y, deadline=Deadline(60.0))
    tree = parse("0.10002*x0 + 0.09999*(x1*x2) + 0.00001", NAMES)
    (candidate,) = kept.refine([tree], "structure")
    found = tidied(candidate, kept, 1e-7, True, Deadline(60.0))
    clean = evaluate(parse("x0 + x1*x2", NAMES), X)
    ratios = [evaluate(t, X) / clean for t in found]
    assert any(np.ptp(ratio) < 1e-12 * np.abs(ratio).max() for ratio in ratios)


def test__search__product_with_a_sum__exact():
    """Three factors, one of which is a sum with a function of two columns; one column is idle."""
    kept = archive(LAW)
    search = StructureSearch(kept, list(range(6)), rng=np.random.default_rng(0))
    search.run(kept.deadline)
    assert kept.error <= EXACT
    assert kept.best.source == "structure"
    assert set(search.findings[0].groups) == {(0, 1, 2), (3,), (4,)}


def test__search__same_seed__same_candidates():
    """Twice, without a limit of time that cuts."""
    law, found = "(x0 + x1)*exp(-x2)", []
    for _ in range(2):
        kept = archive(law)
        StructureSearch(kept, [0, 1, 2], rng=np.random.default_rng(3)).run(kept.deadline)
        found.append([(c.tree, c.loss) for c in kept.candidates])
    assert found[0] == found[1]


def test__search__deadline_over__adds_nothing():
    """And is quiet about it."""
    kept = archive(LAW)
    over = Deadline(0.0)
    StructureSearch(kept, list(range(6)), rng=np.random.default_rng(0)).run(over)
    assert len(kept) == 1


def test__search__interrupted__archive_is_usable():
    """An interrupt in a part's search passes through, and what was found stays."""
    kept, calls = archive(LAW), []

    def tick() -> None:
        calls.append(len(kept))
        if len(calls) == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StructureSearch(kept, list(range(6)), rng=np.random.default_rng(0)).run(
            kept.deadline, tick=tick
        )
    assert np.isfinite(kept.best.loss)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test__search__few_rows__ends(n):
    """Tables with too few rows for a surrogate."""
    X = rows(n)
    kept = Archive(X, X[:, 0] * X[:, 1] + X[:, 2], deadline=Deadline(60.0))
    StructureSearch(kept, [0, 1, 2], rng=np.random.default_rng(0)).run(Deadline(2.0, kept.deadline))
    assert len(kept) >= 1

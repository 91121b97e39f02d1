"""Families of formulas: drawn laws are recovered; noise, outliers and extremes are survived."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import sampled, substituted
from equate_srbench.families.family_search import FAMILIES, FamilySearch
from equate_srbench.families.groups import grouped
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.floor import EXACT
from equate_srbench.runtime.clock import Deadline

sys.path.insert(0, str(Path(__file__).parent))
from drawn_laws import KINDS, answer, has_the_terms, holds, searched

#: A number of each kind, for seeds that do not depend on the order of a dictionary.
PLACE = {kind: i for i, kind in enumerate((
    "polynomial", "ratio", "power", "wave", "ridge",
    "product", "oscillation", "offset", "nested", "grouped",
))}  # fmt: skip
#: Kinds that are families; the others are solved by several of them.
OLD = ("polynomial", "ratio", "power", "wave", "ridge")

#: How many of twenty laws are recovered, at least.
LEAST = {kind: 19 for kind in OLD} | {
    "product": 12, "oscillation": 19, "offset": 14, "nested": 15, "grouped": 12,
}  # fmt: skip


def recovered(kind: str, seeds: range, **kwargs: object) -> list[bool]:
    """Whether each drawn law of a kind is recovered."""
    out = []
    for seed in seeds:
        rng = np.random.default_rng([seed, PLACE[kind]])
        drawn = KINDS[kind](rng)
        out.append(holds(searched(drawn, rng, **kwargs), drawn, rng))
    return out


def search(X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Archive:
    """An archive after a family search."""
    archive = Archive(X, y, weights, deadline=Deadline(60.0))
    columns = list(range(X.shape[1]))
    FamilySearch(archive, columns, rng=np.random.default_rng(0)).run(archive.deadline)
    return archive


@pytest.mark.parametrize("scale", [1.0, 1e-170])
def test__families__column_of_mostly_one_value__searched(scale):
    """A bulk without width is no range to put a grid on."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(80) < 0.9, 2.0, rng.uniform(2.0, 5.0, 80)) * scale
    X = np.column_stack([x, rng.uniform(1.0, 5.0, 80)])
    found = search(X, rng.normal(size=80))  # nothing ends the search early
    assert found.tried["family"] > 0


@pytest.mark.parametrize(("kind", "least"), LEAST.items())
def test__families__twenty_drawn_laws__most_recovered(kind, least):
    """Laws without noise hold on ranges half as wide again, to 1e-6."""
    assert sum(recovered(kind, range(20))) >= least


@pytest.mark.slow
@pytest.mark.parametrize("kind", OLD)
def test__families__hundred_drawn_laws__ninety_eight_recovered(kind):
    """The same on 100 laws and 1000 rows."""
    assert sum(recovered(kind, range(7000, 7100), n=1000)) >= 98


@pytest.mark.parametrize("kind", OLD)
def test__family__alone__recovers_its_laws(kind):
    """A family needs no other; polynomials of columns are a family of their own."""
    assert sum(recovered(kind, range(100, 112), families=(kind,))) >= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "least"), [("polynomial", 4), ("power", 6), ("wave", 8), ("ridge", 8)]
)
def test__families__noise_of_a_hundredth__terms_of_the_law(kind, least):
    """With constants fitted to clean rows, the answers of most of twelve laws are the law."""
    found = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, PLACE[kind]])
        drawn = KINDS[kind](rng)
        found += has_the_terms(searched(drawn, rng, n=1000, noise=0.01), drawn, rng)
    assert found >= least


def test__families__noise__answers_stay_short():
    """Description length deletes the terms that fit noise."""
    rng = np.random.default_rng(4)
    X = rng.uniform(-2.0, 2.0, (400, 3))
    archive = search(X, rng.normal(size=400))
    assert complexity(answer(archive).tree) <= 3


@pytest.mark.slow
def test__families__five_percent_outliers__law_is_in_the_archive():
    """A second look without the outliers finds the terms."""
    found = 0
    for seed in range(8):
        rng = np.random.default_rng([seed, 2])
        drawn = KINDS["power"](rng)
        archive = searched(drawn, rng, n=1000, outliers=0.05)
        found += has_the_terms(archive, drawn, rng, first=len(archive))
    assert found >= 5


@pytest.mark.parametrize("n", [5, 6, 8, 12, 20, 200])
@pytest.mark.parametrize("p", [1, 3, 50])
def test__families__few_rows_many_columns__no_warning(n, p):
    """Noise of any shape passes, and gives finite candidates."""
    rng = np.random.default_rng([n, p])
    archive = search(rng.normal(size=(n, p)), rng.normal(size=n))
    assert all(np.isfinite(c.loss) for c in archive.candidates)


@pytest.mark.parametrize("n", [6, 20, 300])
def test__families__values_from_1e_minus_150_to_1e150__no_warning(n):
    """Columns and targets over three hundred decades, and of the extreme sizes alone."""
    rng = np.random.default_rng(n)
    wide = np.exp(rng.uniform(-345.0, 345.0, (n, 2)))
    Z = rng.uniform(1.0, 2.0, (n, 2))
    sign = rng.choice([-1.0, 1.0], n)
    tables = [
        (wide, rng.normal(size=n)), (Z, wide[:, 0]), (wide, wide[:, 0] * sign),
        (wide * sign[:, None], np.sqrt(wide[:, 0]) * np.sqrt(wide[:, 1])),
        *((Z * s, Z[:, 0] * Z[:, 1] * t) for s in (1e150, 1e-150, 1.0) for t in (1e150, 1e-150)),
    ]  # fmt: skip
    for X, y in tables:
        archive = search(X, y)
        assert all(np.isfinite(c.loss) for c in archive.candidates)


def test__families__degenerate_columns__no_warning():
    """Constants, copies, near copies, zeros, small whole numbers, large offsets, weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1))
    ones = np.ones((60, 1))
    for X in (ones, np.hstack([x, x, ones]), np.hstack([x, x * (1 + 1e-12), -x]), 0.0 * x,
              rng.integers(0, 2, (60, 4)).astype(float), 1e9 + x):  # fmt: skip
        for y in (x[:, 0] ** 2, np.ones(60), 1e12 + x[:, 0], rng.integers(0, 3, 60).astype(float)):
            search(X, y)
            search(X, y, rng.uniform(0.1, 3.0, 60))


def test__families__copies_of_a_column__one_of_them_used():
    """A law in a column that is there four times."""
    x = np.random.default_rng(0).normal(size=(80, 1))
    archive = search(np.repeat(x, 4, axis=1), 2.0 * x[:, 0] ** 3 - x[:, 0])
    assert archive.error < EXACT
    assert answer(archive).tree.columns == (0,)


def test__families__law_in_three_of_fifty_columns__recovered():
    """The surrogate finds the columns."""
    X = np.random.default_rng(2).uniform(-1.0, 2.0, (1000, 50))
    archive = search(X, 2.0 * X[:, 7] ** 2 - X[:, 31] * X[:, 44] + X[:, 7])
    assert archive.error < EXACT


def test__families__constants__are_simple_numbers():
    """Coefficients of the law, not of its fit."""
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (200, 2))
    archive = search(X, 1.5 * X[:, 0] ** 3 - X[:, 0] * X[:, 1] + 4.0)
    constants = answer(archive).tree.constants
    assert sorted(constants) in ([1.5, 4.0], [-1.0, 1.5, 4.0])


def test__families__seed__same_candidates_whatever_the_time():
    """What is proposed depends on rows and seed only."""
    rng = np.random.default_rng(5)
    X = rng.uniform(0.5, 2.0, (500, 3))
    y = np.tanh(X[:, 0] * X[:, 1]) + X[:, 2] ** 1.7 + 0.1 * rng.normal(size=500)
    first, second = ([c.tree for c in search(X, y).candidates] for _ in range(2))
    assert first == second
    assert len(first) > 1


def test__families__deadline_over__nothing_tried():
    """A deadline in the past is respected, and the archive keeps its constant."""
    X = np.random.default_rng(0).uniform(1.0, 2.0, (50, 1))
    archive = Archive(X, X[:, 0] ** 2, deadline=Deadline(0.0))
    FamilySearch(archive, [0], rng=np.random.default_rng(0)).run(archive.deadline)
    assert len(archive) == 1


@pytest.mark.parametrize("k", [1, 2, 4, 10])
def test__families__law_of_no_family__processor_time(k):
    """An unsolved table costs most; .2 s is the aim, a busy machine gets five times as much."""
    X = np.random.default_rng(k).uniform(0.5, 2.0, (1000, k))
    y = np.sqrt(1.0 + X[:, 0] ** np.sin(3.0 * X[:, -1])) + np.log(X[:, 0] + np.exp(X[:, k // 2]))
    search(X, y)
    began = time.process_time()
    search(X, y)
    assert time.process_time() - began < 1.0


def test__families__names__are_those_of_the_tests():
    """Each family is tested on laws of its kind."""
    assert set(FAMILIES) <= set(KINDS)


def test__groups__monomial_times_function_of_a_monomial__found():
    """Exponents of both are read off the gradients of the logarithm."""
    X = np.random.default_rng(1).uniform(0.5, 2.0, (600, 4))
    y = X[:, 3] ** 2 * np.exp(-X[:, 0] * X[:, 1] / X[:, 2])
    rows = sampled(X, y, None, range(4), np.random.default_rng(0))
    look = grouped(rows)[0]
    u = X[:, 0] * X[:, 1] / X[:, 2]
    own = evaluate(look.trees[0], X)
    assert look.X.shape[1] == 1
    assert np.ptp(np.log(own) / np.log(u)) < 1e-9
    assert np.allclose(evaluate(look.factor, X), X[:, 3] ** 2)


def test__groups__columns_that_are_in_no_group__none():
    """Each column has a curve of its own."""
    X = np.random.default_rng(1).uniform(0.5, 2.0, (600, 3))
    y = np.sin(2.0 * X[:, 0]) + X[:, 1] ** 3 + np.exp(X[:, 2])
    assert grouped(sampled(X, y, None, range(3), np.random.default_rng(0))) == []


@pytest.mark.parametrize("at", [1.7e9, -3e6])
def test__families__offset_of_a_column__constant_is_the_round_number(at):
    """The wave is a wave of the column less the number, at any distance from 0."""
    t = np.random.default_rng(0).uniform(0.0, 9.0, (300, 1))
    archive = search(t + at, 12.0 + 6.0 * np.sin(2.5 * t[:, 0]))
    assert archive.error < 1e-12
    assert abs(at) in map(abs, answer(archive).tree.constants)


def test__substituted__trees_for_columns__values_of_the_composition():
    """Constants of the columns' trees stand where the columns stood."""
    X = np.random.default_rng(0).uniform(1.0, 2.0, (20, 2))
    tree = Tree.apply(
        "mul", Tree.constant(3.0), Tree.apply("pow", Tree.variable(1), Tree.variable(0))
    )
    inner = [Tree.apply("sub", Tree.variable(1), Tree.constant(0.5)), Tree.variable(0)]
    found = evaluate(substituted(tree, inner), X)
    assert np.allclose(found, 3.0 * X[:, 0] ** (X[:, 1] - 0.5))

"""The search through all small formulas: drawn laws come out, and nothing is claimed wrongly."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from equate_srbench.enumeration.library_search import LibrarySearch, LibrarySettings
from equate_srbench.problem.archive import Archive
from equate_srbench.problem.floor import EXACT
from equate_srbench.runtime.clock import Deadline

sys.path.insert(0, str(Path(__file__).parent))
from drawn_formulas import table


def searched(X: np.ndarray, y: np.ndarray, **options: object) -> LibrarySearch:
    """A search that has ended."""
    archive = Archive(X, y, options.pop("weights", None), deadline=Deadline())
    columns = list(range(X.shape[1]))
    search = LibrarySearch(archive, columns, rng=np.random.default_rng(0), **options)
    search.run(Deadline())
    return search


def found_of(kind: str, p: int, n: int) -> int:
    """How many of ``n`` drawn laws of a kind come out exactly."""
    rng = random.Random(f"{kind} of {p} columns")
    return sum(searched(*table(rng, kind, p)[1:]).archive.error < EXACT for _ in range(n))


@pytest.mark.parametrize("p", [1, 2])
def test__library_search__drawn_formulas_of_up_to_seven_nodes__are_all_found(p):
    """On several ranges, with random scale and offset."""
    assert found_of("small", p, 20) == 20


@pytest.mark.parametrize("kind", ["mul", "div", "sum", "factor"])
def test__library_search__drawn_pairs_of_small_formulas__are_found(kind):
    """Products, ratios, sums, and products with an offset inside, all with an offset outside."""
    assert found_of(kind, 1, 2) + found_of(kind, 2, 2) == 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mul", "div", "sum", "factor"])
def test__library_search__forty_drawn_pairs__are_found_but_for_two(kind):
    """What is told of them in numbers."""
    assert found_of(kind, 1, 20) + found_of(kind, 2, 20) >= 38


@pytest.mark.parametrize(
    "law",
    [
        lambda x: x**3 * np.log(x + 3.3),
        lambda x: np.exp(x) * np.cos(4.7 * x),
        lambda x: (np.exp(-1.3 * x) + 0.7) * np.sin(x),
        lambda x: np.sin(11.3 * x) + 5.0,
    ],
)
def test__library_search__an_inner_constant__is_fitted(law):
    """Alone, and beside a factor."""
    X = np.random.default_rng(0).uniform(0.2, 4.0, (300, 1))
    assert searched(X, 2.1 * law(X[:, 0])).archive.error < EXACT


def test__library_search__a_view_of_the_target__is_seen_through():
    """The root of a sum of 7 nodes with scale and offset has more than 7 nodes itself."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 3.0, (200, 2))
    y = np.sqrt(2.0 * X[:, 0] * np.sin(X[:, 1]) / np.log(X[:, 0] + 2.0) + 1.3)
    search = searched(X, y)
    assert search.archive.error < EXACT
    assert search.archive.best.source == "library"


def test__library_search__rounded_target__is_found_at_its_resolution():
    """What fits to half a unit of the last decimal passes."""
    rng = np.random.default_rng(1)
    X = rng.uniform(0.5, 3.0, (200, 2))
    law = 3.0 * np.sin(X[:, 0] ** 2) * np.exp(X[:, 1] / X[:, 0]) + 5.0  # 8 nodes
    search = searched(X, np.round(law, 3), resolution=0.0005)
    assert search.archive.best.loss < 0.0004**2


def test__library_search__noise__is_not_solved_and_the_note_says_what_was_tried():
    """No small formula is noise; all of them were tried."""
    rng = np.random.default_rng(2)
    X = rng.uniform(0.5, 3.0, (200, 1))
    search = searched(X, rng.normal(size=200))
    assert not search.is_solved
    (note,) = search.notes
    assert "up to 7 nodes of all operators" in note
    assert search.archive.tried["library"] > 40
    early = searched(X, X[:, 0] ** 2)
    assert early.is_solved
    assert early.notes == []


def test__library_search__same_seed__gives_the_same_candidates():
    """Work is counted, and nothing depends on the clock."""
    rng = np.random.default_rng(3)
    X = rng.uniform(0.5, 3.0, (150, 3))
    y = X.prod(axis=1) + np.sin(3.3 * X[:, 0])
    few = LibrarySettings(stored=30_000, streamed=100_000, paired=300, summed=300, skeletons=2000)
    first, second = (searched(X, y, settings=few).archive.candidates for _ in range(2))
    assert [c.tree for c in first] == [c.tree for c in second]


def test__library_search__awkward_tables__do_no_harm():
    """Few rows, constant columns, infinities in formulas, weights, huge and tiny values."""
    rng = np.random.default_rng(4)
    few = LibrarySettings(stored=30_000, streamed=0, paired=200, summed=200, skeletons=1000)
    X = rng.normal(size=(60, 2))
    for y in (X[:, 0] * 1e150, X[:, 0] * 1e-150, np.zeros(60), np.sign(X[:, 0])):
        assert np.isfinite(searched(X, y, settings=few).archive.best.loss)
    assert not searched(X[:5], X[:5, 0], settings=few).archive.tried
    assert not searched(np.ones((60, 2)), X[:, 0], settings=few).archive.tried
    weights = np.ones(60)
    weights[:5] = 0.0
    y = np.exp(X[:, 1])
    y[:5] = 0.0
    assert searched(X, y, settings=few, weights=weights).archive.error < EXACT
    wide = rng.normal(size=(60, 20))
    search = searched(wide, wide[:, 17] * 3.0 + 1.0, settings=few)
    assert search.archive.error < EXACT
    assert len(search.columns) == 12

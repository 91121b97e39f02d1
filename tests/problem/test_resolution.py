"""How numbers were rounded, as far as they show it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.problem.resolution import DOUBLE, FEWEST, Resolution, resolution_of

LAWS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda x: np.sin(3.0 * x),
    lambda x: 4.0 * np.exp(-x) + 1.0,
    lambda x: x**3 - 2.0 * x,
    lambda x: 1.0 / (1.0 + x * x),
    lambda x: -7.0 * np.sqrt(x),
)


def values(seed: int, n: int = 200) -> np.ndarray:
    """Values of a law at random places."""
    rng = np.random.default_rng(seed)
    return LAWS[seed % len(LAWS)](rng.uniform(0.1, 4.0, n))


def digits(numbers: np.ndarray, n: int) -> np.ndarray:
    """Numbers as a printer with ``n`` significant digits writes them."""
    return np.array([float(f"{v:.{n}g}") for v in numbers])


@pytest.mark.parametrize("number", range(2, 7))
@pytest.mark.parametrize("seed", range(len(LAWS)))
def test__resolution__decimals__found(number, seed):
    """As many as there are, no more."""
    assert resolution_of(np.round(values(seed), number)) == Resolution("decimals", number)


@pytest.mark.parametrize("number", range(3, 8))
@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1.0, 1e4, 1e150])
def test__resolution__significant_digits__found_in_any_unit(number, scale):
    """Over several decades, where decimals say less."""
    numbers = digits(np.exp(6.0 * values(0)) * scale, number)
    assert resolution_of(numbers) == Resolution("digits", number)


@pytest.mark.parametrize("seed", range(len(LAWS)))
def test__resolution__single_precision__found(seed):
    """Single precision that was widened; decimals in single precision are decimals."""
    single = values(seed).astype(np.float32).astype(np.float64)
    assert resolution_of(single) == Resolution("single")
    rounded = np.round(values(seed), 2).astype(np.float32).astype(np.float64)
    assert resolution_of(rounded) == Resolution("decimals", 2)


def test__resolution__thousand_tables__no_false_one():
    """Doubles that were not rounded never look like it, whatever their number and unit."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(1000):
        numbers = values(seed, int(rng.integers(5, 400)))
        found += resolution_of(numbers * 10.0 ** rng.integers(-20, 20)).is_rounded
        found += resolution_of(
            rng.uniform(-1.0, 1.0, 50) * 10.0 ** rng.integers(-200, 200)
        ).is_rounded
    assert found == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test__resolution__any_numbers__steps_are_positive(numbers):
    """No crash, and a grid that holds the numbers."""
    column = np.array(numbers)
    grid = resolution_of(column)
    steps = grid.steps(column)
    assert steps.shape == column.shape
    if grid.is_rounded:
        assert (steps > 0.0).all()
        assert (np.abs(column - np.rint(column / steps) * steps) <= 1e-2 * steps).all()


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(50),
        np.arange(FEWEST - 1.0),
        np.repeat([0.5, 1.0, 1.5], 30),  # classes
        np.random.default_rng(0).integers(0, 3, 100).astype(float),
    ],
    ids=["zeros", "few", "classes", "labels"],
)
def test__resolution__classes__are_not_rounded(column):
    """Few values are no numbers that were rounded."""
    assert resolution_of(column) == DOUBLE


def test__describe__in_words():
    """What reports say."""
    assert Resolution("decimals", 3).describe("y") == "y has 3 decimals"
    assert Resolution("decimals", 1).describe("y") == "y has 1 decimal"
    assert Resolution("decimals", 0).describe("y") == "y is whole"
    assert Resolution("decimals", -3).describe("y") == "y is a multiple of 1,000"
    assert Resolution("digits", 4).describe("T") == "T has 4 significant digits"
    assert Resolution("single").describe("y") == "y is in single precision"
    assert DOUBLE.describe("y") == ""

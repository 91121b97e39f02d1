"""Choosing a teacher by its student: the best wins, and the time is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from equate_srbench.teacher import choosing
from equate_srbench.teacher.choosing import HoldOut, choose


class Clock:
    """Seconds that pass only when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


class Labels:
    """A teacher that says the truth, and a bit more."""

    jacobian = lipschitz = 0.0

    def __init__(self, error: float) -> None:
        self.error = error

    def predict(self, X: np.ndarray) -> np.ndarray:
        """A multiple of the truth."""
        return X[:, 0] * (1.0 + self.error)


class Timed(RegressorMixin, BaseEstimator):
    """A student that works for as long as it may."""

    clock = Clock()

    def __init__(self, max_time: float = 2.0) -> None:
        self.max_time = max_time

    def fit(self, X: np.ndarray, y: np.ndarray) -> Timed:
        """Take all the time there is."""
        Timed.clock.now += self.max_time
        self.slope_ = float(X[:, 0] @ y / (X[:, 0] @ X[:, 0]))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """A line through the origin."""
        return self.slope_ * X[:, 0]


@pytest.fixture
def rows(rng) -> HoldOut:
    """Ten rows to learn from, ten to judge by."""
    X, held = rng.standard_normal((2, 10, 1))
    return HoldOut(X, X[:, 0], held, held[:, 0])


def test__choose__student_without_time_limit__the_best_of_all(rows):
    """One round over all teachers."""
    teachers = [Labels(e) for e in (0.5, -0.3, 0.1, 0.2)]
    best, trials = choose(teachers, LinearRegression(), rows, 60.0)
    assert best == 2
    assert [t.teacher for t in trials] == [0, 1, 2, 3]
    assert all(t.fidelity > 1 - 1e-9 for t in trials)
    assert trials[2].teacher_r2 == pytest.approx(trials[2].student_r2)


def test__choose__timed_student__halving_keeps_the_limit(rows):
    """Eighteen, six, two: fewer teachers with more time each, within the seconds given."""
    Timed.clock = Clock()
    teachers = [Labels(0.01 * (18 - i)) for i in range(18)]
    best, trials = choose(teachers, Timed(9.0), rows, 60.0, clock=Timed.clock)
    counts = [sum(t.round == r for t in trials) for r in range(3)]
    assert best == 17
    assert counts == [18, 6, 2]
    assert Timed.clock.now <= 60.0 + 1e-9
    assert trials[0].seconds == pytest.approx(20 / 18)
    assert trials[-1].seconds == pytest.approx(9.0)  # the student's own limit


def test__choose__short_of_time__first_teachers_only(rows):
    """Nobody is judged by a student that had no time."""
    Timed.clock = Clock()
    teachers = [Labels(0.1)] * 18
    _, trials = choose(teachers, Timed(), rows, 3.0, clock=Timed.clock)
    assert {t.teacher for t in trials} == {0, 1, 2, 3}
    assert min(t.seconds for t in trials) >= choosing.MIN_SECONDS


def test__choose__one_teacher__no_work(rows):
    """There is nothing to choose."""
    assert choose([Labels(1.0)], LinearRegression(), rows, 60.0) == (0, [])


def test__r2__not_finite__worse_than_anything():
    """A formula with a pole on a row never wins."""
    assert choosing.r2(np.arange(3.0), np.array([0.0, np.nan, 2.0])) == -math.inf

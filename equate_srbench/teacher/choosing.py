"""Selects the teacher with the best student by successive halving, in bounded time."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import r2_score

Array = NDArray[np.float64]

#: Each round keeps the best one in so many.
FACTOR = 3
#: Minimum seconds for a student: with less, its result says little about its teacher.
MIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class StudentTrial:
    """One student of one teacher, scored on held-out rows.

    Attributes
    ----------
    teacher : int
        Index of the teacher.
    round : int
        From 0.
    student_r2 : float
        Against the true target; the selection criterion.
    fidelity : float
        R2 of the student against its teacher's labels.
    teacher_r2 : float
        Of the teacher against the true target.
    seconds : float
        Of the student's fit.
    """

    teacher: int
    round: int
    student_r2: float
    fidelity: float
    teacher_r2: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Training and held-out rows of a table."""

    X: Any
    y: Array
    X_held: Any
    y_held: Array


def choose(
    teachers: Sequence[Any],
    student: Any,
    rows: HoldOut,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[int, list[StudentTrial]]:
    """Select the teacher whose student predicts the true target best on the held-out rows.

    A student with a parameter ``max_time`` is fitted in rounds of equal total time; each round
    keeps the best third and triples the seconds per student, so that bad teachers cost little. If
    there are less than ``MIN_SECONDS`` per student, the last teachers are skipped. A student
    without a time limit has one round, in which the last teachers are skipped once the time is up.

    Parameters
    ----------
    teachers : sequence of fitted regressors
        Fitted to the training rows, in order of priority.
    student : object with ``fit`` and ``predict``
        Cloned for every trial. An exception loses the trial, with a warning.
    rows : HoldOut
    seconds : float
        Total time for all students.
    clock : callable, default=time.monotonic

    Returns
    -------
    best : int
        Index into ``teachers``.
    trials : list of StudentTrial
        In chronological order.
    """
    if len(teachers) == 1:
        return 0, []
    labels = [(t.predict(rows.X), t.predict(rows.X_held)) for t in teachers]
    timed = "max_time" in parameters(student)
    left = list(range(len(teachers)))
    n_rounds, end = 1, clock() + seconds
    if timed:
        left = left[: max(2, int(seconds / _rounds(len(left)) / MIN_SECONDS))]
        n_rounds = _rounds(len(left))
    share = seconds / n_rounds
    trials: list[StudentTrial] = []
    for number in range(n_rounds):
        for place in left:
            if clock() >= end and any(t.round == number for t in trials):
                break
            pupil = unfitted(student)
            if timed:
                most = min(time_limit(student), max(share / len(left), MIN_SECONDS))
                pupil.set_params(max_time=most)
            trials.append(_trial(place, number, pupil, labels[place], rows, clock))
        ranked = sorted(
            (t for t in trials if t.round == number), key=lambda t: (-t.student_r2, t.teacher)
        )
        left = [t.teacher for t in ranked[: math.ceil(len(ranked) / FACTOR)]]
        if len(left) == 1:
            break
    return left[0], trials


def _rounds(n: int) -> int:
    """Number of rounds until one of ``n`` is left."""
    return math.ceil(math.log(n, FACTOR) - 1e-9)


def _trial(
    place: int,
    number: int,
    pupil: Any,
    labels: tuple[Array, Array],
    rows: HoldOut,
    clock: Callable[[], float],
) -> StudentTrial:
    begin = clock()
    try:
        pupil.fit(rows.X, labels[0])
        answer = np.asarray(pupil.predict(rows.X_held), dtype=np.float64)
    except Exception as error:
        warnings.warn(f"a student failed and loses its trial: {error!r}", stacklevel=5)
        answer = np.full(len(rows.y_held), np.nan)
    seconds = clock() - begin
    return StudentTrial(
        teacher=place,
        round=number,
        student_r2=r2(rows.y_held, answer),
        fidelity=r2(labels[1], answer),
        teacher_r2=r2(rows.y_held, labels[1]),
        seconds=seconds,
    )


def unfitted(student: Any) -> Any:
    """An unfitted copy: a clone if it is a scikit-learn estimator, else a deep copy."""
    return clone(student, safe=False)


def parameters(student: Any) -> dict[str, Any]:
    """Parameters of a student; empty if it is not a scikit-learn estimator."""
    return student.get_params(deep=False) if hasattr(student, "get_params") else {}


def time_limit(student: Any) -> float:
    """Seconds that a student's own parameters allow for ``fit``; infinite if they name no limit."""
    # a default that depends on the preset is no parameter
    limit = getattr(student, "time_limit", parameters(student).get("max_time"))
    return math.inf if limit is None else float(limit)


def r2(wanted: Array, answer: Array) -> float:
    """R2; minus infinity if a value is not finite."""
    if not (np.isfinite(answer).all() and np.isfinite(wanted).all()) or len(wanted) < 2:
        return -math.inf
    return float(r2_score(wanted, answer))


def table(teachers: Sequence[Any], trials: Sequence[StudentTrial]) -> pd.DataFrame:
    """Trials as a table, with the strengths of their teachers."""
    rows = [
        (t.round, teachers[t.teacher].jacobian, teachers[t.teacher].lipschitz, t.student_r2,
         t.fidelity, t.teacher_r2, t.seconds)
        for t in trials
    ]  # fmt: skip
    names = ["round", "jacobian", "lipschitz", "student_r2", "fidelity", "teacher_r2", "seconds"]
    return pd.DataFrame(rows, columns=names)

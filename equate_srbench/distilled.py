"""``DistilledRegressor``: a student fitted to the labels of a smooth teacher network."""

from __future__ import annotations

import numbers
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, _fit_context, clone
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted, check_memory, validate_data

from equate_srbench.regressor import EquateRegressor
from equate_srbench.runtime.clock import Deadline
from equate_srbench.teacher.choosing import (
    HoldOut,
    choose,
    parameters,
    r2,
    table,
    time_limit,
    unfitted,
)
from equate_srbench.teacher.smooth import (
    JACOBIAN,
    LIPSCHITZ,
    SmoothTeacher,
    fit_together,
    train_grid,
)

Array = NDArray[np.float64]

#: Shares of the time limit: the teachers, choosing one, and training it on all rows (with nothing
#: to choose it has the time of all three); the last student has the rest.
_SHARES = (0.3, 0.4, 0.1)
#: Tables with fewer rows are not split: the first strengths are taken.
_FEW_ROWS = 10


class DistilledRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """A formula (or any other student) distilled from a smooth network.

    Teachers of many strengths are trained on a part of the rows. Each teaches a student, and the
    strengths are taken whose *student* predicts the true target best on the other rows. Then that
    teacher and its student are fitted once more, to all rows.

    Parameters
    ----------
    teacher : SmoothTeacher, default=None
        Everything but the strengths; None is ``SmoothTeacher()``.
    student : regressor, default=None
        Anything with ``fit`` and ``predict``, of which copies are fitted; None is
        ``EquateRegressor(preset="fast")``. Its own ``max_time``, if it has one, is kept to as
        well.
    jacobian, lipschitz : sequence of float
        Strengths to try, by default 6 times 3. One of each, such as ``(0.0,)`` for an ordinary
        network, leaves nothing to choose.
    validation_fraction : float, default=0.25
        Share of the rows given to ``fit`` that choose the strengths.
    max_time : float, default=60
        Seconds of wall clock for ``fit``: at most .3 of it for the teachers, .4 for choosing, .1
        for the last teacher (one whose time is over keeps its best weights so far). A student
        without a time limit of its own may exceed it, by one fit while choosing and by the last
        one.
    memory : str, joblib.Memory or None, default=None
        Where grids of teachers are kept, so that other students of the same rows find them. Trust
        the folder as you trust your own code: it is read with pickle.
    random_state : int, RandomState instance or None, default=None
        Of the split and the teachers, and of a student that has a ``random_state`` of None.

    Attributes
    ----------
    teacher_ : SmoothTeacher
        Fitted to all rows.
    student_ : regressor
        Fitted to all rows with the labels of ``teacher_``.
    equation_ : Equation
        Of the student, if it has one.
    strengths_ : dict
        ``jacobian`` and ``lipschitz`` that were chosen.
    candidates_ : DataFrame
        A row per student that was tried: round, jacobian, lipschitz, student_r2 (against the true
        target, on the validation rows), fidelity (against the teacher's labels there), teacher_r2
        and seconds. Empty if there was nothing to choose.
    fidelity_ : float
        R2 of the student against its teacher on the fit rows.
    accuracy_ : float
        R2 of the student against the true target on the fit rows.
    teacher_accuracy_ : float
        R2 of the teacher against the true target on the fit rows.
    fit_time_ : float
        Seconds that ``fit`` took.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.

    References
    ----------
    Dhar, Fong, Motani (2025), arXiv 2507.22767: strengths are tuned per data set there too.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from equate_srbench import DistilledRegressor
    >>> X = np.random.default_rng(0).uniform(-2, 2, (100, 2))
    >>> est = DistilledRegressor(student=LinearRegression(), jacobian=(0.0, 0.1), random_state=0)
    >>> bool(est.fit(X, X[:, 0] - X[:, 1]).fidelity_ > 0.9)
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "teacher": [SmoothTeacher, None],
        "student": [HasMethods(["fit", "predict"]), None],
        "jacobian": ["array-like"],
        "lipschitz": ["array-like"],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "memory": [str, HasMethods(["cache"]), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        teacher: SmoothTeacher | None = None,
        student: Any = None,
        *,
        jacobian: Sequence[float] = JACOBIAN,
        lipschitz: Sequence[float] = LIPSCHITZ,
        validation_fraction: float = 0.25,
        max_time: float = 60,
        memory: str | Memory | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.jacobian = jacobian
        self.lipschitz = lipschitz
        self.validation_fraction = validation_fraction
        self.max_time = max_time
        self.memory = memory
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train teachers, choose one by its student, and fit both to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters out of range, and for tables that scikit-learn refuses.
        """
        start = time.monotonic()
        values, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        # students name their formulas after the columns
        rows = pd.DataFrame(values, columns=self._columns()) if self._columns() else values
        seed = int(check_random_state(self.random_state).randint(2**31))
        teacher = clone(self.teacher or SmoothTeacher()).set_params(random_state=seed)
        student = self._student(seed)
        teacher.set_params(**self._strengths(teacher, student, rows, y, seed))
        teacher._validate_params()
        self.strengths_ = {name: getattr(teacher, name) for name in ("jacobian", "lipschitz")}
        share = sum(_SHARES) if self.candidates_.empty else _SHARES[2]
        fit_together([teacher], rows, y, deadline=Deadline(share * self.max_time))
        self.teacher_ = teacher
        labels = self.teacher_.predict(rows)
        if "max_time" in parameters(student):
            left = self.max_time - (time.monotonic() - start)
            least = 0.5 * (1.0 - sum(_SHARES)) * self.max_time
            student.set_params(max_time=min(time_limit(student), max(left, least)))
        student.fit(rows, labels)
        self.student_ = student
        if hasattr(self.student_, "equation_"):
            self.equation_ = self.student_.equation_
        answer = np.asarray(self.student_.predict(rows), dtype=np.float64)
        self.fidelity_, self.accuracy_ = r2(labels, answer), r2(y, answer)
        self.teacher_accuracy_ = r2(y, labels)
        self.fit_time_ = time.monotonic() - start
        return self

    def _columns(self) -> list[str]:
        return list(getattr(self, "feature_names_in_", ()))

    def _student(self, seed: int) -> Any:
        """An unfitted student with a seed."""
        student = EquateRegressor(preset="fast") if self.student is None else unfitted(self.student)
        if parameters(student).get("random_state", seed) is None:
            student.set_params(random_state=seed)
        return student

    def _strengths(
        self, teacher: SmoothTeacher, student: Any, X: Any, y: Array, seed: int
    ) -> dict[str, float]:
        """Choose the strengths whose student is best on held-out rows."""
        # the Jacobian's strengths come first: short of time, those of lipschitz are left out
        pairs = [(float(j), float(bound)) for bound in self.lipschitz for j in self.jacobian]
        if not pairs:
            raise ValueError("jacobian and lipschitz each need at least one value, such as (0.0,)")
        self.candidates_ = table([], [])
        chosen = pairs[0]
        if len(pairs) > 1 and len(y) >= _FEW_ROWS:
            X, X_held, y, y_held = train_test_split(
                X, y, test_size=self.validation_fraction, random_state=seed
            )
            grid = check_memory(self.memory).cache(_grid, ignore=["seconds"])
            members = grid(
                teacher, X, y, tuple(self.jacobian), tuple(self.lipschitz),
                seconds=_SHARES[0] * self.max_time,
            )  # fmt: skip
            by_pair = {(m.jacobian, m.lipschitz): m for m in members}
            members = [by_pair[pair] for pair in pairs]
            place, trials = choose(
                members, student, HoldOut(X, y, X_held, y_held), _SHARES[1] * self.max_time
            )
            chosen, self.candidates_ = pairs[place], table(members, trials)
        return dict(zip(("jacobian", "lipschitz"), chosen, strict=True))

    def predict(self, X: ArrayLike) -> Array:
        """Values of the student.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "student_")
        values = validate_data(self, X, dtype=np.float64, reset=False)
        rows = pd.DataFrame(values, columns=self._columns()) if self._columns() else values
        return np.asarray(self.student_.predict(rows), dtype=np.float64)


def _grid(
    teacher: SmoothTeacher,
    X: Any,
    y: Array,
    jacobian: Sequence[float],
    lipschitz: Sequence[float],
    *,
    seconds: float,
) -> list[SmoothTeacher]:
    """``train_grid`` with a time limit, as a module-level function that joblib can cache."""
    return train_grid(
        teacher, X, y, jacobian=jacobian, lipschitz=lipschitz, deadline=Deadline(seconds)
    )

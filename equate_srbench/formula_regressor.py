"""``FormulaRegressor``: what all estimators that answer with a formula have in common."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from equate_srbench.equation import Equation
from equate_srbench.expr.text.html import formulas_html
from equate_srbench.problem.canonical import Problem, bad_columns
from equate_srbench.problem.column_kinds import refuse_columns
from equate_srbench.problem.domain import Domain

Array = NDArray[np.float64]


class ConstantAnswerWarning(UserWarning):
    """A fit ran out of time before it tried a formula: its answer is the mean of the target."""


class FormulaRegressor(RegressorMixin, BaseEstimator):
    """Validation, column names, predictions and text of an estimator with an ``equation_``.

    A subclass has parameters of its own and a ``fit`` that sets ``equation_`` and ``_domain``.

    Attributes
    ----------
    equation_ : Equation
        The chosen formula.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.
    """

    equation_: Equation
    n_features_in_: int
    _domain: Domain

    def predict(self, X: ArrayLike) -> Array:
        """Values of the chosen formula.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            What ``equation_`` says. Where that is undefined, a nearby value, with a warning; see
            ``problem.domain.Domain.predict``.
        """
        check_is_fitted(self, "equation_")
        return self._domain.predict(self.equation_, self._validated(X, reset=False))

    def model_string(self, X: pd.DataFrame | None = None) -> str:
        """The formula as text that SymPy reads.

        Parameters
        ----------
        X : DataFrame, optional
            The names of its columns are used; default: the names seen in ``fit``, else
            ``x0, x1, ...``.
        """
        return model(self, X)

    def _validated(self, X: ArrayLike, *y: ArrayLike, **options: Any) -> Any:
        """scikit-learn's checks; where they refuse a table, the message names its columns too."""
        refuse_columns(X, *y)
        try:
            return validate_data(self, X, *y, dtype=np.float64, **options)
        except (ValueError, TypeError) as error:
            columns = bad_columns(X)
            if not columns:
                raise
            raise ValueError(f"{error}\n{columns}") from None

    def _names(self) -> list[str]:
        """Names of the columns: those seen in ``fit``, else ``x0, x1, ...``."""
        names = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if names is None else list(names)

    def _html_repr(self) -> str:
        """scikit-learn's box, the chosen formula below it."""
        box: str = super()._html_repr()
        chosen = getattr(self, "equation_", None)
        return box if chosen is None else box + formulas_html([chosen])


def warn_of_little(limit: float, problem: Problem, tried: int = 0) -> None:
    """Say that the search did not begin within ``limit`` seconds, unless the target is constant.

    Parameters
    ----------
    limit : float
    problem : Problem
    tried : int, default=0
        Number of simple formulas that were tried before.
    """
    if not np.ptp(problem.y) > 0.0:
        return
    rows = len(problem.y if problem.rows is None else problem.rows)
    table = f"{rows:,} different rows and {len(problem.kept)} columns"
    if tried:
        warnings.warn(
            f"only {tried} simple formulas were tried within max_time={limit:g} s on {table}: the "
            "answer is the best of them; give more time or fewer rows",
            UserWarning,
            stacklevel=5,
        )
    else:
        warnings.warn(
            f"no formula was tried within max_time={limit:g} s on {table}: the answer is a "
            "constant, the mean of the target; give more time or fewer rows",
            ConstantAnswerWarning,
            stacklevel=5,
        )


def model(est: Any, X: pd.DataFrame | None = None) -> str:
    """The fitted formula as SRBench wants it: a SymPy-compatible string.

    Parameters
    ----------
    est : estimator
        With ``equation_``.
    X : DataFrame, optional
        The names of its columns are used if all are strings; default: the names seen in ``fit``,
        else ``x0, x1, ...``.
        A name that no SymPy text can hold (``lambda``, ``x 1``) is changed as little as possible.
    """
    check_is_fitted(est, "equation_")
    names = [] if X is None else list(getattr(X, "columns", ()))
    if not names or not all(isinstance(name, str) for name in names):
        return str(est.equation_)
    return str(Equation(est.equation_.tree, names))

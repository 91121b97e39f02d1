"""Estimators that behave well or badly on purpose, for tests of the benchmark."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from equate_srbench.problem.domain import UndefinedWarning


class Linear(RegressorMixin, BaseEstimator):
    """Least squares with a formula; knows ``max_time`` and ``random_state``."""

    def __init__(self, max_time=1.0, random_state=None):
        self.max_time = max_time
        self.random_state = random_state

    def fit(self, X, y):
        """Learn from the rows."""
        self.inner_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        """Values for the rows."""
        return self.inner_.predict(X)

    def model_string(self, X):
        """The formula in the names of the columns."""
        terms = [f"{c!r}*{n}" for c, n in zip(self.inner_.coef_.tolist(), X.columns, strict=True)]
        return " + ".join([repr(float(self.inner_.intercept_)), *terms])


class Undefined(Linear):
    """Predicts NaN for the first row."""

    def predict(self, X):
        """Values for the rows."""
        values = self.inner_.predict(X)
        values[0] = np.nan
        return values


class Raises(Linear):
    """``fit`` raises."""

    def fit(self, X, y):
        """Learn from the rows."""
        raise RuntimeError("no fit\ntoday")


class Oracle(Linear):
    """Knows the second Lotka-Volterra equation."""

    def fit(self, X, y):
        """Learn from the rows."""
        self.columns_ = list(X.columns)
        return self

    def predict(self, X):
        """Values for the rows."""
        x, y = X[self.columns_].to_numpy().T
        return 2 * y - x * y - y**2

    def model_string(self, X):
        """The formula in the names of the columns."""
        return "y*(2 - x - y)"


class Tracing(Linear):
    """Keeps its candidates in the order found."""

    def fit(self, X, y):
        """Learn from the rows."""
        self.candidates_ = pd.DataFrame(
            {"seconds": [0.3, 0.1, 0.2, 0.4], "r2": [0.9, 0.2, 0.1, float("-inf")]}
        )
        return super().fit(X, y)


class Nan(Linear):
    """Has no value on the first row."""

    def predict(self, X):
        """Values for the rows, but for one."""
        values = super().predict(X)
        values[0] = np.nan
        return values


class Patched(Linear):
    """Had no value on a row, and says what it did about it."""

    def predict(self, X):
        """Values for the rows, with a warning."""
        warnings.warn("undefined on 1 row", UndefinedWarning, stacklevel=2)
        return super().predict(X)

"""``ITEARegressor``: ITEA from PyPI, in a separate environment."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from equate_srbench.baselines.external import ExternalRegressor


class ITEARegressor(ExternalRegressor):
    """Interaction-transformation evolution, run by its authors' package ``itea``.

    ``equate baselines install itea`` makes its environment. Generations go on until the time is
    up; the answer is the most accurate expression of all that were fitted. Functions are those of
    SRBench's configuration: id, tanh, sin, cos, log, exp and sqrt(abs).

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock for the evolution, one thread.
    popsize : int, default=100
        As in the package.
    max_terms : int, default=5
        As in the package.
    expolim : tuple of int, default=(-3, 3)
        Smallest and largest exponent; where ``X`` has a zero, the smallest is at least 0, because
        no expression with a negative one could be fitted.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    equation_ : Equation
    fit_time_ : float
        Seconds of the fit without starting the package's process.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.

    References
    ----------
    de Franca and Aldeia (2021), Evolutionary Computation 29(3).
    """

    package = "itea"

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "popsize": [Interval(numbers.Integral, 2, None, closed="left")],
        "max_terms": [Interval(numbers.Integral, 1, None, closed="left")],
        "expolim": [tuple, list],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_time: float = 60,
        popsize: int = 100,
        *,
        max_terms: int = 5,
        expolim: tuple[int, int] = (-3, 3),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.popsize = popsize
        self.max_terms = max_terms
        self.expolim = expolim
        self.random_state = random_state

"""``PySRRegressor``: PySR, in a separate environment, where there is a Julia."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from equate_srbench.baselines.external import ExternalRegressor


class PySRRegressor(ExternalRegressor):
    """Genetic programming in Julia, by the package ``pysr``; needs ``julia`` on the PATH.

    ``equate baselines install pysr`` makes its environment. One thread, deterministic.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock for the search.
    populations, population_size, maxsize : int, default=31, 27, 30
        As in the package.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    equation_, fit_time_, n_features_in_, feature_names_in_ :
        As in ``ITEARegressor``.

    References
    ----------
    Cranmer (2023), arXiv 2305.01582.
    """

    package = "pysr"

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "populations": [Interval(numbers.Integral, 1, None, closed="left")],
        "population_size": [Interval(numbers.Integral, 10, None, closed="left")],
        "maxsize": [Interval(numbers.Integral, 7, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_time: float = 60,
        populations: int = 31,
        *,
        population_size: int = 27,
        maxsize: int = 30,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.populations = populations
        self.population_size = population_size
        self.maxsize = maxsize
        self.random_state = random_state

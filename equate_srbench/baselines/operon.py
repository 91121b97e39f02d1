"""``OperonRegressor``: Operon (pyoperon), in a separate environment."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from equate_srbench.baselines.external import ExternalRegressor


class OperonRegressor(ExternalRegressor):
    """Genetic programming with Levenberg-Marquardt on constants, by the package ``pyoperon``.

    ``equate baselines install operon`` makes its environment. Set up as SRBench's wrapper does it,
    without its tuning: NSGA-II on accuracy and length until the time is up. One thread.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock; Operon counts them whole.
    population_size : int, default=1000
    max_length : int, default=50
        Nodes.
    optimizer_iterations : int, default=1
        Levenberg-Marquardt steps per individual.
    symbols : str, default="add,sub,mul,div,sin,cos,exp,log,sqrt,pow,constant,variable"
    select : {"minimum_description_length", "mean_squared_error"}
        How the answer is chosen from the front; the first by default, as in SRBench's wrapper.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    equation_, fit_time_, n_features_in_, feature_names_in_ :
        As in ``ITEARegressor``.

    References
    ----------
    Burlacu, Kronberger and Kommenda (2020), Operon C++, GECCO companion.
    """

    package = "operon"

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "population_size": [Interval(numbers.Integral, 2, None, closed="left")],
        "max_length": [Interval(numbers.Integral, 1, None, closed="left")],
        "optimizer_iterations": [Interval(numbers.Integral, 0, None, closed="left")],
        "symbols": [str],
        "select": [StrOptions({"minimum_description_length", "mean_squared_error"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_time: float = 60,
        population_size: int = 1000,
        *,
        max_length: int = 50,
        optimizer_iterations: int = 1,
        symbols: str = "add,sub,mul,div,sin,cos,exp,log,sqrt,pow,constant,variable",
        select: str = "minimum_description_length",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.population_size = population_size
        self.max_length = max_length
        self.optimizer_iterations = optimizer_iterations
        self.symbols = symbols
        self.select = select
        self.random_state = random_state

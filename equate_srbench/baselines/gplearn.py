"""``GplearnRegressor``: gplearn, in a separate environment."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from equate_srbench.baselines.external import ExternalRegressor

#: What gplearn's programs may be made of here.
FUNCTIONS = ("add", "sub", "mul", "div", "sqrt", "log", "sin", "cos")


class GplearnRegressor(ExternalRegressor):
    """Genetic programming by the package ``gplearn``.

    ``equate baselines install gplearn`` makes its environment. SRBench's settings; generations go
    on until the next would not end in time. The formula says ``a/b`` where gplearn computes 1 for
    ``|b| <= 0.001``, and likewise 0 for logarithms next to 0: predictions follow the formula,
    which is undefined on rows where a denominator is 0. Leave such functions out where columns
    have zeros.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock, one thread.
    population_size : int, default=1000
    parsimony_coefficient : float, default=0.001
        Price of a node, as in the package.
    function_set : sequence of str, default=FUNCTIONS
        Some of add, sub, mul, div, sqrt, log, sin and cos.
    linear_scaling : bool, default=False
        Look for what correlates best with the target, and answer with its least-squares line
        (Keijzer 2003). Without it, targets far from the size of the columns are out of reach.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    equation_, fit_time_, n_features_in_, feature_names_in_ :
        As in ``ITEARegressor``.
    """

    package = "gplearn"

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "population_size": [Interval(numbers.Integral, 20, None, closed="left")],
        "parsimony_coefficient": [Interval(numbers.Real, 0, None, closed="left")],
        "function_set": ["array-like"],
        "linear_scaling": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_time: float = 60,
        population_size: int = 1000,
        *,
        parsimony_coefficient: float = 0.001,
        function_set: Sequence[str] = FUNCTIONS,
        linear_scaling: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.population_size = population_size
        self.parsimony_coefficient = parsimony_coefficient
        self.function_set = function_set
        self.linear_scaling = linear_scaling
        self.random_state = random_state

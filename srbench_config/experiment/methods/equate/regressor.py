"""EQUATE: a pretrained transformer adapted to one data set.

The estimator is in the package ``equate-srbench``. Importing this file is quick and needs no
network; torch and the weights are loaded by ``pre_train``, or else by ``fit``.
"""

from equate_srbench.srbench.estimator import SRBenchRegressor, complexity, model, pre_train

__all__ = ["complexity", "est", "eval_kwargs", "hyper_params", "model"]

#: ``max_time`` is in seconds. Formulas are found in the units of the data, so nothing is scaled.
est = SRBenchRegressor(max_time=3600)

#: One setting for all data sets: there is nothing to tune.
hyper_params = [{"preset": ["default"]}]

eval_kwargs = {
    "test_params": {"longest": 4.0},  # seconds
    "max_train_samples": 10_000,
    "scale_x": False,
    "scale_y": False,
    "pre_train": pre_train,
}

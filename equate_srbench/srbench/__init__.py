"""The SRBench entry: its estimator, a check of SRBench's contract, and the export."""

from equate_srbench.srbench.estimator import SRBenchRegressor, complexity, model, pre_train

__all__ = ["SRBenchRegressor", "complexity", "model", "pre_train"]

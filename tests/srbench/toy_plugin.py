"""A submission of ours that keeps SRBench's contract and is quick, to be broken in many ways."""

from __future__ import annotations

from pathlib import Path

from equate_srbench.srbench.submission import Submission

GOOD = """
import time
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Toy(RegressorMixin, BaseEstimator):
    def __init__(self, max_time=60.0, random_state=None, size=3):
        self.max_time, self.random_state, self.size = max_time, random_state, size

    def fit(self, X, y):
        table = np.column_stack([np.ones(len(X)), np.asarray(X, dtype=float)])
        self.coef_ = np.linalg.lstsq(table, np.asarray(y, dtype=float), rcond=None)[0]
        return self

    def predict(self, X):
        return np.column_stack([np.ones(len(X)), np.asarray(X, dtype=float)]) @ self.coef_


est = Toy()
hyper_params = [{"size": [3]}]
eval_kwargs = {"test_params": {"size": 1}, "scale_x": False, "scale_y": False}


def model(est, X=None):
    terms = [f"({float(c)!r})*{name}" for c, name in zip(est.coef_[1:], X.columns)]
    return " + ".join([repr(float(est.coef_[0])), *terms])


def complexity(est):
    return 4 * len(est.coef_)
"""

METADATA = """authors:
  - The authors of a toy
email: toy@example.org
name: Toy
description: |
  Least squares.
url: https://example.org/toy
"""


def write_toy(root: Path, extra: str = "", source: str = GOOD) -> Submission:
    """Write a submission: the good plugin, followed by what breaks it."""
    made = Submission(root, "toy")
    made.algorithm.mkdir(parents=True)
    made.method.mkdir(parents=True)
    (made.algorithm / "metadata.yml").write_text(METADATA)
    (made.algorithm / "install.sh").write_text("set -e\npip install toy\n")
    (made.method / "__init__.py").write_text("")
    (made.method / "regressor.py").write_text(source + extra)
    return made

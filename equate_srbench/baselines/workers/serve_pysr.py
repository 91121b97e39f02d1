"""Worker for PySR."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from line_protocol import main
from pysr import PySRRegressor


def fit(
    X: np.ndarray, y: np.ndarray, settings: dict[str, Any], seconds: float, seed: int, tell: Any
) -> None:
    """Search until PySR's own time limit and return its choice from the Pareto front."""
    with tempfile.TemporaryDirectory() as folder:
        est = PySRRegressor(
            niterations=10**7,
            timeout_in_seconds=seconds,
            populations=settings.get("populations", 31),
            population_size=settings.get("population_size", 27),
            maxsize=settings.get("maxsize", 30),
            binary_operators=["+", "-", "*", "/"],
            unary_operators=["sin", "cos", "exp", "log", "sqrt", "square"],
            parallelism="serial",
            deterministic=True,
            random_state=seed,
            progress=False,
            verbosity=0,
            output_directory=folder,
        )
        est.fit(X, y, variable_names=[f"x{j}" for j in range(X.shape[1])])
        tell(str(est.sympy()))


if __name__ == "__main__":
    main(fit)

"""Worker for Operon (pyoperon)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from line_protocol import Clock, main
from pyoperon.sklearn import SymbolicRegressor
from sklearn.ensemble import RandomForestRegressor

#: Operon's constants have single precision and are written without exponent.
_DECIMALS = 50


def fit(
    X: np.ndarray, y: np.ndarray, settings: dict[str, Any], seconds: float, seed: int, tell: Any
) -> None:
    """Evolve until the time limit and choose from the Pareto front of accuracy and length.

    The choice by description length needs the size of the noise: that of a random forest's
    residuals on the training rows, as in SRBench's configuration. Its time counts.
    """
    clock = Clock(seconds)
    forest = RandomForestRegressor(30 if seconds < 5 else 100, random_state=seed, n_jobs=1)
    noise = float(np.sqrt(np.mean((forest.fit(X, y).predict(X) - y) ** 2)))
    est = SymbolicRegressor(
        allowed_symbols=settings.get(
            "symbols", "add,sub,mul,div,sin,cos,exp,log,sqrt,pow,constant,variable"
        ),
        objectives=["r2", "length"],
        offspring_generator="basic",
        initialization_method="btc",
        reinserter="keep-best",
        optimizer="lm",
        optimizer_iterations=settings.get("optimizer_iterations", 1),
        epsilon=1e-5,
        population_size=settings.get("population_size", 1000),
        generations=10**6,
        max_evaluations=10**9,
        max_length=settings.get("max_length", 50),
        tournament_size=5,
        female_selector="tournament",
        male_selector="tournament",
        n_threads=1,
        uncertainty=[max(noise, 1e-12)],
        max_time=max(1, round(seconds - clock.elapsed())),  # it counts whole seconds
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, y)
    criterion = settings.get("select", "minimum_description_length")
    best = min(est.pareto_front_, key=lambda model: model[criterion])
    names = [f"x{j}" for j in range(X.shape[1])]
    tell(est.get_model_string(best["tree"], _DECIMALS, names).replace("^", "**"))


if __name__ == "__main__":
    main(fit)

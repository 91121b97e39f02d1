"""Worker for gplearn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from gplearn.genetic import SymbolicRegressor
from line_protocol import BestSoFar, Clock, main

#: Functions as text; gplearn protects them near 0, which a formula cannot express.
_TEXT = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({}*{})",
    "div": "({}/{})",
    "sqrt": "sqrt(abs({}))",
    "log": "log(abs({}))",
    "sin": "sin({})",
    "cos": "cos({})",
}


def fit(
    X: np.ndarray, y: np.ndarray, settings: dict[str, Any], seconds: float, seed: int, tell: Any
) -> None:
    """Add generations until the next one would exceed the time limit."""
    clock, best = Clock(seconds), BestSoFar(tell, _formula)
    scaled = settings.get("linear_scaling", False)
    functions = tuple(settings.get("function_set", _TEXT))
    if not set(functions) <= set(_TEXT):
        raise ValueError(f"function_set is {functions}: take some of {tuple(_TEXT)}")
    est = SymbolicRegressor(
        population_size=settings.get("population_size", 1000),
        generations=1,
        tournament_size=20,
        init_depth=(2, 6),
        init_method="half and half",
        function_set=functions,
        metric="pearson" if scaled else "mean absolute error",
        parsimony_coefficient=settings.get("parsimony_coefficient", 0.001),
        p_crossover=0.9,
        p_subtree_mutation=0.01,
        p_hoist_mutation=0.01,
        p_point_mutation=0.01,
        p_point_replace=0.05,
        max_samples=1.0,
        warm_start=True,
        low_memory=True,
        n_jobs=1,
        random_state=seed,
    )
    last = 0.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        while last == 0.0 or clock.elapsed() + last < seconds:
            started = clock.elapsed()
            est.fit(X, y)
            program = est._program
            line = _line(program.execute(X), y) if scaled else None
            best.offer((program.program, line), program.raw_fitness_ * (-1.0 if scaled else 1.0))
            last = clock.elapsed() - started
            est.set_params(generations=est.generations + 1)
    best.tell()


def _line(values: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept by least squares; the mean if the values are constant."""
    if not np.isfinite(values).all() or np.ptp(values) == 0.0:
        return 0.0, float(y.mean())
    centred = values - values.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    return slope, float(y.mean() - slope * values.mean())


def _formula(model: tuple[list[Any], tuple[float, float] | None]) -> str:
    """The program, with linear scaling if there is one."""
    program, line = model
    text = _text(program)
    return text if line is None else f"(({line[0]!r})*({text}) + ({line[1]!r}))"


def _text(program: list[Any]) -> str:
    """Text of a program, which lists functions, column indices and constants in prefix order."""
    done: list[str] = []
    for item in reversed(program):
        if hasattr(item, "arity"):
            arguments = [done.pop() for _ in range(item.arity)]
            done.append(_TEXT[item.name].format(*arguments))
        elif isinstance(item, (int, np.integer)):
            done.append(f"x{int(item)}")
        else:
            done.append(f"({float(item)!r})")
    return done.pop()


if __name__ == "__main__":
    main(fit)

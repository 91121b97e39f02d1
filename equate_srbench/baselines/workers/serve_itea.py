"""Worker for ITEA."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from itea.regression import ITEA_regressor, ITExpr_regressor
from line_protocol import BestSoFar, Clock, main

#: Functions of a term with their derivatives, as in SRBench's configuration.
_FUNCTIONS = {
    "id": (lambda x: x, np.ones_like),
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "log": (np.log, lambda x: 1.0 / x),
    "exp": (np.exp, np.exp),
    "sqrt": (lambda x: np.sqrt(np.abs(x)), lambda x: np.sign(x) / (2.0 * np.sqrt(np.abs(x)))),
}
_TEXT = {"id": "{}", "sqrt": "sqrt(abs({}))"}


class _TimeUp(Exception):
    """The time limit is reached."""


def fit(
    X: np.ndarray, y: np.ndarray, settings: dict[str, Any], seconds: float, seed: int, tell: Any
) -> None:
    """Evolve until the time limit; every fitted expression is a candidate."""
    clock, best = Clock(seconds), BestSoFar(tell, _formula)

    class Timed(ITExpr_regressor):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Timed:
            if clock.over:
                raise _TimeUp
            super().fit(X, y)
            best.offer(self, self._fitness)
            return self

    low, high = settings.get("expolim", (-3, 3))
    if (X == 0).any():  # negative powers of zero are undefined: nothing could be fitted
        low = max(low, 0)
    est = ITEA_regressor(
        gens=10**9,
        popsize=settings.get("popsize", 100),
        max_terms=settings.get("max_terms", 5),
        expolim=(low, high),
        tfuncs={name: f for name, (f, _) in _FUNCTIONS.items()},
        tfuncs_dx={name: d for name, (_, d) in _FUNCTIONS.items()},
        random_state=seed,
    )
    est.itexpr_class = Timed
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with contextlib.suppress(_TimeUp):
            est.fit(X, y)
    best.tell()


def _formula(model: ITExpr_regressor) -> str:
    """``intercept + sum of coefficient * function(product of powers)``."""
    terms = [repr(float(model.intercept_))]
    for weight, (name, exponents) in zip(np.ravel(model.coef_), model.expr, strict=True):
        powers = [f"x{j}**({int(k)})" if k != 1 else f"x{j}" for j, k in enumerate(exponents) if k]
        inner = "*".join(powers) or "1"
        text = _TEXT.get(name, f"{name}({{}})").format(inner)
        if weight:
            terms.append(f"({float(weight)!r})*{text}")
    return " + ".join(terms)


if __name__ == "__main__":
    main(fit)

"""Metrics of one fit as SRBench defines them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from equate_srbench.bench.assess import assess
from equate_srbench.bench.recovery import Law, judge
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.sympy.simplify import simplify, warm_up
from equate_srbench.expr.text.parser import parse

Array = NDArray[np.float64]

#: Longer simplification rarely shortens a formula further, and every fit of a run waits for it.
_SIMPLIFY_SECONDS = 2.0
_ASSESS_SECONDS = 30.0
_ROWS = 1000  # rows on which a simplified formula must agree


def accuracy(y_train: Array, p_train: Array, y_test: Array, p_test: Array) -> dict[str, Any]:
    """Compute R2 and the two accuracy thresholds.

    Parameters
    ----------
    y_train, p_train : ndarray of shape (n_train,)
        Target and finite prediction.
    y_test, p_test : ndarray of shape (n_test,)

    Returns
    -------
    dict
        ``r2_train``, ``r2_test``, ``acc99`` and ``acc999`` (of the test R2).
    """
    r2 = float(r2_score(y_test, p_test))
    return {
        "r2_train": float(r2_score(y_train, p_train)),
        "r2_test": r2,
        "acc99": r2 > 0.99,
        "acc999": r2 > 0.999,
    }


def formula(
    model: str,
    X: pd.DataFrame,
    truth: str | None,
    law: Law | None = None,
    clean: Array | None = None,
) -> dict[str, Any]:
    """Compute the size of a formula and whether it is the true one.

    Parameters
    ----------
    model : str
        As SymPy reads it, in the names of the columns of ``X``.
    X : DataFrame of shape (n_rows, n_features)
        Rows of the dataset.
    truth : str or None
        The true formula; None if it is unknown.
    law : Law, optional
        The same with the ranges in which it is to hold.
    clean : ndarray of shape (n_rows,), optional
        Target of ``X`` without noise, if the fit was to a noisy one.

    Returns
    -------
    dict
        ``complexity`` (nodes of the formula as SymPy reads it), ``complexity_simplified`` (the
        same after at most 2 s of simplification in a worker that can be killed), ``solved`` and
        ``solved_reason``, all None for a formula beyond the limits of our parser; ``recovered`` and
        ``short``, None without a law.
    """
    warm_up()
    names = [str(name) for name in X.columns]
    found = assess(model, truth, X, seconds=_ASSESS_SECONDS) if truth is not None else None
    verdict = {
        "solved": found.solved if found else None,
        "solved_reason": found.reason if found else None,
    }
    if law is not None:
        rows = None if clean is None else (X.to_numpy(dtype=np.float64), clean)
        verdict |= asdict(judge(model, law, rows))
    try:
        tree = parse(model, names)
    except FormulaError:  # more than 500 nodes, or an operator that only this method has
        return {"complexity": None, "complexity_simplified": None, **verdict}
    shorter = simplify(tree, X.to_numpy(dtype=np.float64)[:_ROWS], time_limit=_SIMPLIFY_SECONDS)
    return {
        "complexity": complexity(tree),
        "complexity_simplified": complexity(shorter),
        **verdict,
    }

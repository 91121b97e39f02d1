"""The fit of a user's table for a notebook: reading, splitting, fitting, and what it found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import equate_srbench
from equate_srbench.data.reading import load_table
from equate_srbench.report.formatting import r2_text
from equate_srbench.report.tables.record import Array, FitRecord, RowSubset, score

#: With fewer rows, none is held out for the test.
MIN_ROWS_TO_SPLIT = 20
_GRID = 200  # points of a partial effect
_MAX_BACKGROUND_ROWS = 30  # rows that give the other columns of a partial effect their values


@dataclass(frozen=True)
class UserFit:
    """A fit of a user's table.

    Attributes
    ----------
    record : FitRecord
    estimator : EquateRegressor
        Fitted.
    notes : list of str
        Remarks about the table and warnings of the fit.
    """

    record: FitRecord
    estimator: Any
    notes: list[str]


def split_rows(
    X: pd.DataFrame, y: Array, test_size: float, seed: int
) -> tuple[RowSubset, RowSubset | None]:
    """Split rows at random into fit and test rows, each in the order of the table.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    test_size : float
        Share of the rows held out for the test.
    seed : int

    Returns
    -------
    train : RowSubset
    test : RowSubset or None
        None with fewer than 20 rows, or if either side would have fewer than 2.
    """
    n_test = round(test_size * len(y))
    if len(y) < MIN_ROWS_TO_SPLIT or not 2 <= n_test <= len(y) - 2:
        return RowSubset(X, y), None
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.sort(order[n_test:]), np.sort(order[:n_test])
    return RowSubset(X.iloc[train], y[train]), RowSubset(X.iloc[test], y[test])


def fit(
    table: str,
    target: str = "",
    features: Sequence[str] = (),
    *,
    max_time: float = 20.0,
    preset: str = "default",
    test_size: float = 0.25,
    seed: int = 0,
    report: Callable[[str], object] = lambda text: None,
) -> UserFit:
    """Read a table and fit one of its columns.

    Parameters
    ----------
    table, target, features
        As for ``load_table``.
    max_time, preset, seed
        As for ``EquateRegressor``.
    test_size : float, default=0.25
    report : callable, optional
        Called with a status line on the best formula so far.

    Returns
    -------
    UserFit

    Raises
    ------
    TableError
        If the table or a column cannot be used.
    """
    problem = load_table(table, target, features)
    name, y = str(problem.y.name), problem.y.to_numpy(np.float64)
    train, test = split_rows(problem.X, y, test_size, seed)

    def on_progress(state: Any) -> None:
        report(f"{state.phase}, {state.seconds:.0f} s: R² {r2_text(state.r2)}, {state.equation}")

    estimator = equate_srbench.EquateRegressor(
        max_time=max_time, preset=preset, random_state=seed, on_progress=on_progress
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        estimator.fit(train.X, train.y)
    report(f"Fitted in {estimator.fit_time_:.1f} s.")
    chosen = {"preset": preset, "max_time": f"{max_time:g} s", "seed": str(seed)}
    record = FitRecord.of(
        estimator, train, test, table=Path(table).name, target=name, settings=chosen
    )
    notes = [*problem.notes, *(str(warning.message) for warning in caught)]
    if test is None and test_size > 0:
        notes.append(f"{len(train)} rows: too few to hold some out for a test, all are fitted.")
    return UserFit(record, estimator, notes)


def describe(record: FitRecord) -> list[str]:
    """Describe a fit in sentences: the formula, its accuracy, and the time it took."""
    equation = record.equation
    scores = [f"R² {r2_text(score(equation, rows).r2)} on the {len(rows)} {name} rows"
              for name, rows in record.parts()]  # fmt: skip
    tried = sum(record.tried.values())
    return [
        f"{record.target} = {equation}",
        f"It has {equation.complexity} nodes, {' and '.join(scores)}; it was chosen from "
        f"{tried:,} candidates in {record.seconds:.1f} s.",
        *record.remarks,
    ]


def constants(record: FitRecord) -> pd.DataFrame:
    """Constants of the formula and their least-squares estimates with standard errors.

    Returns
    -------
    DataFrame
        ``value`` in the formula; ``fitted`` and ``error`` by least squares on the fit rows, NaN
        where the rows do not determine them.
    """
    values = record.equation.constants
    if not values:
        return pd.DataFrame(columns=["value", "fitted", "error"])
    fitted = record.equation.fit_constants(record.train.X, record.train.y)
    errors = fitted.standard_errors or [np.nan] * len(values)
    return pd.DataFrame({"value": values, "fitted": fitted.constants, "error": errors})


def partial_effects(record: FitRecord) -> dict[str, pd.DataFrame]:
    """Prediction as a function of one column at a time.

    Returns
    -------
    dict of str to DataFrame
        For each column in the formula: ``x`` over its range, and quantiles of the prediction when
        the other columns take their values from some of the rows: ``low`` (10 %), ``middle``
        (median), ``high`` (90 %); NaN where undefined.
    """
    X = record.train.X
    background = X.iloc[:: max(1, len(X) // _MAX_BACKGROUND_ROWS)].head(_MAX_BACKGROUND_ROWS)
    effects = {}
    for name in record.equation.columns:
        grid = np.linspace(float(X[name].min()), float(X[name].max()), _GRID)
        lines = []
        for _, row in background.iterrows():
            rows = pd.DataFrame([row] * _GRID).assign(**{name: grid})
            with np.errstate(all="ignore"):
                lines.append(np.asarray(record.equation.predict(rows), dtype=np.float64))
        values = np.where(np.isfinite(lines), lines, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all undefined: the result is NaN
            low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=0)
        effects[name] = pd.DataFrame({"x": grid, "low": low, "middle": middle, "high": high})
    return effects

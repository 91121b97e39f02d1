"""One fit of a user's own table, for a notebook: read, split, searched, and looked at."""

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
from equate_srbench.report.tables.record import Array, FitRecord, Rows, score

#: With fewer rows than this none is kept for the test.
FEWEST_ROWS_TO_SPLIT = 20
_GRID = 200  # points of a partial effect
_MOST_OTHERS = 30  # rows that the other columns of a partial effect are held at


@dataclass(frozen=True)
class OwnFit:
    """A fit with what the notebook asks of it.

    Attributes
    ----------
    record : FitRecord
    estimator : EquateRegressor
        Fitted.
    notes : list of str
        What a reader should know about the table and the fit.
    """

    record: FitRecord
    estimator: Any
    notes: list[str]


def split_rows(X: pd.DataFrame, y: Array, test_size: float, seed: int) -> tuple[Rows, Rows | None]:
    """Fit and test rows at random, each in the order of the table.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    test_size : float
        Share of the rows kept for the test.
    seed : int

    Returns
    -------
    train : Rows
    test : Rows or None
        None with fewer than 20 rows, or where fewer than 2 would be left on either side.
    """
    n_test = round(test_size * len(y))
    if len(y) < FEWEST_ROWS_TO_SPLIT or not 2 <= n_test <= len(y) - 2:
        return Rows(X, y), None
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.sort(order[n_test:]), np.sort(order[:n_test])
    return Rows(X.iloc[train], y[train]), Rows(X.iloc[test], y[test])


def fit(
    table: str,
    target: str = "",
    features: Sequence[str] = (),
    *,
    max_time: float = 20.0,
    preset: str = "default",
    test_size: float = 0.25,
    seed: int = 0,
    tell: Callable[[str], object] = lambda text: None,
) -> OwnFit:
    """Fit one column of a table.

    Parameters
    ----------
    table, target, features
        As ``load_table`` takes them.
    max_time, preset, seed
        As ``EquateRegressor`` takes them.
    test_size : float, default=0.25
    tell : callable, optional
        Told the best fit so far.

    Returns
    -------
    OwnFit

    Raises
    ------
    TableError
        For tables and columns that cannot be used.
    """
    problem = load_table(table, target, features)
    name, y = str(problem.y.name), problem.y.to_numpy(np.float64)
    train, test = split_rows(problem.X, y, test_size, seed)

    def told(state: Any) -> None:
        tell(f"{state.phase}, {state.seconds:.0f} s: R² {r2_text(state.r2)}, {state.equation}")

    estimator = equate_srbench.EquateRegressor(
        max_time=max_time, preset=preset, random_state=seed, on_progress=told
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        estimator.fit(train.X, train.y)
    tell(f"Fitted in {estimator.fit_time_:.1f} s.")
    chosen = {"preset": preset, "max_time": f"{max_time:g} s", "seed": str(seed)}
    record = FitRecord.of(
        estimator, train, test, table=Path(table).name, target=name, settings=chosen
    )
    notes = [*problem.notes, *(str(warning.message) for warning in caught)]
    if test is None and test_size > 0:
        notes.append(f"{len(train)} rows: too few to keep some for a test, all are fitted.")
    return OwnFit(record, estimator, notes)


def in_words(record: FitRecord) -> list[str]:
    """The answer: the formula, how well it does, and how long it took."""
    equation = record.equation
    scores = [f"R² {r2_text(score(equation, rows).r2)} on the {len(rows)} {name} rows"
              for name, rows in record.parts()]  # fmt: skip
    tried = sum(record.tried.values())
    return [
        f"{record.target} = {equation}",
        f"It has {equation.complexity} nodes, {' and '.join(scores)}; it was chosen among "
        f"{tried:,} formulas in {record.seconds:.1f} s.",
    ]


def constants(record: FitRecord) -> pd.DataFrame:
    """Constants of the formula, and their least-squares values with standard errors.

    Returns
    -------
    DataFrame
        ``value`` as it stands in the formula, ``fitted`` and ``error`` from least squares on the
        fit rows; NaN where the rows do not determine them.
    """
    values = record.equation.constants
    if not values:
        return pd.DataFrame(columns=["value", "fitted", "error"])
    fitted = record.equation.fit_constants(record.train.X, record.train.y)
    errors = fitted.standard_errors or [np.nan] * len(values)
    return pd.DataFrame({"value": values, "fitted": fitted.constants, "error": errors})


def effects(record: FitRecord) -> dict[str, pd.DataFrame]:
    """What the formula says about one column at a time.

    Returns
    -------
    dict of str to DataFrame
        For each column that the formula uses: ``x`` over its range, and the prediction with the
        other columns as they are in some of the rows: ``low``, ``middle``, ``high`` (10 %, median
        and 90 % of them); NaN where it is undefined.
    """
    X = record.train.X
    some = X.iloc[:: max(1, len(X) // _MOST_OTHERS)].head(_MOST_OTHERS)
    found = {}
    for name in record.equation.columns:
        grid = np.linspace(float(X[name].min()), float(X[name].max()), _GRID)
        lines = []
        for _, row in some.iterrows():
            rows = pd.DataFrame([row] * _GRID).assign(**{name: grid})
            with np.errstate(all="ignore"):
                lines.append(np.asarray(record.equation.predict(rows), dtype=np.float64))
        values = np.where(np.isfinite(lines), lines, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all undefined: NaN says so
            low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=0)
        found[name] = pd.DataFrame({"x": grid, "low": low, "middle": middle, "high": high})
    return found

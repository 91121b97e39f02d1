"""Comparison of methods over datasets: ranks, paired tests, intervals.

Demsar (2006), "Statistical comparisons of classifiers over multiple data sets": average ranks and
Wilcoxon's signed-rank test with Holm's correction.

All functions take a table of scores with one row per dataset and one column per method; larger is
better. A missing score or minus infinity stands for a fit without a result and ranks last.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

Array = NDArray[np.float64]


def score_table(frame: pd.DataFrame, value: str = "r2_test") -> pd.DataFrame:
    """Table of scores by dataset and method from rows of a benchmark.

    Parameters
    ----------
    frame : DataFrame
        As ``RowStore.frame`` gives it.
    value : str, default="r2_test"

    Returns
    -------
    DataFrame
        Index (suite, dataset, noise), one column per method: the median over the trials, in which
        a failed fit counts as minus infinity; NaN where a method was not run.
    """
    values = frame[value].astype(float).where(frame["status"] == "ok").fillna(-np.inf)
    rows = frame[["suite", "dataset", "noise", "method"]].assign(score=values)
    groups = rows.groupby(["suite", "dataset", "noise", "method"])["score"]
    return groups.agg(_median).unstack("method")


def _median(values: pd.Series) -> float:
    """The median; minus infinity where the mean of the middle two is undefined."""
    with np.errstate(invalid="ignore"):
        middle = float(np.median(values))
    return -np.inf if np.isnan(middle) else middle


def ranks(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank the methods on every dataset: 1 is the best, ties share their mean rank.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_methods)

    Returns
    -------
    DataFrame of the same shape
    """
    ranked = rankdata(-_complete(scores), axis=1)
    return pd.DataFrame(ranked, index=scores.index, columns=scores.columns)


def average_ranks(scores: pd.DataFrame) -> pd.Series:
    """Mean rank of every method over the datasets, the best method first."""
    return ranks(scores).mean().sort_values(kind="stable").rename("rank")


def friedman(scores: pd.DataFrame) -> float:
    """Friedman's test of equal performance of all methods: its p value.

    Raises
    ------
    ValueError
        For fewer than three methods or two datasets.
    """
    if scores.shape[1] < 3 or len(scores) < 2:
        raise ValueError(
            f"{scores.shape[1]} methods on {len(scores)} datasets: Friedman's test needs at least "
            "3 methods and 2 datasets; compare two methods with wilcoxon_holm"
        )
    ranked = ranks(scores).to_numpy()
    if (ranked == ranked[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*ranked.T).pvalue)


def wilcoxon_holm(
    scores: pd.DataFrame, *, against: str | None = None, floor: float = 0.0
) -> pd.DataFrame:
    """Wilcoxon signed-rank tests of pairs of methods with Holm's correction.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_methods)
    against : str, optional
        Compare this method with every other; default all pairs.
    floor : float, default=0.0
        Lower scores are raised to this value: the size of an extremely negative R2 carries no
        information.

    Returns
    -------
    DataFrame
        One row per pair: ``a``, ``b``, ``wins`` of a, ``ties``, ``losses``, ``difference`` (median
        of a - b), ``p`` (two-sided; 1 if all are ties) and ``p_holm``.
    """
    if against is not None and against not in scores.columns:
        raise ValueError(f"no method {against!r}: there are {', '.join(map(str, scores.columns))}")
    names = list(scores.columns)
    pairs = (
        list(combinations(names, 2))
        if against is None
        else [(against, name) for name in names if name != against]
    )
    table = pd.DataFrame(
        np.maximum(_complete(scores), floor), index=scores.index, columns=scores.columns
    )
    rows = []
    for a, b in pairs:
        gap = (table[a] - table[b]).to_numpy()
        p = float(wilcoxon(gap, zero_method="pratt").pvalue) if gap.any() else 1.0
        signs = [int(np.sum(gap > 0)), int(np.sum(gap == 0)), int(np.sum(gap < 0))]
        rows.append((a, b, *signs, float(np.median(gap)), p))
    out = pd.DataFrame(rows, columns=["a", "b", "wins", "ties", "losses", "difference", "p"])
    return out.assign(p_holm=holm(out["p"]))


def holm(p: ArrayLike) -> Array:
    """Holm's step-down correction of p values for multiple testing.

    Parameters
    ----------
    p : array_like of shape (n_tests,)

    Returns
    -------
    ndarray of shape (n_tests,)
        Corrected, at most 1, in the given order.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    out = np.empty_like(values)
    out[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return out


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., Array] = np.mean,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> tuple[float, float]:
    """Bootstrap percentile interval of a statistic over datasets.

    Parameters
    ----------
    values : array_like of shape (n_datasets,)
        Minus infinity is allowed if the statistic supports it, as a median does.
    statistic : callable, default=numpy.mean
        Takes an array and ``axis``.
    rng : Generator
    level : float, default=0.95
    n_resamples : int, default=2000

    Returns
    -------
    low, high : float
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise ValueError("no values: an interval needs at least one")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level}: give a share between 0 and 1, for example 0.95")
    drawn = values[rng.integers(len(values), size=(n_resamples, len(values)))]
    with np.errstate(invalid="ignore"):
        found = statistic(drawn, axis=1)
    tail = (1.0 - level) / 2.0
    # an order statistic, not an interpolation: the mean of -inf and a number is no bound
    low, high = np.quantile(found, [tail, 1.0 - tail], method="closest_observation")
    return float(low), float(high)


def _complete(scores: pd.DataFrame) -> Array:
    """The table with minus infinity for missing scores, shape (n_datasets, n_methods)."""
    if not scores.shape[0] or not scores.shape[1]:
        raise ValueError("an empty table of scores: nothing to compare")
    values = scores.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(values), -np.inf, values)

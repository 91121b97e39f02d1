"""A finished fit as plain data: everything that a report needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from equate_srbench.equation import Equation

Array = NDArray[np.float64]

#: Where formulas come from, in the order of the legends. ``constant`` is the mean of the target,
#: from which every fit starts.
SOURCES = ("family", "library", "backbone", "ascent", "edit", "shorten", "constant")


@dataclass(frozen=True, slots=True)
class RowSubset:
    """Rows of a table: those of the fit, or those held out for the test.

    Attributes
    ----------
    X : DataFrame of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    """

    X: pd.DataFrame
    y: Array

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class FitRecord:
    """A finished fit and the rows it was made and tested on.

    Attributes
    ----------
    table, target : str
        Name of the table and of the predicted column.
    equation : Equation
        The chosen formula.
    front, candidates, trajectory : DataFrame
        ``equations_``, ``candidates_`` and ``trajectory_`` of the estimator.
    train, test : RowSubset
        Rows of the fit and held-out rows; ``test`` is None if all rows were fitted.
    seconds : float
        Wall-clock time of the fit.
    tried : dict of str to int
        Number of formulas tried per source; ``candidates`` holds the best of them.
    interrupted : bool
        Whether the user stopped the fit.
    remarks : list of str
        Sentences on what the search found out about the table, or did not get to.
    settings : dict of str to str
        Settings to list in the report (preset, seed, versions, ...).
    """

    table: str
    target: str
    equation: Equation
    front: pd.DataFrame
    candidates: pd.DataFrame
    trajectory: pd.DataFrame
    train: RowSubset
    test: RowSubset | None
    seconds: float
    tried: dict[str, int]
    interrupted: bool = False
    remarks: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def features(self) -> list[str]:
        """Names of the feature columns."""
        return [str(name) for name in self.train.X.columns]

    @classmethod
    def of(
        cls,
        estimator: Any,
        train: RowSubset,
        test: RowSubset | None = None,
        *,
        table: str,
        target: str,
        settings: dict[str, str] | None = None,
    ) -> FitRecord:
        """Record a fitted ``EquateRegressor``, or any object with its fitted attributes."""
        return cls(
            table=table,
            target=target,
            equation=estimator.equation_,
            front=estimator.equations_,
            candidates=estimator.candidates_,
            trajectory=estimator.trajectory_,
            train=train,
            test=test,
            seconds=estimator.fit_time_,
            tried=estimator.diagnostics_["tried"],
            interrupted=estimator.interrupted_,
            remarks=_remarks(estimator.diagnostics_),
            settings=settings or {},
        )

    def parts(self) -> list[tuple[str, RowSubset]]:
        """Named row subsets: ``fit`` and, if rows were held out, ``test``."""
        return [("fit", self.train), *([("test", self.test)] if self.test else [])]

    def ranking(self) -> pd.DataFrame:
        """The Pareto front, including the chosen formula, ordered by complexity.

        Returns
        -------
        DataFrame
            Columns ``complexity``, ``loss``, ``r2`` (fit rows), ``test_r2`` (only with test rows),
            ``chosen`` (the chosen formula), ``equation`` and ``object``.
        """
        table = self.front.assign(chosen=self.front["equation"] == str(self.equation))
        if not table["chosen"].any():  # selection weighs more than size and loss
            row = {
                "complexity": self.equation.complexity,
                "loss": score(self.equation, self.train).rmse ** 2,
                "r2": score(self.equation, self.train).r2,
                "equation": str(self.equation),
                "object": self.equation,
                "chosen": True,
            }
            table = pd.concat([table, pd.DataFrame([row])]).sort_values("complexity", kind="stable")
        columns = ["complexity", "loss", "r2", "chosen", "equation", "object"]
        if self.test is not None:
            table["test_r2"] = [score(equation, self.test).r2 for equation in table["object"]]
            columns.insert(3, "test_r2")
        return table[columns].reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Scores:
    """Prediction quality of a formula on some rows.

    Attributes
    ----------
    r2 : float
        1 - residual / total sum of squares; NaN if the target is constant on these rows.
    rmse, largest : float
        Root mean square and largest absolute residual, in units of the target.
    """

    r2: float
    rmse: float
    largest: float


def score(equation: Equation, rows: RowSubset) -> Scores:
    """Score a formula on some rows; errors are infinite if it is undefined on any of them."""
    with np.errstate(all="ignore"):
        residual = rows.y - np.asarray(equation.predict(rows.X), dtype=np.float64)
        if not np.isfinite(residual).all():
            return Scores(float("-inf"), float("inf"), float("inf"))
        total = float(((rows.y - rows.y.mean()) ** 2).sum())
        squares = float((residual**2).sum())
    r2 = 1.0 - squares / total if total > 0 else float("nan")
    return Scores(r2, float(np.sqrt(squares / len(rows))), float(np.abs(residual).max()))


def _remarks(diagnostics: dict[str, Any]) -> list[str]:
    """What ``diagnostics_`` says, in sentences."""
    out = []
    if not diagnostics.get("began", True):
        tried = sum(diagnostics["tried"].values())
        out.append(
            f"The time was over before the search began: this is the best of {tried} simple "
            "formulas. Give it more time, or fewer rows."
            if tried
            else "The time was over before the search began: no formula was tried, and this is the "
            "mean of the target. Give it more time, or fewer rows."
        )
    if diagnostics.get("floor"):
        rest = (
            "the formula is as exact as that allows"
            if diagnostics.get("exact")
            else "no formula can be more exact than that allows"
        )
        out.append(f"Rounded numbers ({diagnostics['floor']}): {rest}.")
    return out


def by_source(record: FitRecord) -> pd.DataFrame:
    """Contribution of each source of formulas, one row per source that tried any.

    Returns
    -------
    DataFrame
        Columns ``source``, ``tried`` (number of formulas), ``best_r2`` (NaN if none was kept),
        ``records`` (how often the source improved on the best so far) and ``on_front``.
    """
    candidates = record.candidates
    best = candidates.groupby("source")["r2"].max()
    records = milestones(record)["source"].value_counts()
    front = candidates[candidates["equation"].isin(record.front["equation"])]
    on_front = front.drop_duplicates("equation")["source"].value_counts()
    names = [s for s in SOURCES if s in best or record.tried.get(s)]
    names += sorted((set(best.index) | set(record.tried)) - set(SOURCES))
    return pd.DataFrame(
        {
            "source": names,
            "tried": [int(record.tried.get(s, (candidates["source"] == s).sum())) for s in names],
            "best_r2": [float(best.get(s, np.nan)) for s in names],
            "records": [int(records.get(s, 0)) for s in names],
            "on_front": [int(on_front.get(s, 0)) for s in names],
        }
    )


def milestones(record: FitRecord) -> pd.DataFrame:
    """Candidates that improved on the best loss so far, in chronological order."""
    ordered = record.candidates.sort_values("seconds", kind="stable")
    loss = ordered["loss"].to_numpy(dtype=np.float64)
    before = np.fmin.accumulate(np.concatenate([[np.inf], loss]))[:-1]
    return ordered[loss < before].reset_index(drop=True)

"""Finished fits and rows by hand, so that reports are tested without a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equate_srbench.bench.rows import RowStore
from equate_srbench.equation import Equation
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.record import FitRecord, RowSubset, score
from equate_srbench.report.tables.trajectories import SuiteTrajectories
from tests.report.made_up import fill, student_fits, suite_trajectories

MakeRecord = Callable[..., FitRecord]
TEXTS = ("1.75", "2.5*x_0", "2*x_0 + 0.30000000000000004", "2*x_0 + 0.3 + sin(x_0)/1000")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder of rows."""
    fill(RowStore(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def block(run: Path) -> compare.Block:
    """The one block of these rows."""
    return compare.blocks(RowStore(run).frame())[0]


@pytest.fixture
def students() -> pd.DataFrame:
    """Fits of students with and without teachers."""
    return student_fits()


@pytest.fixture
def found() -> SuiteTrajectories:
    """Fits of a suite with their search steps."""
    return suite_trajectories()


@pytest.fixture
def make_record() -> MakeRecord:
    """Build the record of a fit of ``target`` = 2 ``column`` + .3 with a little noise."""

    def make(
        column: str = "x", target: str = "y", *, extra: int = 0, test: bool = True, n: int = 400
    ) -> FitRecord:
        rng = np.random.default_rng(7)
        names = [column, *(f"other_{i}" for i in range(extra))]
        X = pd.DataFrame(rng.uniform(0.0, 3.0, (30, len(names))), columns=names)
        y = 2.0 * X[column].to_numpy() + 0.3 + rng.normal(0.0, 1e-3, 30)
        train, rest = RowSubset(X.iloc[:20], y[:20]), RowSubset(X.iloc[20:], y[20:])
        trees = [Equation.from_string(text).tree for text in TEXTS]
        equations = [Equation(tree, names) for tree in trees]
        rows = [(e.complexity, *fit_of(e, train), str(e), e) for e in equations]
        front = pd.DataFrame(rows, columns=["complexity", "loss", "r2", "equation", "object"])
        candidates = pd.concat([candidates_of(front), cloud(rng, n)], ignore_index=True)
        return FitRecord(
            table="made.csv",
            target=target,
            equation=equations[2],
            front=front,
            candidates=candidates,
            trajectory=trajectory_of(candidates),
            train=train,
            test=rest if test else None,
            seconds=12.5,
            tried={"backbone": 700, "edit": 1200},
            settings={"preset": "default", "seed": "0"},
        )

    return make


def fit_of(equation: Equation, rows: RowSubset) -> tuple[float, float]:
    """Loss and R2 on the fit rows."""
    scores = score(equation, rows)
    return scores.rmse**2, scores.r2


def candidates_of(front: pd.DataFrame) -> pd.DataFrame:
    """The front as it stands among the candidates."""
    return front.drop(columns="object").assign(
        source=["constant", "backbone", "edit", "edit"], score=1.0, seconds=[0.0, 1.0, 4.0, 9.0]
    )


def cloud(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """``n`` other candidates, none better than R2 = .99."""
    r2 = 1.0 - 10.0 ** -rng.uniform(0.0, 2.0, n)
    return pd.DataFrame(
        {
            "source": rng.choice(["backbone", "ascent", "edit", "shorten"], n),
            "complexity": rng.integers(1, 30, n),
            "loss": 1.0 - r2,
            "r2": r2,
            "score": r2,
            "equation": [f"{value!r}*x" for value in r2],
            "seconds": rng.uniform(0.0, 12.0, n),
        }
    )


def trajectory_of(candidates: pd.DataFrame) -> pd.DataFrame:
    """Candidates as steps of a search, with one proposal that was undefined."""
    steps = candidates.assign(
        start=0, step=1, rung=1.0, predicted_score=0.5, new_skeleton=True, accepted=False
    )
    steps.loc[0, ["r2", "score"]] = np.nan
    return steps

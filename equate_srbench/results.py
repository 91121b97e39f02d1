"""What a fit leaves: the answer, the front, candidates and trajectory, in raw names and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.equate.trajectory import TrajectoryRow, edit_row, embeddings, to_frame
from equate_srbench.equation import Equation
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.html import Front
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.canonical import Problem
from equate_srbench.runtime.progress import FrontPoint, Progress
from equate_srbench.search.base import Search

Array = NDArray[np.float64]

#: Most rows of ``candidates_``; the best by loss are kept.
MAX_CANDIDATES = 3000


@dataclass(frozen=True, slots=True)
class RawEquations:
    """Reads canonical formulas as equations over the raw columns of a table.

    Parameters
    ----------
    problem : Problem
        Its scales and columns are used, not its rows.
    names : sequence of str
        One per raw column.
    named : bool
        Whether the names are the labels of the user's columns; see ``Equation``.
    """

    problem: Problem
    names: Sequence[str]
    named: bool

    def __call__(self, tree: Tree) -> Equation:
        """The simplified equation."""
        problem = self.problem
        if problem.extreme:  # powers of the scales would leave the range of numbers
            return self._over_columns(problem.to_raw(rewrite(tree)))
        return self._over_columns(rewrite(problem.to_raw(tree)))

    def _over_columns(self, tree: Tree) -> Equation:
        return Equation(tree, self.names, named=self.named)

    def describe(self, tree: Tree) -> tuple[str, int]:
        """Text and complexity of the equation."""
        equation = self(tree)
        return str(equation), equation.complexity

    def checked(self, tree: Tree, X: Array) -> Equation:
        """The same for an answer, which has to predict on canonical rows ``X`` what ``tree`` does.

        Where simplification changed the values, the equation is not simplified.
        """
        problem = self.problem
        try:
            equation = self(tree)
            with np.errstate(all="ignore"):
                wanted = evaluate(tree, X) * problem.y_scale
                values = evaluate(equation.tree, problem.raw_rows(X, len(self.names)))
                gap = np.abs(values - wanted).max()
            if gap <= 1e-6 * np.abs(wanted).max():
                return equation
        except FormulaError:  # a constant left the range of numbers
            pass
        return self._over_columns(problem.to_raw(tree))


class KeptCandidate(NamedTuple):
    """A candidate as it is kept with the estimator."""

    tree: Tree
    loss: float
    r2: float
    score: float
    source: str
    seconds: float


class FitResult:
    """Everything that a finished or interrupted fit found; tables are made when first read.

    Parameters
    ----------
    equations : RawEquations
    chosen : Equation
        The answer.
    candidates : sequence of KeptCandidate
        In the order they were found.
    rows : sequence of TrajectoryRow
        Of the gradient ascent and the backbone.

    Attributes
    ----------
    chosen : Equation
    """

    def __init__(
        self,
        equations: RawEquations,
        chosen: Equation,
        candidates: Sequence[KeptCandidate],
        rows: Sequence[TrajectoryRow],
    ) -> None:
        self.chosen = chosen
        self._equations, self._candidates, self._rows = equations, list(candidates), list(rows)
        self._tables: dict[str, Any] = {}

    @classmethod
    def of(cls, search: Search, equations: RawEquations, chosen: Candidate) -> Self:
        """What a search would leave if it ended now.

        Parameters
        ----------
        search : Search
        equations : RawEquations
        chosen : Candidate
            The answer, as ``Search.choose`` gives it.
        """
        archive = search.archive
        kept = sorted(archive.candidates, key=lambda c: c.loss)[:MAX_CANDIDATES]
        if chosen not in kept:
            kept.append(chosen)
        found = [
            KeptCandidate(c.tree, c.loss, c.r2, archive.score(c), c.source, c.seconds)
            for c in sorted(kept, key=lambda c: c.seconds)
        ]
        return cls(equations, equations.checked(chosen.tree, archive.X), found, search.rows)

    @property
    def candidates(self) -> pd.DataFrame:
        """Everything refined: source, complexity, loss, r2, score, equation, seconds."""
        return self._table("candidates")

    @property
    def front(self) -> pd.DataFrame:
        """The accuracy-complexity front: complexity, loss, r2, equation, object."""
        return self._table("front")

    @property
    def trajectory(self) -> pd.DataFrame:
        """One row per search step and proposal; columns as in ``TrajectoryRow``."""
        return self._table("trajectory")

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """Joint embeddings behind the rows of ``trajectory``, of shape (n_rows, width)."""
        found: NDArray[np.float32] = self._table("embeddings")
        return found

    def _table(self, name: str) -> Any:
        """Texts of thousands of formulas take time, so that they are made on first use."""
        if name not in self._tables:
            self._tables[name] = getattr(self, f"_make_{name}")()
        return self._tables[name]

    def _make_candidates(self) -> pd.DataFrame:
        rows = []
        for c in self._candidates:
            equation = self._equations(c.tree)
            loss = self._raw_loss(c.loss)
            text = str(equation)
            rows.append((c.source, equation.complexity, loss, c.r2, c.score, text, c.seconds))
        columns = ["source", "complexity", "loss", "r2", "score", "equation", "seconds"]
        return pd.DataFrame(rows, columns=columns)

    def _make_front(self) -> pd.DataFrame:
        rows = []
        for c in sorted(self._candidates, key=lambda c: c.loss):
            equation = self._equations(c.tree)
            loss = self._raw_loss(c.loss)
            rows.append((equation.complexity, loss, c.r2, str(equation), equation))
        rows.sort(key=lambda row: (row[0], row[1]))
        front: list[tuple[Any, ...]] = []
        for row in rows:
            if not front or row[1] < front[-1][1]:
                front.append(row)
        return Front(front, columns=["complexity", "loss", "r2", "equation", "object"])

    def _make_trajectory(self) -> pd.DataFrame:
        return to_frame(self._table("rows"), self._equations.describe)

    def _make_embeddings(self) -> NDArray[np.float32]:
        return embeddings(self._table("rows"))

    def _make_rows(self) -> list[TrajectoryRow]:
        rows = list(self._rows)
        best = max((row.score for row in rows if row.score == row.score), default=-np.inf)
        for c in self._candidates:
            if c.source in ("family", "library", "edit", "shorten"):
                source = c.source if c.source in ("family", "library") else "edit"
                accepted = c.score > best
                rows.append(
                    edit_row(c.tree, c.r2, c.score, c.seconds, accepted=accepted, source=source)
                )
                best = max(best, c.score)
        return rows

    def _raw_loss(self, loss: float) -> float:
        """A canonical loss in squared raw units of the target."""
        y_scale = self._equations.problem.y_scale
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float64(loss) * y_scale * y_scale)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": {}}


class LiveFront:
    """The front of a running fit for progress reports; only new candidates are looked at.

    Parameters
    ----------
    archive : Archive
    equations : RawEquations
    """

    def __init__(self, archive: Archive, equations: RawEquations) -> None:
        self._archive, self._equations = archive, equations
        self._n_read = 0
        self._of_size: dict[int, Candidate] = {}  # the best of each size among those read
        self._points: dict[int, FrontPoint] = {}

    def progress(self, phase: str, seconds: float) -> Progress:
        """State of the fit."""
        archive = self._archive
        equation = self._equations(archive.best.tree)
        return Progress(
            seconds,
            phase,
            sum(archive.tried.values()),
            str(equation),
            archive.best.r2,
            equation.complexity,
            self._front(),
        )

    def _front(self) -> tuple[FrontPoint, ...]:
        candidates = self._archive.candidates
        for candidate in candidates[self._n_read :]:
            best = self._of_size.get(candidate.size)
            if best is None or candidate.loss < best.loss:
                self._of_size[candidate.size] = candidate
        self._n_read = len(candidates)
        front: list[FrontPoint] = []
        # sizes of raw equations differ from those of canonical formulas
        for point in sorted(map(self._point, self._of_size.values())):
            if not front or point[1] > front[-1][1]:
                if front and front[-1][0] == point[0]:
                    front.pop()
                front.append(point)
        return tuple(front)

    def _point(self, candidate: Candidate) -> FrontPoint:
        found = self._points.get(id(candidate))
        if found is None:
            equation = self._equations(candidate.tree)
            found = (equation.complexity, candidate.r2, str(equation), candidate.source)
            self._points[id(candidate)] = found
        return found

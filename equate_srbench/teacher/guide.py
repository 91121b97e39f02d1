"""An additional search on a teacher's labels, if held-out rows show that it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.base import Search
from equate_srbench.teacher.choosing import r2
from equate_srbench.teacher.labels import between
from equate_srbench.teacher.smooth import SmoothTeacher, TeacherDivergedError, train_grid

Array = NDArray[np.float64]
MakeSearch = Callable[[Archive, np.random.Generator, Array | None], Search]

#: Range of row counts: fewer rows cannot train a network, more average noise out anyway.
ROWS = (40, 1000)
#: Fraction of rows held out to decide whether the teacher helps.
HELD = 0.25
#: Fractions of the fit's time: for each of the two trial searches, for training, and, of the
#: remaining time, for the search on all labels.
TRIAL, TRAINING, TAUGHT = 0.15, 0.1, 0.5
#: Strengths that ``teacher="auto"`` chooses from.
STRENGTHS = (1e-3, 1e-2, 1e-1)
#: The smoothest teacher is chosen whose validation error is within this factor of the least.
ERROR_FACTOR = 1.05
#: Above this validation R2 there is no noise for a teacher to remove.
NOISE_FREE_R2 = 1.0 - 1e-6
#: Labelled points of a small table, rows included: the backbone's largest bag.
POINTS = 200
#: Formulas that a trial search passes on.
PASSED_ON = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the teacher's labels were used, and why.

    Attributes
    ----------
    used : bool
    reason : str
    plain_r2, teacher_r2, taught_r2 : float
        On the held-out rows: of a formula found on the true labels, of the teacher, and of a
        formula found on the teacher's labels; NaN if not computed.
    jacobian, lipschitz : float
        Penalty strengths of the teacher.
    """

    used: bool
    reason: str
    plain_r2: float = np.nan
    teacher_r2: float = np.nan
    taught_r2: float = np.nan
    jacobian: float = np.nan
    lipschitz: float = np.nan


def guide(
    teacher: SmoothTeacher | str,
    run: Search,
    make_search: MakeSearch,
    tick: Callable[[str], None],
) -> Verdict:
    """Let a teacher suggest formulas before the search on all rows, if that helps on this table.

    Two trial searches run on three quarters of the rows, with the true and with the teacher's
    labels, and are compared on the other rows. If the second is better by more than a standard
    error, a search on the teacher's labels of all rows (and, on small tables, of points between
    them) passes its best formulas on. They are refined and scored on the true labels like any
    other; the formulas of the first trial are passed on in any case.

    Parameters
    ----------
    teacher : SmoothTeacher or "auto"
        ``auto`` chooses the strength.
    run : Search
        Of the fit, not yet run; its archive receives the formulas.
    make_search : callable
        Archive, generator and all rows of a sampled table, or None -> Search with the settings of
        ``run``.
    tick : callable
        Called often with the phase ``teach``.

    Returns
    -------
    Verdict
    """
    archive, rng = run.archive, run.rng
    n_rows = len(archive.y)
    if not ROWS[0] <= n_rows <= ROWS[1]:
        return Verdict(False, f"{n_rows} rows: a teacher needs {ROWS[0]} to {ROWS[1]}")
    if archive.variance <= np.finfo(float).tiny:
        return Verdict(False, "the target is constant")
    try:
        return _Trials(teacher, run, make_search, lambda _: tick("teach"), rng).verdict()
    except TeacherDivergedError as error:
        return Verdict(False, str(error))


class _Trials:
    """The steps of ``guide`` on one split of the rows."""

    def __init__(
        self,
        teacher: SmoothTeacher | str,
        run: Search,
        make_search: MakeSearch,
        tick: Callable[[str], None],
        rng: np.random.Generator,
    ) -> None:
        self.run, self.archive, self.make_search = run, run.archive, make_search
        self.tick, self.rng = tick, rng
        self.total = self.archive.deadline.left()
        self.seed = int(rng.integers(2**31))
        if isinstance(teacher, SmoothTeacher):
            self.template: SmoothTeacher = clone(teacher)
            self.strengths: tuple[float, ...] = (float(teacher.jacobian),)
        else:
            self.template, self.strengths = SmoothTeacher(), STRENGTHS
        order = rng.permutation(len(self.archive.y))
        n_held = round(HELD * len(order))
        self.held, self.kept = np.sort(order[:n_held]), np.sort(order[n_held:])

    def verdict(self) -> Verdict:
        """Run the trials, compare them, and search on the teacher's labels if that helps."""
        archive = self.archive
        X, y = archive.X[self.held], archive.y[self.held]
        own = self._search(self._own_labels(), TRIAL * self.total)
        found = self._answer(own)
        self._hand_over(own.archive)
        plain = r2(y, found)
        if plain >= NOISE_FREE_R2:
            return Verdict(False, "the target has no noise", plain)
        rows = archive.X[self.kept], archive.y[self.kept]
        teacher = self._trained(*rows, self.strengths)
        about = (teacher.jacobian, teacher.lipschitz)
        labels = teacher.predict(X)
        if r2(y, labels) <= plain:
            said = "a formula found without it predicts as well as the teacher"
            return Verdict(False, said, plain, r2(y, labels), np.nan, *about)
        taught = self._search(self._labelled(teacher, rows[0]), TRIAL * self.total)
        judged = self._refined(taught.archive, self._own_labels())
        answer = self._answer(judged)
        gains = (found - y) ** 2 - (answer - y) ** 2  # not finite where a formula is not
        error = gains.std() / np.sqrt(len(gains))
        figures = (plain, r2(y, labels), r2(y, answer), *about)
        if not gains.mean() > error:
            return Verdict(False, "formulas found on its labels predict no better", *figures)
        everything = self._trained(archive.X, archive.y, (teacher.jacobian,))
        left = TAUGHT * archive.deadline.left()
        self._hand_over(self._search(self._labelled(everything, archive.X), left).archive)
        return Verdict(True, "formulas found on its labels predict better", *figures)

    def _own_labels(self) -> tuple[Array, Array, Array | None]:
        a = self.archive
        weights = None if a.weights is None else a.weights[self.kept]
        return a.X[self.kept], a.y[self.kept], weights

    def _trained(self, X: Array, y: Array, strengths: tuple[float, ...]) -> SmoothTeacher:
        """The smoothest of the teachers that are nearly as accurate as the best."""
        grid = train_grid(
            self.template, X, y, jacobian=strengths, lipschitz=(float(self.template.lipschitz),),
            seeds=[self.seed], deadline=self.archive.deadline.within(TRAINING * self.total),
        )  # fmt: skip
        self.tick("teach")
        grid = [t for t in grid if not t.diverged]
        # only a teacher given by the user can have no validation rows
        errors = [0.0 if np.isnan(t.validation_r2_) else 1.0 - t.validation_r2_ for t in grid]
        good = [t for t, e in zip(grid, errors, strict=True) if e <= ERROR_FACTOR * min(errors)]
        return max(good, key=lambda t: t.jacobian)

    def _labelled(self, teacher: SmoothTeacher, X: Array) -> tuple[Array, Array, None]:
        """Rows and, if they are few, points between them, with the teacher's labels."""
        n_more = max(0, POINTS - len(X))
        points = np.concatenate([X, between(X, n_more, self.rng)])
        return points, teacher.predict(points), None

    def _search(self, rows: tuple[Array, Array, Array | None], seconds: float) -> Search:
        """A separate search on these rows."""
        deadline = self.archive.deadline.within(seconds)
        search = self._over(rows, deadline)
        search.run(self.tick)
        return search

    def _over(self, rows: tuple[Array, Array, Array | None], deadline: Deadline) -> Search:
        archive = Archive(*rows, deadline=deadline, parsimony=self.archive.parsimony)
        return self.make_search(archive, np.random.default_rng(self.rng.integers(2**63)), None)

    def _refined(self, found: Archive, rows: tuple[Array, Array, Array | None]) -> Search:
        """The best formulas of another archive, refitted to these rows."""
        search = self._over(rows, self.archive.deadline)
        search.archive.refine([c.inner for c in _best(found)], "edit")
        return search

    def _hand_over(self, found: Archive) -> None:
        """Refine the best formulas on the rows and labels of the fit."""
        for candidate in _best(found):
            if self.archive.deadline.over:
                return
            self.archive.refine([candidate.inner], candidate.source)

    def _answer(self, search: Search) -> Array:
        """Predictions of the search's answer on the held-out rows."""
        return evaluate(search.choose("best").tree, self.archive.X[self.held])


def _best(archive: Archive) -> list[Candidate]:
    """Formulas to hand over: the most accurate, and the most accurate of each size."""
    ranked = sorted((c for c in archive.candidates if c.source != "constant"), key=lambda c: c.loss)
    front: dict[int, Candidate] = {}
    for candidate in ranked:
        front.setdefault(candidate.size, candidate)
    kept = {id(c): c for c in [*front.values(), *ranked[: PASSED_ON - len(front)]]}
    return list(kept.values())[:PASSED_ON]

"""A search on a teacher's labels beside the search on the data's own, if rows say that it helps."""

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

#: Tables of other sizes are left alone: fewer rows train no network, more of them average noise
#: away by themselves.
ROWS = (40, 1000)
#: Rows kept to find out whether the teacher helps.
HELD = 0.25
#: Shares of the fit's time: for each of the two trial searches, for training, and, if they say
#: yes, of what is left then for the search on all labels.
TRIAL, TRAINING, TAUGHT = 0.15, 0.1, 0.5
#: Strengths that ``teacher="auto"`` chooses from.
STRENGTHS = (1e-3, 1e-2, 1e-1)
#: The smoothest teacher is taken whose validation error is at most this multiple of the least.
WORSE = 1.05
#: Above this validation R2 there is no noise that a teacher could take away.
CLEAN = 1.0 - 1e-6
#: Labelled points of a small table, the rows among them: as many as the backbone takes at once.
POINTS = 200
#: Formulas that a taught search hands over.
HANDED = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the teacher's labels were searched on, and why.

    Attributes
    ----------
    used : bool
    reason : str
    plain_r2, teacher_r2, taught_r2 : float
        On the rows kept for this: of a formula found on the data's labels, of the teacher, and of
        a formula found on the teacher's; NaN where it did not come to that.
    jacobian, lipschitz : float
        Strengths of the teacher.
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
    """Before the search on all rows: let a teacher suggest formulas, if that helps on this table.

    Three quarters of the rows find a formula twice, once from their own labels and once from the
    teacher's; the other rows say which is better. If it is the second, by more than a standard
    error, a search on the teacher's labels of all rows (and, on small tables, of points between
    them) hands its best formulas over. They are refined and judged on the true labels like any
    other, and what the first trial found is handed over in any case.

    Parameters
    ----------
    teacher : SmoothTeacher or "auto"
        ``auto`` chooses the strength.
    run : Search
        Of the fit, not begun; its archive gets the formulas.
    make_search : callable
        Archive, generator and all rows of a sampled table, or None -> Search like ``run``.
    tick : callable
        Called often with the phase, ``teach``.

    Returns
    -------
    Verdict
    """
    archive, rng = run.archive, run.rng
    n_rows = len(archive.y)
    if not ROWS[0] <= n_rows <= ROWS[1]:
        return Verdict(False, f"{n_rows} rows: only tables of {ROWS[0]} to {ROWS[1]} are taught")
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
            self.template, self.strengths = clone(teacher), (float(teacher.jacobian),)
        else:
            self.template, self.strengths = SmoothTeacher(), STRENGTHS
        order = rng.permutation(len(self.archive.y))
        n_held = round(HELD * len(order))
        self.held, self.kept = np.sort(order[:n_held]), np.sort(order[n_held:])

    def verdict(self) -> Verdict:
        """Try, judge, and search on all labels if that is worth it."""
        archive = self.archive
        X, y = archive.X[self.held], archive.y[self.held]
        own = self._search(self._own_labels(), TRIAL * self.total)
        found = self._answer(own)
        self._hand_over(own.archive)
        plain = r2(y, found)
        if plain >= CLEAN:
            return Verdict(False, "no noise to take away", plain)
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
        """The smoothest of the teachers that are about as accurate as the best."""
        grid = train_grid(
            self.template, X, y, jacobian=strengths, lipschitz=(float(self.template.lipschitz),),
            seeds=[self.seed], deadline=self.archive.deadline.within(TRAINING * self.total),
        )  # fmt: skip
        self.tick("teach")
        grid = [t for t in grid if not t.diverged]
        # one without validation rows says nothing of itself: only a teacher that was given has none
        errors = [0.0 if np.isnan(t.validation_r2_) else 1.0 - t.validation_r2_ for t in grid]
        good = [t for t, e in zip(grid, errors, strict=True) if e <= WORSE * min(errors)]
        return max(good, key=lambda t: t.jacobian)

    def _labelled(self, teacher: SmoothTeacher, X: Array) -> tuple[Array, Array, None]:
        """Rows, and points between them where they are few, with the teacher's labels."""
        n_more = max(0, POINTS - len(X))
        points = np.concatenate([X, between(X, n_more, self.rng)])
        return points, teacher.predict(points), None

    def _search(self, rows: tuple[Array, Array, Array | None], seconds: float) -> Search:
        """A search of its own on these rows."""
        deadline = self.archive.deadline.within(seconds)
        search = self._over(rows, deadline)
        search.run(self.tick)
        return search

    def _over(self, rows: tuple[Array, Array, Array | None], deadline: Deadline) -> Search:
        archive = Archive(*rows, deadline=deadline, parsimony=self.archive.parsimony)
        return self.make_search(archive, np.random.default_rng(self.rng.integers(2**63)), None)

    def _refined(self, found: Archive, rows: tuple[Array, Array, Array | None]) -> Search:
        """The best formulas of another archive, with constants fitted to these rows."""
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
        """What the search would answer, on the held rows."""
        return evaluate(search.choose("best").tree, self.archive.X[self.held])


def _best(archive: Archive) -> list[Candidate]:
    """Formulas to hand over: the most accurate, and the most accurate of each size."""
    ranked = sorted((c for c in archive.candidates if c.source != "constant"), key=lambda c: c.loss)
    front: dict[int, Candidate] = {}
    for candidate in ranked:
        front.setdefault(candidate.size, candidate)
    kept = {id(c): c for c in [*front.values(), *ranked[: HANDED - len(front)]]}
    return list(kept.values())[:HANDED]

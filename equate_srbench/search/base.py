"""``Search``: an archive of candidates, the choice of the answer, and what a search reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.equate.trajectory import TrajectoryRow, diagnose
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.floor import EXACT
from equate_srbench.problem.poles import has_pole, region
from equate_srbench.problem.selection import WORSE, formula_length, residual_length, worse

Array = NDArray[np.float64]

#: Penalty in nats for a formula that is undefined or runs off for other combinations of the values
#: seen, or a little beside them, as far as probe rows show it.
UNDEFINED_COST = 50.0
#: A value further outside the target's range than this many of its widths counts as a pole.
POLE_RANGE_FACTOR = 10.0
#: Number of random permutations of the columns in the probe rows.
PROBE_ROUNDS = 4
#: Extrapolation of a probed column, as a share of its range; towards zero at most halfway.
MARGIN = 0.05
#: Probe rows per column and end with that column extrapolated.
EDGE_PROBES = 8


class Search:
    """A search that puts candidates into an archive; a subclass has its ``run``.

    Parameters
    ----------
    archive : Archive
        On the fit rows.
    rng : numpy Generator
    all_rows : ndarray of shape (n_all_rows, n_columns), optional
        Where the archive has a sample of a larger table: the answer is defined on all its rows.

    Attributes
    ----------
    rows : list of TrajectoryRow
        Proposals of the neural part, in order.
    seconds : dict of str to float
        Processor time per neural phase.
    n_started : int
        Number of formulas that ``start`` tried.
    notes : dict
        What else belongs into ``diagnostics``.
    """

    def __init__(
        self, archive: Archive, rng: np.random.Generator, all_rows: Array | None = None
    ) -> None:
        self.archive, self.rng = archive, rng
        self.rows: list[TrajectoryRow] = []
        self.seconds: dict[str, float] = {}
        self.n_started = 0
        self.notes: dict[str, Any] = {}
        self._all_rows = all_rows
        self._lengths: dict[int, float] = {}  # of the formulas, without their residuals
        self._penalties: dict[tuple[int, bool], float] = {}
        self._defined: dict[int, bool] = {}
        self._probe_seed = int(rng.integers(2**32))
        low, high = archive.y.min(), archive.y.max()
        margin = POLE_RANGE_FACTOR * (high - low)
        self._tame = low - margin, high + margin

    def start(self) -> None:
        """Try a few formulas in some milliseconds, before anything else and whatever the time."""

    def run(self, tick: Callable[[str], None]) -> None:
        """Search until the archive's deadline; ``tick(phase)`` is called often.

        The archive holds a usable formula at every moment.
        """
        raise NotImplementedError

    @property
    def is_trivial(self) -> bool:
        """Whether a constant is the answer: the target has no variance, or there is one row."""
        archive = self.archive
        return len(archive.y) < 2 or bool(archive.variance <= np.finfo(float).tiny)

    @property
    def has_begun(self) -> bool:
        """Whether more was tried than ``start`` does, or nothing has to be."""
        return self.is_trivial or sum(self.archive.tried.values()) > self.n_started

    # -- choosing ---------------------------------------------------------------------------

    def length(self, candidate: Candidate) -> float:
        """Description length on the fit rows, plus penalties for poles and undefined regions.

        All candidates at the floor of the data fit alike.
        """
        is_exact = self.archive.is_exact(candidate)
        key = id(candidate), is_exact
        found = self._penalties.get(key)
        if found is None:
            found = self._penalties[key] = self._penalty(candidate.tree, is_exact)
        return self._plain_length(candidate) + found

    def _plain_length(self, candidate: Candidate) -> float:
        """Description length without penalties."""
        archive = self.archive
        found = self._lengths.get(id(candidate))
        if found is None:
            found = self._lengths[id(candidate)] = formula_length(candidate.tree, archive.n_rows)
        error = archive.fitted_loss(candidate) / archive.variance
        # over many decades a formula may be exact for the largest values only
        floor = WORSE**2 * EXACT if archive.is_wide and not archive.is_exact(candidate) else EXACT
        return found + residual_length(error, archive.n_rows, floor=floor)

    def _penalty(self, tree: Tree, is_exact: bool) -> float:
        """Nats for a pole among or beside the fit rows, or for a formula that runs off near them.

        A law may have a pole just beside its rows, so that an exact formula may, too.
        """
        if has_pole(tree, self._hull if is_exact else self._region, *self._tame):
            return worse(self.archive.n_rows)
        return 0.0 if is_exact or self._is_tame(tree) else UNDEFINED_COST

    @cached_property
    def _region(self) -> Array:
        """Rows in whose hull a formula should have no pole."""
        return region(self.archive.X)

    @cached_property
    def _hull(self) -> Array:
        """Rows in whose hull an exact formula should have no pole."""
        return region(self.archive.X, margin=0.0)

    @cached_property
    def _probes(self) -> Array:
        """Rows beside the fit rows on which a formula should stay bounded; made on first use."""
        return _probes(self.archive.X, np.random.default_rng(self._probe_seed))

    def _is_tame(self, tree: Tree) -> bool:
        """Whether the formula is finite and bounded on the probe rows."""
        if tree.symbols == (CONSTANT,):
            return True
        values = evaluate(tree, self._probes)  # comparisons with NaN are False
        return bool(((values >= self._tame[0]) & (values <= self._tame[1])).all())

    def choose(self, select: str) -> Candidate:
        """Choose the answer among the candidates.

        Parameters
        ----------
        select : {"best", "accurate"}
            Least description length, or least error on the fit rows; of those at the floor of the
            data the shortest.
        """
        if select == "best":
            return self._shortest()
        ranked = sorted(self.archive.candidates, key=self._accuracy)
        return next(filter(self._is_defined, ranked))  # a constant is, at the latest

    def _shortest(self) -> Candidate:
        """The defined candidate of least length; penalties are found for those that may be it."""
        ranked = sorted(
            ((self._plain_length(c), c.loss, i) for i, c in enumerate(self.archive.candidates))
        )
        best: tuple[float, Candidate] | None = None
        for plain, _, i in ranked:
            if best is not None and plain >= best[0]:
                break
            candidate = self.archive.candidates[i]
            length = self.length(candidate)
            if (best is None or length < best[0]) and self._is_defined(candidate):
                best = length, candidate
        assert best is not None  # a constant is defined everywhere
        return best[1]

    def _accuracy(self, candidate: Candidate) -> tuple[float, float]:
        """Loss, and among exact candidates the length."""
        if self.archive.is_exact(candidate):
            return self.archive.best.loss, self.length(candidate)
        return candidate.loss, math.inf

    def _is_defined(self, candidate: Candidate) -> bool:
        """Whether the formula is finite on all rows, including those the search did not sample."""
        if self._all_rows is None:
            return True
        if id(candidate) not in self._defined:
            values = evaluate(candidate.tree, self._all_rows)
            self._defined[id(candidate)] = bool(np.isfinite(values).all())
        return self._defined[id(candidate)]

    def diagnostics(self) -> dict[str, Any]:
        """Number of formulas tried per source, and statistics of the gradient ascent."""
        found = diagnose(self.rows)
        return {
            "lam": self.archive.parsimony,
            "tried": dict(self.archive.tried),
            "began": self.has_begun or self.archive.law is not None,
            "seconds": dict(self.seconds),
            "flip_rate": found.flip_rate,
            "validity_rate": found.validity_rate,
            "rank_correlation": found.rank_correlation,
            **self.notes,
        }


def _probes(X: Array, rng: np.random.Generator) -> Array:
    """Probe rows: shuffled columns, and some rows with one column slightly outside its range."""
    mixed = [
        np.column_stack([rng.permutation(column)[:256] for column in X.T])
        for _ in range(PROBE_ROUNDS)
    ]
    low, high = X.min(axis=0), X.max(axis=0)
    margin = MARGIN * (high - low)
    ends = (
        np.where(low >= 0.0, np.maximum(low - margin, 0.5 * low), low - margin),
        np.where(high <= 0.0, np.minimum(high + margin, 0.5 * high), high + margin),
    )
    edges = []
    for end in ends:
        for j, value in enumerate(end):
            rows = mixed[0][:EDGE_PROBES].copy()
            rows[:, j] = value
            edges.append(rows)
    return np.concatenate([*mixed, *edges])

"""``Archive``: every formula a fit has tried, with refined constants and scores on the fit rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.floor import EXACT, Floor
from equate_srbench.refine import Refined, Refiner
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: Default weight of simplicity, and the largest that is calibrated, which is the largest of the
#: published sweep: with more, the score is all size.
PARSIMONY, MAX_PARSIMONY = 0.1, 1.0
#: Nodes over which the simplicity of a formula falls to 1/e.
LENGTH = 50.0
#: Losses up to this factor above the least one may belong to a law as well.
NEAR = 10.0
#: Constants above this times the target lose half of the digits of what they are added to.
LARGE = 1e6
#: Longest formula that ends a search when it is exact.
SHORT = 20
#: The same for one with hardly a fitted constant that leaves hardly anything: approximations have
#: many, and leave more.
LONG, FEW_FITTED, NOTHING = 32, 3, 1e-24


@dataclass(slots=True, eq=False)
class Candidate:
    """One formula with its score on the fit rows.

    Attributes
    ----------
    tree : Tree
        The whole formula, outer scale and offset folded in.
    inner : Tree
        What was fitted, before scale and offset.
    loss : float
        Weighted mean squared residual.
    r2 : float
    source : str
        ``family``, ``library``, ``backbone``, ``ascent``, ``edit``, ``shorten`` or ``constant``.
    seconds : float
        When it was found, counted from the start of the fit.
    """

    tree: Tree
    inner: Tree
    loss: float
    r2: float
    source: str
    seconds: float

    @property
    def size(self) -> int:
        """Number of nodes of the whole formula."""
        return self.tree.size


class Archive:
    """Candidates by skeleton, refined and scored on the fit rows only.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    deadline : Deadline
    parsimony : float, default=0.1
        Weight of simplicity in ``score`` (the estimator's ``lam``).
    floor : Floor, optional
        Roundings of the table; default: those of double precision.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        weights: Array | None = None,
        *,
        deadline: Deadline,
        parsimony: float = PARSIMONY,
        floor: Floor | None = None,
    ) -> None:
        self.X, self.y, self.weights = X, y, weights
        self.deadline = deadline
        self.parsimony = parsimony
        self.refiner = Refiner(X, y, weights, check_input=False)  # validated by the estimator
        w = np.ones(len(y)) if weights is None else weights
        mean = float(y[0] + w @ (y - y[0]) / w.sum())  # exact where all are equal
        #: Number of rows that the weights stand for.
        self.n_rows = float(w.sum())
        #: Loss of the best constant; never 0, so that ratios stay finite.
        self.variance = max(float(w @ (y - mean) ** 2 / w.sum()), np.finfo(float).tiny)
        self.candidates: list[Candidate] = []
        self.tried: Counter[str] = Counter()
        self.floor = Floor.of_doubles(X, y, weights) if floor is None else floor
        #: Whether the target spans many decades, so that a formula is exact by relative errors.
        self.is_wide = self.floor.is_wide
        self._rounding = self.floor.mean_square()
        self._known: dict[tuple[int, ...], Candidate | None] = {}
        self._disproofs: dict[int, float | None] = {}
        self._reach: tuple[Candidate, float] | None = None
        self._law: Candidate | None = None
        self.best: Candidate = self._constant(mean)
        self.candidates.append(self.best)

    def _constant(self, mean: float) -> Candidate:
        tree = Tree.constant(mean)
        return Candidate(tree, tree, self.variance, 0.0, "constant", self.deadline.elapsed())

    def __len__(self) -> int:
        return len(self.candidates)

    def has(self, skeleton: tuple[int, ...]) -> bool:
        """Whether a tree with these symbols was refined before."""
        return skeleton in self._known

    def score(self, candidate: Candidate) -> float:
        """``clip(R2, -1, 1) + parsimony * exp(-size / 50)``: the score of the method."""
        brevity = math.exp(-candidate.inner.size / LENGTH)
        return min(max(candidate.r2, -1.0), 1.0) + self.parsimony * brevity

    def calibrate_parsimony(self, candidate: Candidate, price: float) -> None:
        """Set ``parsimony`` so that one node of the candidate is worth ``price`` in the score.

        Parameters
        ----------
        candidate : Candidate
        price : float
            In units of R2; see ``selection.price_of_node``.
        """
        self.parsimony = min(
            price * LENGTH * math.exp(candidate.inner.size / LENGTH), MAX_PARSIMONY
        )

    @property
    def error(self) -> float:
        """``1 - R2`` of the most accurate candidate, without cancellation."""
        return self.best.loss / self.variance

    # -- the floor of the data --------------------------------------------------------------

    @property
    def least_error(self) -> float:
        """Share of the variance that the target's rounding leaves; at least ``EXACT``.

        Smaller errors differ by chance, unless one is so small that nothing can have been rounded.
        """
        rounded = self.best.loss >= 0.5 * self._rounding
        return max(EXACT, self._rounding / self.variance) if rounded else EXACT

    def is_exact(self, candidate: Candidate) -> bool:
        """Whether the table cannot tell the candidate from the law behind it.

        Its residuals are those of the roundings (see ``Floor``), and no formula has much smaller
        ones, which would show that nothing was rounded.
        """
        rounding = EXACT * self.variance
        if candidate.loss <= rounding and not self.is_wide:
            return True
        if candidate.loss > min(NEAR * max(self.best.loss, rounding), self._floor_reach()):
            return False
        key = id(candidate)
        if key not in self._disproofs:
            self._disproofs[key] = self.floor.disproof(candidate.tree, self.variance)
        disproof = self._disproofs[key]
        if disproof is None or candidate.loss <= rounding:
            return disproof is not None
        free = max(0.0, 1.0 - len(self.best.tree.constants) / self.n_rows)
        return self.best.loss >= disproof * free

    @property
    def law(self) -> Candidate | None:
        """A short exact formula, with which a search ends; None if there is none so far.

        Short is at most ``SHORT`` nodes, ``LONG`` where it cannot be an approximation, and a third
        of the rows: an exact fit of few rows is chance.
        """
        if self._law is not None and not self.is_exact(self._law):
            self._law = None  # something better has shown that it is not
        return self._law

    def fitted_loss(self, candidate: Candidate) -> float:
        """Loss of a candidate where all exact ones fit alike: as well as the best one."""
        return self.best.loss if self.is_exact(candidate) else candidate.loss

    def _floor_reach(self) -> float:
        """Loss above which no candidate is at the floor, found anew when the best one changes."""
        if self._reach is None or self._reach[0] is not self.best:
            self._reach = self.best, self.floor.reach(self.best.tree, self.variance)
        return self._reach[1]

    def refine(
        self,
        trees: list[Tree],
        source: str,
        *,
        max_steps: int = 30,
        deadline: Deadline | None = None,
    ) -> list[Candidate | None]:
        """Fit the constants of all trees in one batch and keep the results.

        Parameters
        ----------
        trees : list of Tree
            Over canonical columns; scale and offset are fitted around each of them.
        source : str
        max_steps : int, default=30
        deadline : Deadline, optional
            Default: the deadline of the fit.

        Returns
        -------
        list of Candidate or None
            None where the formula is not finite on every row; a skeleton that was seen before
            gives the candidate from then.
        """
        new: dict[tuple[int, ...], Tree] = {}
        for tree in trees:
            if tree.symbols not in self._known:
                new.setdefault(tree.symbols, tree)
        if new:
            batch = list(new.values())
            fitted = self.refiner.fit(
                batch, max_steps=max_steps, deadline=deadline or self.deadline
            )
            self.tried[source] += len(batch)
            for i, tree in enumerate(batch):
                self._known[tree.symbols] = self._record(fitted, i, tree, source)
        return [self._known[tree.symbols] for tree in trees]

    def _record(self, fitted: Refined, i: int, tree: Tree, source: str) -> Candidate | None:
        loss, constants = float(fitted.loss[i]), fitted.constants(i)
        if not all(map(math.isfinite, (loss, *constants))):  # a fitted divisor may run to inf
            return None
        inner = tree.with_constants(constants)
        return self.add(fitted.tree(i), inner, loss, source)

    def add(self, tree: Tree, inner: Tree, loss: float, source: str) -> Candidate:
        """Add a formula whose loss on the fit rows is known."""
        r2 = 1.0 - loss / self.variance
        found = Candidate(tree, inner, loss, r2, source, self.deadline.elapsed())
        self.candidates.append(found)
        if loss < self.best.loss:
            self.best = found
        if self._may_end(found):
            self._law = found
        return found

    def _may_end(self, found: Candidate) -> bool:
        """Whether a new candidate is exact, short, and shorter than one that was before."""
        if not self.is_exact(found):
            return False
        largest = max(map(abs, found.tree.constants), default=0.0)
        if found.loss > EXACT * self.variance and largest > LARGE * np.abs(self.y).max():
            return False  # the limit of a form, such as 1e9 / (1e4 + x) - 1e5: no more than a line
        fitted = sum(map(_is_fitted, found.tree.constants))
        is_sure = fitted <= FEW_FITTED and found.loss <= NOTHING * self.variance
        longest = min(LONG if is_sure else SHORT, self.n_rows / 3.0)
        if self._law is not None and self.is_exact(self._law):
            longest = min(longest, complexity(self._law.tree) - 1)
        return complexity(found.tree) <= longest


def _is_fitted(c: float) -> bool:
    """Whether a constant is no multiple of 1/2, but for rounding."""
    return not abs(c) < 1e15 or abs(2.0 * c - round(2.0 * c)) > 1e-9 * abs(c)

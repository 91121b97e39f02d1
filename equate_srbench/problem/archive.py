"""``Archive``: every formula a fit has tried, with refined constants and scores on the fit rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refined, Refiner
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: Default weight of simplicity, and the largest that is calibrated, which is the largest of the
#: published sweep: with more, the score is all size.
PARSIMONY, MAX_PARSIMONY = 0.1, 1.0
#: Nodes over which the simplicity of a formula falls to 1/e.
LENGTH = 50.0
#: Relative error below which a formula counts as exact: float64 leaves about 1e-30.
EXACT = 1e-20


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
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        weights: Array | None = None,
        *,
        deadline: Deadline,
        parsimony: float = PARSIMONY,
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
        self._known: dict[tuple[int, ...], Candidate | None] = {}
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
        return found

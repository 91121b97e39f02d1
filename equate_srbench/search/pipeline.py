"""One fit: the phases in order, on one archive, until the deadline."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equate_srbench.backbone import checkpoint
from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.equate import pretrained, settings
from equate_srbench.equate.neural import NeuralResult, propose
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import CONSTANT
from equate_srbench.expr.sympy.simplify import simplify, warm_up
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import EXACT, Archive, Candidate
from equate_srbench.problem.canonical import Problem
from equate_srbench.problem.selection import description_length, price_of_node
from equate_srbench.refine.snap import snap
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.memory import OomSafe
from equate_srbench.search.shorten import shorten

#: Nats that a formula pays when it has a pole or a gap between the fit rows or next to them, as far
#: as other combinations of the values seen there, and of values a little further out, can tell.
UNDEFINED_COST = 50.0
#: A value this many ranges of the target away from them is taken for a pole.
WILD = 10.0
#: How often the columns are shuffled for such combinations.
PROBE_ROUNDS = 4
#: How far out, as a share of a column's range. Columns of one sign keep it: 0 is the furthest.
MARGIN = 0.05
#: Combinations in which one column is that far out, per column and end.
EDGE_PROBES = 8
#: Tables with fewer rows go to the edits at once: nothing can be learnt from so few.
MIN_ROWS = 5
#: Nodes below which nobody asks for a shorter form.
SHORT = 8
#: Tables with fewer rows get a share of the neural work: their subsets are much alike.
FULL_ROWS = 300


class Search:
    """The phases of a fit.

    Parameters
    ----------
    archive : Archive
        On the fit rows.
    rng : numpy Generator
    preset : {"default", "paper", "fast"}
    phases : EquateSettings, optional
        The preset's by default.
    backbone : str or path-like
    device : str
    describe : callable
        Tree of the archive -> text in the user's names and units, and complexity of that.
    chooses_lam : bool, default=False
        Whether the archive's ``lam`` is chosen from what the backbone found.

    Attributes
    ----------
    problem : Problem or None
        Set it where the archive has a problem's rows: an answer is defined on all of them.
    notes : dict
        What else should stand in ``diagnostics``.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        rng: np.random.Generator,
        preset: str,
        phases: EquateSettings | None = None,
        backbone: str | os.PathLike[str],
        device: str,
        describe: Callable[[Tree], tuple[str, int]],
        chooses_lam: bool = False,
    ) -> None:
        self.archive, self.rng, self.preset, self.chooses_lam = archive, rng, preset, chooses_lam
        self.phases = phases or settings.preset(preset)
        self.backbone, self.device, self.describe = backbone, device, describe
        self.adapted = NeuralResult()
        self.problem: Problem | None = None
        self.notes: dict[str, Any] = {}
        self._lengths: dict[int, float] = {}
        self._defined: dict[int, bool] = {}
        self._probe_seed = int(rng.integers(2**32))
        low, high = archive.y.min(), archive.y.max()
        self._tame = low - WILD * (high - low), high + WILD * (high - low)

    @cached_property
    def _probes(self) -> NDArray[np.float64]:
        """Where a formula should be tame too; not made where no formula is compared."""
        return _probes(self.archive.X, np.random.default_rng(self._probe_seed))

    def run(self, tick: Callable[[str], None]) -> None:
        """All phases; ``tick(phase)`` is called often.

        The archive holds a usable formula at every moment.
        """
        if self.archive.variance <= np.finfo(float).tiny or len(self.archive.y) < 2:
            return
        deadline = self.archive.deadline
        total = deadline.left()
        sources = self.phases.sources
        starts = self._adapt(tick) if "backbone" in sources else []
        if "edits" in sources:
            editing = deadline.within(max(deadline.left() - min(0.12 * total, 3.0), 0.0))
            self._edit(editing, starts, tick)
        self._shorten(tick)

    def _adapt(self, tick: Callable[[str], None]) -> list[Tree]:
        """Phases 1 to 4 of the method; returns inner formulas to start edits from."""
        few = len(self.archive.y) < MIN_ROWS and self.preset != "paper"
        if few or not np.ptp(self.archive.X, axis=0).any():
            return []
        tick("propose")
        phases = self.phases
        if self.preset != "paper":  # leave most of the time to the edits
            phases = for_rows(phases, len(self.archive.y))
            share = 0.25 * self.archive.deadline.left()
            phases = replace(phases, seconds=min(phases.seconds, share))
        oom, begin = OomSafe(), self.rng.bit_generator.state

        def attempt(rows: slice, where: torch.device) -> None:
            self.rng.bit_generator.state, self.adapted = begin, NeuralResult()
            propose(
                checkpoint.load(self.backbone, where),
                self.archive,
                phases,
                describe=self.describe,
                deadline=self.archive.deadline,
                initial=pretrained.load(self.backbone) if phases.uses_pretrained else None,
                rng=self.rng,
                result=self.adapted,
                tick=tick,
                choose_lam=self._choose_lam,
                oom=oom,
            )

        # batches are cut where they are done; what else may not fit makes this begin anew
        oom.run("the neural part", attempt, 1, pick_device(self.device))
        ranked = sorted(self.archive.candidates, key=lambda c: c.loss)
        return [c.inner for c in ranked[:60] if c.source != "constant"]

    def _choose_lam(self) -> None:
        """Let the score trade error for size as the choice of the answer does at its best so far.

        The evaluator then learns, and the ascent climbs, what the answer will be chosen by.
        """
        if self.chooses_lam:
            archive, best = self.archive, self.choose("best")
            archive.balance(
                best, price_of_node(best.tree, best.loss, archive.variance, archive.n_rows)
            )

    def _edit(self, deadline: Deadline, starts: list[Tree], tick: Callable[[str], None]) -> None:
        n, p = self.archive.X.shape
        settings = EditSettings(library=int(min(8000, 40 * n + 500 * (n >= 40))))
        edits = EditSearch(self.archive, list(range(p)), rng=self.rng, settings=settings)
        edits.run(
            deadline,
            starts=starts,
            tick=lambda: tick("edit"),
            patience=patience(n),
            length=self.length,
        )

    def _shorten(self, tick: Callable[[str], None], top: int = 4) -> None:
        """Shorten the candidates of least description length, then snap the best's constants."""
        archive, deadline = self.archive, self.archive.deadline
        algebra = archive.error < EXACT and self._may_be_law(archive.best)
        if algebra:
            warm_up()
        ranked = sorted(self.archive.candidates, key=self.length)
        for candidate in ranked[:top]:
            if deadline.over:
                return
            shorten(self.archive, candidate, rewrite=rewrite, deadline=deadline)
            tick("shorten")
        if algebra:
            self._simplify()
        best = self.choose("best")
        if best.tree.constants and not deadline.over:
            # a constant made simple saves log(n)/2 nats, worth this growth of the loss
            margin = math.log(max(archive.n_rows, 3.0)) / archive.n_rows
            tree = snap(best.tree, archive.X, archive.y, archive.weights,
                        margin=min(margin, 0.1), deadline=deadline)  # fmt: skip
            self._add(tree)

    def _simplify(self) -> None:
        """Ask SymPy for a shorter form of an exact formula; a law has one, an approximation not."""
        archive, deadline = self.archive, self.archive.deadline
        best = self.choose("best")
        if not self._may_be_law(best):
            return
        tree = simplify(best.tree, archive.X, time_limit=min(2.0, 0.5 * deadline.left()))
        found = None if tree == best.tree else self._add(tree)
        if found is not None:
            shorten(archive, found, rewrite=rewrite, deadline=deadline)

    def _may_be_law(self, candidate: Candidate) -> bool:
        """Whether a shorter form is worth asking for: exact on few rows is no law, but chance."""
        return SHORT < complexity(candidate.tree) <= self.archive.n_rows / 3

    def _add(self, tree: Tree) -> Candidate | None:
        """Score a formula as it stands."""
        archive = self.archive
        residual = evaluate(tree, archive.X) - archive.y
        loss = float(np.average(residual**2, weights=archive.weights))
        return archive.add(tree, tree, loss, "shorten") if math.isfinite(loss) else None

    # -- choosing ---------------------------------------------------------------------------

    def length(self, candidate: Candidate) -> float:
        """Description length on the fit rows; formulas that are undefined between them pay."""
        found = self._lengths.get(id(candidate))
        if found is None:
            found = description_length(
                candidate.tree, candidate.loss, self.archive.variance, self.archive.n_rows
            )
            if not self._is_tame(candidate.tree):
                found += UNDEFINED_COST
            self._lengths[id(candidate)] = found
        return found

    def _is_tame(self, tree: Tree) -> bool:
        """Whether the formula is finite, and not far out, for other combinations of values."""
        if tree.symbols == (CONSTANT,):
            return True
        values = evaluate(tree, self._probes)  # comparisons with NaN are False
        return bool(((values >= self._tame[0]) & (values <= self._tame[1])).all())

    def choose(self, select: str) -> Candidate:
        """The answer: least description length, or least error on the fit rows."""
        key = self.length if select == "best" else attrgetter("loss")
        ranked = sorted(self.archive.candidates, key=key)
        return next(filter(self._is_defined, ranked))  # a constant is, at the latest

    def _is_defined(self, candidate: Candidate) -> bool:
        """Whether the formula is finite on all rows, also those that the search did not use."""
        if self.problem is None or self.problem.rows is None:
            return True
        if id(candidate) not in self._defined:
            values = evaluate(candidate.tree, self.problem.rows)
            self._defined[id(candidate)] = bool(np.isfinite(values).all())
        return self._defined[id(candidate)]

    def diagnostics(self) -> dict[str, Any]:
        """Formulas tried per source, and what the gradient ascent did."""
        found = self.adapted.diagnostics
        return {
            "lam": self.archive.lam,
            "tried": dict(self.archive.tried),
            "seconds": dict(self.adapted.seconds),
            "flip_rate": found.flip_rate,
            "validity_rate": found.validity_rate,
            "rank_correlation": found.rank_correlation,
            **self.notes,
        }


def _probes(X: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Values of every column in other combinations, one column a little further out in some."""
    mixed = [
        np.column_stack([rng.permutation(column)[:256] for column in X.T])
        for _ in range(PROBE_ROUNDS)
    ]
    low, high = X.min(axis=0), X.max(axis=0)
    margin = MARGIN * (high - low)
    ends = (
        np.where(low >= 0.0, np.maximum(low - margin, 0.0), low - margin),
        np.where(high <= 0.0, np.minimum(high + margin, 0.0), high + margin),
    )
    edges = []
    for end in ends:
        for j, value in enumerate(end):
            rows = mixed[0][:EDGE_PROBES].copy()
            rows[:, j] = value
            edges.append(rows)
    return np.concatenate([*mixed, *edges])


def for_rows(settings: EquateSettings, n_rows: int) -> EquateSettings:
    """Settings with less work for fewer rows; a count, not a clock, so that a seed decides all."""
    share = min(1.0, n_rows / FULL_ROWS) ** 3
    counts = {
        name: max(1, round(share * getattr(settings, name)))
        for name in ("n_subsets", "epochs", "starts", "steps")
    }
    return replace(settings, **counts)


def patience(n_rows: int) -> int:
    """Formulas without a better description length after which the edits end.

    Grows with a power of the rows: on a small table what a longer search finds is noise.
    """
    return int(max(500, 40 * n_rows, n_rows**2 / 10 * min(1.0, n_rows / FULL_ROWS)))

"""Phases 3 and 4: climb from the best joint embeddings, decode, refine, accept by true score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equate_srbench.backbone.views import View
from equate_srbench.equate.alignment import Aligned, Formulas
from equate_srbench.equate.ascent import AscentStep, ascend
from equate_srbench.equate.evaluator import cautious
from equate_srbench.equate.quadruples import Quadruple, decode_trees, retokenise
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equate.trajectory import TrajectoryRow
from equate_srbench.expr.tree import Tree
from equate_srbench.problem import scaling
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe


@dataclass(slots=True, eq=False)
class LatentSearch:
    """Everything the search needs, and the rows it writes.

    Attributes
    ----------
    aligned : Aligned
    archive : Archive
        Judges every proposal on the fit rows; whatever the evaluator thinks, its best formula
        never gets worse.
    settings : EquateSettings
    describe : callable
        Tree of the archive -> text in the user's names and units, and complexity of that.
    generator : torch.Generator
    deadline : Deadline
    rows : list of TrajectoryRow
        Proposals are appended as they are judged.
    tick : callable
        Called after every step.
    oom : OomSafe
        Of the fit.
    """

    aligned: Aligned
    archive: Archive
    settings: EquateSettings
    describe: Callable[[Tree], tuple[str, int]]
    generator: torch.Generator
    deadline: Deadline
    rows: list[TrajectoryRow] = field(default_factory=list)
    tick: Callable[[], object] = lambda: None
    oom: OomSafe = field(default_factory=OomSafe)
    _found: list[Quadruple] = field(default_factory=list)
    _described: dict[int, tuple[str, int]] = field(default_factory=dict)
    _n_starts: int = 0

    def run(self, quadruples: Sequence[Quadruple]) -> list[TrajectoryRow]:
        """Climb from the best quadruples; in later rounds from the best of everything found.

        A formula that the search found enters the next round with an embedding of its own
        (re-anchoring), which the method's description does not mention: preset ``paper`` has one
        round.

        Returns
        -------
        list of TrajectoryRow
            ``self.rows``.
        """
        pool = [q for q in quadruples if q.candidate is not None]
        used: set[tuple[int, tuple[int, ...]]] = set()
        for _ in range(self.settings.rounds):
            fresh = [q for q in pool if (q.bag, q.ids) not in used]
            starts = sorted(fresh, key=lambda q: -q.score)[: self.settings.starts]
            if not starts or self._is_over():
                break
            used.update((q.bag, q.ids) for q in starts)
            self._climb(starts)
            pool += self._found
            self._found = []
        return self.rows

    def _is_over(self) -> bool:
        return self.deadline.over or self.archive.best.r2 > self.settings.stop_r2

    def _climb(self, starts: Sequence[Quadruple]) -> None:
        """All steps from all starts, side by side."""
        s, modules, backbone = self.settings, self.aligned.modules, self.aligned.backbone
        bags = self.aligned.bags
        bag = torch.tensor([q.bag for q in starts], device=bags.memory.device)
        memory, mask = bags.memory[bag], bags.mask[bag]
        formulas = Formulas.pack([q.ids for q in starts], backbone.vocabulary, bag.device)
        with torch.no_grad():
            anchors = modules.embed(backbone, memory, mask, formulas)
        mask = modules.fusion.embedding_mask(mask)
        line = _Line(
            self._n_starts, anchors, mask, [q.bag for q in starts], [q.score for q in starts]
        )
        self._n_starts += len(starts)
        steps = ascend(
            lambda embedding, valid: cautious(modules.evaluator(embedding, valid), s.pessimism),
            anchors,
            mask,
            steps=s.steps,
            step_size=s.step_size,
            trust=s.trust,
            ladder=s.ladder,
        )
        # the path does not depend on what is decoded, so that several steps share one decoding
        while block := list(islice(steps, s.block)):
            self._propose(block, line)
            self.tick()
            if self._is_over():
                return

    def _propose(self, steps: Sequence[AscentStep], line: _Line) -> None:
        """Decode all rungs greedily, then samples at the best rung of every start and step."""
        places = []
        for step in steps:
            distances, means = line.measure(step.embeddings)
            places += [
                _Place(
                    step.index, step.rungs[k], start, float(step.predicted[start, k]),
                    float(distances[start, k]), means[start, k],
                )
                for start in range(len(line.bags))
                for k in range(len(step.rungs))
            ]  # fmt: skip
        embeddings = torch.cat([step.embeddings.flatten(0, 1) for step in steps])
        scores = self._decode(places, embeddings, line, ())
        if not self.settings.best_samples or self._is_over():
            return
        best: dict[tuple[int, int], int] = {}
        for i, place in enumerate(places):
            kept = best.setdefault((place.step, place.start), i)
            if scores[i] > scores[kept]:
                best[place.step, place.start] = i
        chosen = list(best.values())
        heat = (self.settings.best_temperature,) * self.settings.best_samples
        self._decode([places[i] for i in chosen], embeddings[chosen], line, heat)

    def _decode(
        self,
        places: Sequence[_Place],
        embeddings: Tensor,
        line: _Line,
        temperatures: Sequence[float],
    ) -> list[float]:
        """Decode, refine and record; ``places`` say where ``embeddings`` come from.

        Returns
        -------
        list of float
            Best true score of each place; -inf where nothing valid was decoded.
        """
        bags = self.aligned.bags
        bag = [line.bags[place.start] for place in places]
        with torch.no_grad():
            read = self.aligned.modules.fusion.decodable(
                embeddings, bags.memory[bag], bags.mask[bag]
            )
        decoded = decode_trees(
            self.aligned.backbone,
            *read,
            n_columns=self.archive.X.shape[1],
            temperatures=temperatures,
            max_length=self.settings.max_length,
            generator=self.generator,
            deadline=self.deadline,
            oom=self.oom,
        )
        flat = [(i, tree) for i, trees in enumerate(decoded) for tree in trees]
        views = [bags.views[bag[i]] for i, _ in flat]
        users = [
            None if tree is None else scaling.to_user(tree, view)
            for (_, tree), view in zip(flat, views, strict=True)
        ]
        valid = [user for user in users if user is not None]
        new = {user.skeleton for user in valid if not self.archive.has(user.skeleton)}
        refined = iter(self.archive.refine(valid, "ascent", max_steps=self.settings.refine_steps))
        scores = [-math.inf] * len(places)
        for (i, tree), user, view in zip(flat, users, views, strict=True):
            candidate = None if user is None else next(refined)
            is_new = user is not None and user.skeleton in new
            if user is not None:
                new.discard(user.skeleton)  # a second copy in the same batch is not new
            score = self._record(places[i], line, candidate, is_new)
            scores[i] = max(scores[i], score)
            if is_new and candidate is not None and tree is not None:
                self._remember(bag[i], tree, view, candidate, score)
        return scores

    def _record(
        self, place: _Place, line: _Line, candidate: Candidate | None, is_new: bool
    ) -> float:
        """Write one row; the proposal's score, -inf if it is undefined on the rows."""
        score = -math.inf if candidate is None else self.archive.score(candidate)
        accepted = score > line.best[place.start]
        if accepted:
            line.best[place.start] = score
        text, complexity = self._description(candidate)
        self.rows.append(
            TrajectoryRow(
                start=line.first + place.start,
                step=place.step,
                rung=place.rung,
                predicted_score=place.predicted,
                score=math.nan if candidate is None else score,
                r2=math.nan if candidate is None else candidate.r2,
                complexity=complexity,
                new_skeleton=is_new,
                accepted=accepted,
                equation=text,
                seconds=self.archive.deadline.elapsed(),
                source="ascent",
                distance=place.distance,
                embedding=place.embedding,
            )
        )
        return score

    def _description(self, candidate: Candidate | None) -> tuple[str, int]:
        """Rungs often decode alike: every formula is printed once."""
        if candidate is None:
            return "", 0
        found = self._described.get(id(candidate))
        if found is None:
            found = self._described[id(candidate)] = self.describe(candidate.tree)
        return found

    def _remember(
        self, bag: int, tree: Tree, view: View, candidate: Candidate, score: float
    ) -> None:
        """Keep a found formula as a start of later rounds."""
        if self.settings.rounds > 1:
            vocabulary = self.aligned.backbone.vocabulary
            ids = retokenise(vocabulary, candidate, view, tree, self.settings.max_length)
            self._found.append(Quadruple(bag, ids, score, candidate))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a decoded embedding stands, and the score expected there."""

    step: int
    rung: float
    start: int
    predicted: float
    distance: float
    embedding: NDArray[np.float16]


@dataclass(slots=True, eq=False)
class _Line:
    """The starts of one round: number of the first, embeddings, bags, and best scores so far."""

    first: int
    anchors: Tensor
    mask: Tensor
    bags: list[int]
    best: list[float]

    def measure(self, embeddings: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
        """Distance from the start (starts, rungs) and mean over valid rows (starts, rungs, width).

        ``embeddings`` have the shape (starts, rungs, rows, width).
        """
        valid = self.mask[:, None, :, None]
        moved = (embeddings - self.anchors[:, None]) * valid
        means = (embeddings * valid).sum(-2) / valid.sum(-2)
        distances = torch.linalg.vector_norm(moved, dim=(-2, -1))
        # half precision: hundreds of these stay with the estimator, and are pickled with it
        return distances.cpu().numpy(), means.half().cpu().numpy()


def backbone_rows(
    quadruples: Sequence[Quadruple], describe: Callable[[Tree], tuple[str, int]]
) -> list[TrajectoryRow]:
    """The backbone's candidates as rows of the trajectory, in the order they were found."""
    rows: list[TrajectoryRow] = []
    best = -math.inf
    seen: set[int] = set()
    found = [(q.candidate, q.score) for q in quadruples if q.candidate is not None]
    for candidate, score in sorted(found, key=lambda pair: pair[0].seconds):
        if id(candidate) in seen:  # one formula, two views
            continue
        seen.add(id(candidate))
        text, complexity = describe(candidate.tree)
        rows.append(
            TrajectoryRow(
                start=-1,
                step=0,
                rung=0.0,
                predicted_score=math.nan,
                score=score,
                r2=candidate.r2,
                complexity=complexity,
                new_skeleton=True,
                accepted=score > best,
                equation=text,
                seconds=candidate.seconds,
                source="backbone",
            )
        )
        best = max(best, score)
    return rows

"""Phases 3 and 4: gradient ascent on joint embeddings, decoding, refinement, acceptance."""

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
from equate_srbench.equate.evaluator import pessimistic
from equate_srbench.equate.quadruples import Quadruple, decode_trees, retokenise
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equate.trajectory import TrajectoryRow
from equate_srbench.expr.tree import Tree
from equate_srbench.problem import scaling
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe, joined, placed


@dataclass(slots=True, eq=False)
class LatentSearch:
    """Searches the latent space of joint embeddings and records every proposal.

    Attributes
    ----------
    aligned : Aligned
    archive : Archive
        Scores every proposal on the fit rows; its best formula never gets worse, whatever the
        evaluator predicts.
    settings : EquateSettings
    generator : torch.Generator
    deadline : Deadline
    rows : list of TrajectoryRow
        Proposals are appended as they are scored.
    tick : callable
        Called after every step.
    oom : OomSafe
        Of the fit.
    """

    aligned: Aligned
    archive: Archive
    settings: EquateSettings
    generator: torch.Generator
    deadline: Deadline
    rows: list[TrajectoryRow] = field(default_factory=list)
    tick: Callable[[], object] = lambda: None
    oom: OomSafe = field(default_factory=OomSafe)
    _found: list[Quadruple] = field(default_factory=list)
    _n_starts: int = 0

    def run(self, quadruples: Sequence[Quadruple]) -> list[TrajectoryRow]:
        """Ascend from the best quadruples; in later rounds also from the formulas found.

        A formula found by the search enters the next round with its own embedding (re-anchoring),
        which is not in the publication: preset ``paper`` has one round.

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
        """All steps from all starts, in parallel."""
        s, bags = self.settings, self.aligned.bags
        bag = torch.tensor([q.bag for q in starts], device=bags.memory.device)
        anchors = self._embed(starts, bag)
        mask = self.aligned.modules.fusion.embedding_mask(bags.mask[bag])
        batch = _StartBatch(
            self._n_starts, anchors, mask, [q.bag for q in starts], [q.score for q in starts]
        )
        self._n_starts += len(starts)
        steps = ascend(
            self._objective,
            anchors,
            mask,
            steps=s.steps,
            step_size=s.step_size,
            trust=s.trust,
            ladder=s.ladder,
            oom=self.oom,
        )
        # the path does not depend on what is decoded, so several steps share one decoder call
        while block := list(islice(steps, s.block)):
            self._propose(block, batch)
            self.tick()
            if self._is_over():
                return

    @torch.no_grad()
    def _embed(self, starts: Sequence[Quadruple], bag: Tensor) -> Tensor:
        """Joint embeddings of the starts, (starts, rows, width)."""
        bags = self.aligned.bags

        def work(rows: slice, where: torch.device) -> Tensor:
            backbone = placed(self.aligned.backbone, where)
            ids = [q.ids for q in starts[rows]]
            return (
                placed(self.aligned.modules, where)
                .embed(
                    backbone,
                    bags.memory[bag[rows]].to(where),
                    bags.mask[bag[rows]].to(where),
                    Formulas.pack(ids, backbone.vocabulary, where),
                )
                .to(bag.device)
            )

        return joined(self.oom.run("ascent", work, len(starts), bag.device))

    def _objective(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """Pessimistic predicted score of embeddings, (batch,)."""
        evaluator = placed(self.aligned.modules.evaluator, embedding.device)
        return pessimistic(evaluator(embedding, mask), self.settings.pessimism)

    @torch.no_grad()
    def _decodable(self, embeddings: Tensor, bag: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Decoder input and its mask for embeddings of the given bags."""
        bags, home = self.aligned.bags, embeddings.device

        def work(rows: slice, where: torch.device) -> tuple[Tensor, Tensor]:
            some = bag[rows]
            read, mask = placed(self.aligned.modules.fusion, where).decodable(
                embeddings[rows].to(where), bags.memory[some].to(where), bags.mask[some].to(where)
            )
            return read.to(home), mask.to(home)

        read, mask = zip(*self.oom.run("ascent", work, len(bag), home), strict=True)
        return joined(read), joined(mask)

    def _propose(self, steps: Sequence[AscentStep], batch: _StartBatch) -> None:
        """Decode all rungs greedily, then sample at the best rung of every start and step."""
        origins = []
        for step in steps:
            distances, means = batch.measure(step.embeddings)
            origins += [
                _Origin(
                    step.index, step.rungs[k], start, float(step.predicted[start, k]),
                    float(distances[start, k]), means[start, k],
                )
                for start in range(len(batch.bags))
                for k in range(len(step.rungs))
            ]  # fmt: skip
        embeddings = torch.cat([step.embeddings.flatten(0, 1) for step in steps])
        scores = self._decode(origins, embeddings, batch, ())
        if not self.settings.best_samples or self._is_over():
            return
        best: dict[tuple[int, int], int] = {}
        for i, origin in enumerate(origins):
            kept = best.setdefault((origin.step, origin.start), i)
            if scores[i] > scores[kept]:
                best[origin.step, origin.start] = i
        chosen = list(best.values())
        heat = (self.settings.best_temperature,) * self.settings.best_samples
        self._decode([origins[i] for i in chosen], embeddings[chosen], batch, heat)

    def _decode(
        self,
        origins: Sequence[_Origin],
        embeddings: Tensor,
        batch: _StartBatch,
        temperatures: Sequence[float],
    ) -> list[float]:
        """Decode, refine and record; ``origins`` describe ``embeddings``.

        Returns
        -------
        list of float
            Best true score of each embedding; -inf if nothing valid was decoded.
        """
        bags = self.aligned.bags
        bag = [batch.bags[origin.start] for origin in origins]
        decoded = decode_trees(
            self.aligned.backbone,
            *self._decodable(embeddings, bag),
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
            None if tree is None else scaling.to_canonical(tree, view)
            for (_, tree), view in zip(flat, views, strict=True)
        ]
        valid = [user for user in users if user is not None]
        new = {user.skeleton for user in valid if not self.archive.has(user.skeleton)}
        refined = iter(self.archive.refine(valid, "ascent", max_steps=self.settings.refine_steps))
        scores = [-math.inf] * len(origins)
        for (i, tree), user, view in zip(flat, users, views, strict=True):
            candidate = None if user is None else next(refined)
            is_new = user is not None and user.skeleton in new
            if user is not None:
                new.discard(user.skeleton)  # a second copy in the same batch is not new
            score = self._record(origins[i], batch, candidate, is_new)
            scores[i] = max(scores[i], score)
            if is_new and candidate is not None and tree is not None:
                self._remember(bag[i], tree, view, candidate, score)
        return scores

    def _record(
        self, origin: _Origin, batch: _StartBatch, candidate: Candidate | None, is_new: bool
    ) -> float:
        """Append one row; returns the score, -inf if the formula is undefined on the rows."""
        score = -math.inf if candidate is None else self.archive.score(candidate)
        accepted = score > batch.best[origin.start]
        if accepted:
            batch.best[origin.start] = score
        self.rows.append(
            TrajectoryRow(
                start=batch.first + origin.start,
                step=origin.step,
                rung=origin.rung,
                predicted_score=origin.predicted,
                score=math.nan if candidate is None else score,
                r2=math.nan if candidate is None else candidate.r2,
                tree=None if candidate is None else candidate.tree,
                new_skeleton=is_new,
                accepted=accepted,
                seconds=self.archive.deadline.elapsed(),
                source="ascent",
                distance=origin.distance,
                embedding=origin.embedding,
            )
        )
        return score

    def _remember(
        self, bag: int, tree: Tree, view: View, candidate: Candidate, score: float
    ) -> None:
        """Keep a formula as a possible start of later rounds."""
        if self.settings.rounds > 1:
            vocabulary = self.aligned.backbone.vocabulary
            ids = retokenise(vocabulary, candidate, view, tree, self.settings.max_length)
            self._found.append(Quadruple(bag, ids, score, candidate))


@dataclass(frozen=True, slots=True)
class _Origin:
    """Provenance of an embedding, and its predicted score."""

    step: int
    rung: float
    start: int
    predicted: float
    distance: float
    embedding: NDArray[np.float16]


@dataclass(slots=True, eq=False)
class _StartBatch:
    """Starts of one round: index of the first, embeddings, bags, and best scores so far."""

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


def backbone_rows(quadruples: Sequence[Quadruple]) -> list[TrajectoryRow]:
    """The backbone's candidates as trajectory rows, in order of discovery."""
    rows: list[TrajectoryRow] = []
    best = -math.inf
    seen: set[int] = set()
    found = [(q.candidate, q.score) for q in quadruples if q.candidate is not None]
    for candidate, score in sorted(found, key=lambda pair: pair[0].seconds):
        if id(candidate) in seen:  # one formula, two views
            continue
        seen.add(id(candidate))
        rows.append(
            TrajectoryRow(
                start=-1,
                step=0,
                rung=0.0,
                predicted_score=math.nan,
                score=score,
                r2=candidate.r2,
                tree=candidate.tree,
                new_skeleton=True,
                accepted=score > best,
                seconds=candidate.seconds,
                source="backbone",
            )
        )
        best = max(best, score)
    return rows

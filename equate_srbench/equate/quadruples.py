"""Phase 1: row subsets, candidate formulas decoded from them, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equate_srbench.backbone.decoding import generate
from equate_srbench.backbone.features import point_features, point_tokens
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import Kind, View
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.mutations import Mutator
from equate_srbench.expr.tokens.vocabulary import Vocabulary
from equate_srbench.expr.tree import Tree
from equate_srbench.problem import scaling
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe, joined, placed

Floats = NDArray[np.float64]

_DECODE_BATCH = 8  # bags per decoder call: large for throughput, small to meet the deadline
_ENCODE_BATCH = 4  # subsets per encoder call, likewise
_GREEDY = 1e-4  # sampling at this temperature is greedy decoding


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Encoded subsets of rows, one per bag and view.

    Attributes
    ----------
    views : tuple of View
        One per bag.
    memory : Tensor of shape (bags, rows, width)
        Zero where ``mask`` is False.
    mask : bool Tensor of shape (bags, rows)
    points : Tensor of shape (bags, rows, features)
        Input of the encoder.
    """

    views: tuple[View, ...]
    memory: Tensor
    mask: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.views)

    def to(self, device: torch.device) -> Bags:
        """The same on another device; itself if it is there."""
        if self.memory.device == device:
            return self
        memory, mask, points = (t.to(device) for t in (self.memory, self.mask, self.points))
        return Bags(self.views, memory, mask, points)


@dataclass(frozen=True, slots=True, eq=False)
class Quadruple:
    """(rows, target, formula, score), with rows and target given by the bag.

    Attributes
    ----------
    bag : int
    ids : tuple of int
        Tokens of the refined formula in the bag's view, without end token.
    score : float
        On all fit rows, after refinement.
    candidate : Candidate or None
        None for perturbed formulas, which must not become answers.
    """

    bag: int
    ids: tuple[int, ...]
    score: float
    candidate: Candidate | None


def draw_subsets(
    n_rows: int, settings: EquateSettings, rng: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Row indices of random subsets, sampled without replacement.

    Sizes are uniform in ``[min(n, max(min_points, n/2)), min(n, max_points)]``; if that admits only
    the whole table, there is one subset.
    """
    most = min(n_rows, settings.max_points)
    least = min(most, max(settings.min_points, n_rows // 2))
    count = 1 if least == n_rows else settings.n_subsets
    sizes = rng.integers(least, most, size=count, endpoint=True)
    return [np.sort(rng.choice(n_rows, size=int(size), replace=False)) for size in sizes]


@torch.no_grad()
def encode_bags(
    backbone: Backbone,
    X: Floats,
    y: Floats,
    subsets: Sequence[NDArray[np.intp]],
    deadline: Deadline | None = None,
    oom: OomSafe | None = None,
) -> Bags:
    """Encode the subsets under every view of the backbone.

    The compact backbone gets each subset in two views fitted to the subset; E2E gets it
    standardised by all rows, with the raw target.

    Parameters
    ----------
    backbone : Backbone
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    subsets : sequence of ndarray of int
        At least one.
    deadline : Deadline, optional
        Subsets not encoded by then are skipped, except the first batch.
    oom : OomSafe, optional
        Of the fit.
    """
    device = next(backbone.parameters()).device
    longest = max(map(len, subsets))
    views: list[View] = []
    memories, masks, inputs = [], [], []
    for first in range(0, len(subsets), _ENCODE_BATCH):
        if first and deadline is not None and deadline.over:
            break
        found, points, mask = _points(
            backbone, X, y, subsets[first : first + _ENCODE_BATCH], longest
        )
        views += found
        masks.append(mask.to(device))
        inputs.append(points.to(device))
        memories.append(encode(backbone, inputs[-1], masks[-1], oom or OomSafe()))
    return Bags(tuple(views), torch.cat(memories), torch.cat(masks), torch.cat(inputs))


def encode(backbone: Backbone, points: Tensor, mask: Tensor, oom: OomSafe) -> Tensor:
    """``backbone.encode``, recovering from out-of-memory errors."""

    def work(rows: slice, where: torch.device) -> Tensor:
        network = placed(backbone, where)
        return network.encode(points[rows].to(where), mask[rows].to(where)).to(points.device)

    return joined(oom.run("encoding", work, len(points), points.device))


def _points(
    backbone: Backbone, X: Floats, y: Floats, subsets: Sequence[NDArray[np.intp]], longest: int
) -> tuple[list[View], Tensor, Tensor]:
    """Views, inputs (bags, longest, features) and masks (bags, longest) of some subsets."""
    c = backbone.config
    is_e2e = c.input == "tokens"
    kinds: tuple[Kind, ...] = ("standard",) if is_e2e else ("scale", "standard")
    views, points = [], []
    for rows in subsets:
        for kind in kinds:
            view = View.fit(X if is_e2e else X[rows], kind)
            Z = view.transform(X[rows])
            found = (
                point_tokens(Z, y[rows], c.max_columns)
                if is_e2e
                else point_features(Z, y[rows], view, max_columns=c.max_columns)
            )
            views.append(view)
            points.append(torch.from_numpy(np.pad(found, ((0, longest - len(found)), (0, 0)))))
    lengths = torch.tensor([len(rows) for rows in subsets]).repeat_interleave(len(kinds))
    return views, torch.stack(points), torch.arange(longest) < lengths[:, None]


def decode_trees(
    backbone: Backbone,
    memory: Tensor,
    mask: Tensor,
    *,
    n_columns: int,
    temperatures: Sequence[float] = (),
    max_length: int,
    generator: torch.Generator,
    deadline: Deadline,
    oom: OomSafe | None = None,
) -> list[list[Tree | None]]:
    """Decode formulas from each memory: one sample per temperature, or greedily without any.

    Returns
    -------
    list of list of Tree or None
        Over view columns; None for sequences that are not a valid formula. Sequences truncated by
        the deadline are omitted.
    """
    found = generate(
        backbone,
        memory,
        mask,
        n_columns=n_columns,
        mode="sample" if temperatures else "greedy",
        n_samples=max(len(temperatures), 1),
        temperature=tuple(temperatures) or 1.0,
        generator=generator,
        max_length=min(max_length, backbone.config.max_length),
        deadline=deadline,
        oom=oom,
    )
    return [[_tree(backbone.vocabulary, h.ids) for h in bag] for bag in found]


def _tree(vocabulary: Vocabulary, ids: Sequence[int]) -> Tree | None:
    try:
        return vocabulary.decode(ids)
    except FormulaError:
        return None


def retokenise(
    vocabulary: Vocabulary, candidate: Candidate, view: View, fallback: Tree, max_length: int
) -> tuple[int, ...]:
    """Tokens of the refined formula in the view.

    The refined constants are converted to the view's units and normal form. If the vocabulary
    cannot express the result (constant out of range, too long), the decoded tree is used.
    """
    tree = scaling.to_view(candidate.inner, view)
    ids = None if tree is None else _ids(vocabulary, tree, max_length)
    return tuple(vocabulary.encode(fallback)) if ids is None else ids


def _ids(vocabulary: Vocabulary, tree: Tree, max_length: int) -> tuple[int, ...] | None:
    """Tokens of ``tree``; None if it has no such form or exceeds ``max_length``."""
    try:
        ids = tuple(vocabulary.encode(tree))
    except FormulaError:
        return None
    return ids if len(ids) <= max_length else None


def collect(
    backbone: Backbone,
    bags: Bags,
    archive: Archive,
    settings: EquateSettings,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
    deadline: Deadline,
    tick: Callable[[], object] = lambda: None,
    before_scoring: Callable[[], object] = lambda: None,
    oom: OomSafe | None = None,
) -> list[Quadruple]:
    """Decode, refine and score candidates of every bag, and add perturbed formulas.

    Parameters
    ----------
    backbone : Backbone
    bags : Bags
    archive : Archive
        Receives every decoded formula, with source ``backbone``.
    settings : EquateSettings
    rng : numpy.random.Generator
    generator : torch.Generator
    deadline : Deadline
        Ends decoding between batches of bags.
    tick : callable, optional
        Called for every candidate.
    before_scoring : callable, optional
        Called when all candidates are in the archive and none is scored yet; may calibrate
        the archive's ``parsimony``.
    oom : OomSafe, optional
        Of the fit.

    Returns
    -------
    list of Quadruple
        Distinct by skeleton and view, at most ``settings.cap``, best scores first.
    """
    found: dict[tuple[object, ...], tuple[int, tuple[int, ...], Candidate]] = {}
    for bag, tree, candidate in _candidates(
        backbone, bags, archive, settings, generator=generator, deadline=deadline, oom=oom
    ):
        tick()
        view = bags.views[bag]
        key = view.kind, candidate.inner.skeleton
        if key not in found:
            ids = retokenise(backbone.vocabulary, candidate, view, tree, settings.max_length)
            found[key] = bag, ids, candidate
    before_scoring()
    scored = [Quadruple(bag, ids, archive.score(c), c) for bag, ids, c in found.values()]
    ranked = sorted(scored, key=lambda q: -q.score)[: settings.cap]
    count = min(round(settings.negatives * len(ranked)), settings.cap - len(ranked))
    return ranked + perturbed(backbone.vocabulary, bags, ranked, archive, settings, count, rng)


def _candidates(
    backbone: Backbone,
    bags: Bags,
    archive: Archive,
    settings: EquateSettings,
    *,
    generator: torch.Generator,
    deadline: Deadline,
    oom: OomSafe | None,
) -> Iterator[tuple[int, Tree, Candidate]]:
    """Yield bag, decoded tree over view columns, and refined candidate."""
    temperatures = (_GREEDY, *(t for t in settings.temperatures for _ in range(settings.samples)))
    for first in range(0, len(bags), _DECODE_BATCH):
        part = slice(first, first + _DECODE_BATCH)
        per_bag = decode_trees(
            backbone,
            bags.memory[part],
            bags.mask[part],
            n_columns=archive.X.shape[1],
            temperatures=temperatures,
            max_length=settings.max_length,
            generator=generator,
            deadline=deadline,
            oom=oom,
        )
        decoded = [
            (first + i, tree)
            for i, trees in enumerate(per_bag)
            for tree in trees
            if tree is not None and tree.columns
        ]
        refined = archive.refine(
            [scaling.to_canonical(tree, bags.views[bag]) for bag, tree in decoded],
            "backbone",
            max_steps=settings.refine_steps,
        )
        for (bag, tree), candidate in zip(decoded, refined, strict=True):
            if candidate is not None:
                yield bag, tree, candidate
        if deadline.over or archive.best.r2 > settings.stop_r2:
            return


def perturbed(
    vocabulary: Vocabulary,
    bags: Bags,
    quadruples: Sequence[Quadruple],
    archive: Archive,
    settings: EquateSettings,
    count: int,
    rng: np.random.Generator,
) -> list[Quadruple]:
    """``count`` formulas with a subtree replaced or a constant times ten, with their scores.

    They calibrate the evaluator away from good formulas. They are scored by the archive's refiner
    without being added to the archive, so they are never answers. A changed constant is not
    refined, since that would undo the change.
    """
    if not quadruples or count <= 0:
        return []
    r = Random(int(rng.integers(2**63)))  # noqa: S311 - drawing formulas is no secret
    mutator = Mutator(range(archive.X.shape[1]), r)
    replaced: list[tuple[int, Tree]] = []
    rescaled: list[tuple[int, Tree]] = []
    for _ in range(count):
        parent = r.choice(quadruples)
        tree = vocabulary.decode(parent.ids)
        if tree.constants and r.random() < 0.5:
            i = r.randrange(len(tree.constants))
            values = [10.0 * c if j == i else c for j, c in enumerate(tree.constants)]
            rescaled.append((parent.bag, tree.with_constants(values)))
        else:
            at = r.randrange(tree.size)
            replaced.append((parent.bag, tree.replace(at, mutator.tree(2))))
    out: list[Quadruple] = []
    for group, steps in ((replaced, settings.negative_steps), (rescaled, 0)):
        kept = [(bag, tree) for bag, tree in group if tree.columns]
        users = [scaling.to_canonical(tree, bags.views[bag]) for bag, tree in kept]
        fitted = archive.refiner.fit(users, max_steps=steps, deadline=archive.deadline)
        for i, (bag, tree) in enumerate(kept):
            loss, ids = float(fitted.loss[i]), _ids(vocabulary, tree, settings.max_length)
            if ids is not None and np.isfinite(loss):
                r2 = 1.0 - loss / archive.variance
                stand_in = Candidate(users[i], users[i], loss, r2, "perturbed", 0.0)
                out.append(Quadruple(bag, ids, archive.score(stand_in), None))
    return out

"""Phase 1: subsets of the one dataset, candidate formulas for them, and scores."""

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
from equate_srbench.runtime.memory import OomSafe, placed

Floats = NDArray[np.float64]

_BAGS_PER_CALL = 8  # decoded together: large enough to be cheap, small enough to keep a deadline
_SUBSETS_PER_CALL = 4  # the same for the encoder
_COLD = 1e-4  # a sample at this temperature is the greedy formula


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Subsets of rows as the frozen encoder sees them.

    Attributes
    ----------
    views : tuple of View
        One per bag.
    memory : Tensor of shape (bags, rows, width)
        Zero where ``mask`` is False.
    mask : bool Tensor of shape (bags, rows)
    points : Tensor of shape (bags, rows, features)
        What the encoder read.
    """

    views: tuple[View, ...]
    memory: Tensor
    mask: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True, slots=True, eq=False)
class Quadruple:
    """(rows, target, formula, score); rows and target are the bag's.

    Attributes
    ----------
    bag : int
    ids : tuple of int
        Tokens of the refined formula over the bag's view columns, without end token.
    score : float
        On all fit rows after refinement.
    candidate : Candidate or None
        None for damaged formulas, which may not become answers.
    """

    bag: int
    ids: tuple[int, ...]
    score: float
    candidate: Candidate | None


def draw_subsets(
    n_rows: int, settings: EquateSettings, rng: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Row numbers of each subset, drawn without replacement.

    Sizes are uniform in ``[min(n, max(min_points, n/2)), min(n, max_points)]``; when that leaves
    only the whole table, there is one subset.
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
    """Memories of the subsets under every view the backbone knows.

    The compact backbone sees a subset in two views fitted on the subset; E2E's sees it in one,
    standardised by all rows, and reads the target as it is.

    Parameters
    ----------
    backbone : Backbone
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    subsets : sequence of ndarray of int
        At least one.
    deadline : Deadline, optional
        Subsets not reached by then are left out, the first ones excepted.
    oom : OomSafe, optional
        Of the fit.
    """
    device = next(backbone.parameters()).device
    longest = max(map(len, subsets))
    views: list[View] = []
    memories, masks, inputs = [], [], []
    for first in range(0, len(subsets), _SUBSETS_PER_CALL):
        if first and deadline is not None and deadline.over:
            break
        found, points, mask = _points(
            backbone, X, y, subsets[first : first + _SUBSETS_PER_CALL], longest
        )
        views += found
        masks.append(mask.to(device))
        inputs.append(points.to(device))
        memories.append(encode(backbone, inputs[-1], masks[-1], oom or OomSafe()))
    return Bags(tuple(views), torch.cat(memories), torch.cat(masks), torch.cat(inputs))


def encode(backbone: Backbone, points: Tensor, mask: Tensor, oom: OomSafe) -> Tensor:
    """``backbone.encode``, in pieces where the device's memory is short."""

    def work(rows: slice, where: torch.device) -> Tensor:
        network = placed(backbone, where)
        return network.encode(points[rows].to(where), mask[rows].to(where)).to(points.device)

    parts = oom.run("encoding", work, len(points), points.device)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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
    """Formulas decoded from each memory: one sample per temperature, or the greedy one without.

    Returns
    -------
    list of list of Tree or None
        Over view columns; None for a sequence that is not one complete formula. Sequences cut by
        the deadline are missing.
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
    """Tokens of the refined formula over the view's columns.

    The refined constants are carried into the view's units and normal form. Where the
    vocabulary cannot say that (constants out of range, too long), the decoded tree is kept.
    """
    tree = scaling.to_view(candidate.inner, view)
    ids = None if tree is None else _ids(vocabulary, tree, max_length)
    return tuple(vocabulary.encode(fallback)) if ids is None else ids


def _ids(vocabulary: Vocabulary, tree: Tree, max_length: int) -> tuple[int, ...] | None:
    """Tokens of ``tree``; None if it has no such form or more than ``max_length`` of them."""
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
    choose_lam: Callable[[], object] = lambda: None,
    oom: OomSafe | None = None,
) -> list[Quadruple]:
    """Candidates of every bag, refined and scored on all fit rows, plus damaged ones.

    Parameters
    ----------
    backbone : Backbone
    bags : Bags
    archive : Archive
        Receives every decoded formula with source ``backbone``.
    settings : EquateSettings
    rng : numpy.random.Generator
    generator : torch.Generator
    deadline : Deadline
        Ends decoding between batches of bags; what was decoded until then is used.
    tick : callable, optional
        Called with every candidate.
    choose_lam : callable, optional
        Called when all candidates are in the archive and before any is scored: the moment to
        choose the archive's ``lam``.
    oom : OomSafe, optional
        Of the fit.

    Returns
    -------
    list of Quadruple
        Distinct by skeleton and view kind, at most ``settings.cap``, best scores first.
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
    choose_lam()
    scored = [Quadruple(bag, ids, archive.score(c), c) for bag, ids, c in found.values()]
    ranked = sorted(scored, key=lambda q: -q.score)[: settings.cap]
    count = min(round(settings.negatives * len(ranked)), settings.cap - len(ranked))
    return ranked + damaged(backbone.vocabulary, bags, ranked, archive, settings, count, rng)


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
    """Bag, decoded tree over view columns, and refined candidate."""
    temperatures = (_COLD, *(t for t in settings.temperatures for _ in range(settings.samples)))
    for first in range(0, len(bags), _BAGS_PER_CALL):
        part = slice(first, first + _BAGS_PER_CALL)
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
            [scaling.to_user(tree, bags.views[bag]) for bag, tree in decoded],
            "backbone",
            max_steps=settings.refine_steps,
        )
        for (bag, tree), candidate in zip(decoded, refined, strict=True):
            if candidate is not None:
                yield bag, tree, candidate
        if deadline.over or archive.best.r2 > settings.stop_r2:
            return


def damaged(
    vocabulary: Vocabulary,
    bags: Bags,
    quadruples: Sequence[Quadruple],
    archive: Archive,
    settings: EquateSettings,
    count: int,
    rng: np.random.Generator,
) -> list[Quadruple]:
    """``count`` formulas with a subtree replaced or a constant times ten, with their scores.

    They calibrate the evaluator off the good ground. They are scored by the archive's refiner
    without entering the archive: an answer never comes from here. A changed constant is scored as
    it stands, since refining would only undo it.
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
        users = [scaling.to_user(tree, bags.views[bag]) for bag, tree in kept]
        fitted = archive.refiner.fit(users, max_steps=steps, deadline=archive.deadline)
        for i, (bag, tree) in enumerate(kept):
            loss, ids = float(fitted.loss[i]), _ids(vocabulary, tree, settings.max_length)
            if ids is not None and np.isfinite(loss):
                r2 = 1.0 - loss / archive.variance
                stand_in = Candidate(users[i], users[i], loss, r2, "damaged", 0.0)
                out.append(Quadruple(bag, ids, archive.score(stand_in), None))
    return out

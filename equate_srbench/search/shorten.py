"""The last phase: shorten the formulas of the front by greedy descent in description length.

Each round tries to replace every node by one of its arguments or by a constant, parts by
approximations of them, and to drop outer scale and offset. The variants of all formulas of a round
are refitted together on the fit rows, small ones first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.algebra.approximations import approximations
from equate_srbench.expr.algebra.rewrite import rewrite as rewritten
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]
Rewrite = Callable[[Tree], Tree]

#: Formulas that are shortened: of the front, and of least description length.
MOST_FORMULAS, MOST_LIKELY = 12, 4
#: Variants refitted in one call.
BATCH = 256
#: Relative distance of an exponent from a multiple of 1/2 at which that is tried.
NEAR_HALF = 0.01
_POW = BY_NAME["pow"].code
_REWRITTEN = 2  # of a variant's forms with and without scale and offset, as rewriting takes time
_CLOSER_LOOK = 4  # variants per formula and round whose outer scale and offset are tried
_LEAST_GAIN = 1e-6  # nats


def shorten_front(
    archive: Archive,
    *,
    deadline: Deadline,
    rewrite: Rewrite = rewritten,
    length: Callable[[Candidate], float] | None = None,
    most: int = MOST_FORMULAS,
    max_rounds: int = 40,
    tick: Callable[[], None] | None = None,
) -> list[Candidate]:
    """Rewrite and shorten what may become the answer; results are in the archive.

    Looked at are the most accurate formula of every size, and those of least description length. A
    formula may become the answer if it would win as a single node, at the accuracy it has; exact
    formulas always may.

    Parameters
    ----------
    archive : Archive
    deadline : Deadline
    rewrite : callable, default=``expr.algebra.rewrite.rewrite``
        Exact local simplification of a tree.
    length : callable, optional
        Description length by which candidates are ranked (default: without penalties).
    most : int, default=12
        Number of formulas shortened.
    max_rounds : int, default=40
    tick : callable, optional
        Called once per round.

    Returns
    -------
    list of Candidate
        The shortened formulas, of least description length first.
    """

    def plain(candidate: Candidate) -> float:
        return _length(archive, candidate.tree, candidate.loss)

    length = length or plain
    ranked = sorted(archive.candidates, key=length)
    if not ranked:
        return []
    node = Tree.variable(0)
    likely = {id(c) for c in ranked[:MOST_LIKELY]}
    likely |= {id(c) for c in pareto_front(ranked)}
    least = length(ranked[0])
    hopeful = [c for c in ranked if id(c) in likely and _length(archive, node, c.loss) <= least]
    starts = sorted(hopeful[:most], key=lambda c: c.size)
    return _descend(archive, starts, rewrite, deadline, max_rounds, tick)


def shorten(
    archive: Archive,
    start: Candidate,
    *,
    rewrite: Rewrite = rewritten,
    deadline: Deadline,
    max_rounds: int = 40,
) -> Candidate:
    """Shorten one formula; the result is in the archive, the start stays there too.

    Parameters
    ----------
    archive : Archive
    start : Candidate
    rewrite : callable, default=``expr.algebra.rewrite.rewrite``
        Exact local simplification of a tree.
    deadline : Deadline
    max_rounds : int, default=40
    """
    return _descend(archive, [start], rewrite, deadline, max_rounds)[0]


def pareto_front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates more accurate than all that have fewer nodes, small ones first."""
    best: dict[int, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.size)
        if known is None or candidate.loss < known.loss:
            best[candidate.size] = candidate
    front: list[Candidate] = []
    for _, candidate in sorted(best.items()):
        if not front or candidate.loss < front[-1].loss:
            front.append(candidate)
    return front


@dataclass(slots=True)
class _Formula:
    """One formula on its way down."""

    tree: Tree
    loss: float
    length: float


def _descend(
    archive: Archive,
    starts: list[Candidate],
    rewrite: Rewrite,
    deadline: Deadline,
    max_rounds: int,
    tick: Callable[[], None] | None = None,
) -> list[Candidate]:
    formulas = []
    for start in starts:
        given = _Formula(start.tree, start.loss, _length(archive, start.tree, start.loss))
        outer = None if deadline.over else _with_outer(archive, rewrite(start.tree), rewrite)
        formulas.append(given if outer is None or outer.length > given.length else outer)
    trials: dict[tuple[int, ...], _Formula | None] = {}
    active = list(formulas)
    for _ in range(max_rounds):
        variants = [{t.symbols: t for t in _shorter(f.tree)} for f in active]
        new = {s: t for found in variants for s, t in found.items() if s not in trials}
        if deadline.over:
            break
        _try(archive, sorted(new.values(), key=lambda t: t.size), trials, deadline)
        active = [
            formula
            for formula, found in zip(active, variants, strict=True)
            if _improve(archive, formula, [trials.get(s) for s in found], rewrite, deadline)
        ]
        distinct = {formula.tree.symbols: formula for formula in reversed(active)}
        active = list(reversed(distinct.values()))  # two that have met go on as one
        if not active:
            break
        if tick is not None:
            tick()
    formulas.sort(key=lambda formula: formula.length)
    return [archive.add(f.tree, f.tree, f.loss, "shorten") for f in formulas]


def _try(
    archive: Archive,
    trees: list[Tree],
    trials: dict[tuple[int, ...], _Formula | None],
    deadline: Deadline,
) -> None:
    """Fit the constants of ``trees``, in batches, into ``trials``."""
    for start in range(0, len(trees), BATCH):
        if deadline.over:
            return
        batch = trees[start : start + BATCH]
        fitted = archive.refiner.fit(batch, max_steps=30, deadline=deadline)
        archive.tried["shorten"] += len(batch)
        for k, tree in enumerate(batch):
            loss = float(fitted.loss[k])
            trials[tree.symbols] = None
            if np.isfinite(loss):
                new = tree.with_constants(fitted.constants(k))
                trials[tree.symbols] = _Formula(new, loss, _length(archive, tree, loss))


def _improve(
    archive: Archive,
    formula: _Formula,
    found: list[_Formula | None],
    rewrite: Rewrite,
    deadline: Deadline,
) -> bool:
    """Whether one of the variants is shorter; it takes the formula's place."""
    ranked = sorted((f for f in found if f is not None), key=lambda f: f.length)
    before = formula.length
    for variant in ranked[:_CLOSER_LOOK]:
        if deadline.over:
            break
        whole = _with_outer(archive, variant.tree, rewrite)
        if whole is not None and whole.length < formula.length - _LEAST_GAIN:
            formula.tree, formula.loss, formula.length = whole.tree, whole.loss, whole.length
    return formula.length < before


def _length(archive: Archive, tree: Tree, loss: float) -> float:
    return description_length(
        tree, loss, archive.variance, archive.n_rows, floor=archive.least_error
    )


def _with_outer(archive: Archive, tree: Tree, rewrite: Rewrite) -> _Formula | None:
    """The tree with the outer scale and offset that give the least description length.

    Inner constants that were fitted beside a scale and an offset are not the best without them, so
    they are fitted anew for a formula that has none, or only a scale. Exponents near a multiple of
    1/2 are tried there, too.
    """
    y, w = archive.y, archive.weights
    w = np.ones_like(y) if w is None else w
    w = w / w.sum()
    inners = [tree]
    if tree.constants:
        fitted = archive.refiner.fit([tree], max_steps=30, affine=False)
        inners.append(tree.with_constants(fitted.constants(0)))
    inners += [_plain_exponents(t) for t in inners]
    tried = [
        _weighed(archive, whole, y, w)
        for inner in dict.fromkeys(inners)
        for whole in _wholes(inner, evaluate(inner, archive.X), y, w)
    ]
    tried.sort(key=lambda formula: formula.length)
    written = [_weighed(archive, rewrite(f.tree), y, w) for f in tried[:_REWRITTEN]]
    best = min(written, key=lambda formula: formula.length, default=None)
    return best if best is not None and np.isfinite(best.length) else None


def _weighed(archive: Archive, tree: Tree, y: Array, w: Array) -> _Formula:
    """The formula with its constants as they are; of infinite length where it is undefined."""
    with np.errstate(all="ignore"):
        loss = float(w @ (evaluate(tree, archive.X) - y) ** 2)
    return _Formula(tree, loss, _length(archive, tree, loss) if np.isfinite(loss) else np.inf)


def _wholes(tree: Tree, f: Array, y: Array, w: Array) -> list[Tree]:
    """The tree alone, with a scale, with an offset, and with both; weights of sum 1."""
    if not np.isfinite(f).all():
        return []
    with np.errstate(all="ignore"):
        mf, my = float(w @ f), float(w @ y)
        slope = float((w @ ((f - mf) * (y - my))) / np.float64(w @ (f - mf) ** 2))
        through = float((w @ (f * y)) / np.float64(w @ f**2))
    outers = ((1.0, 0.0), (through, 0.0), (1.0, my - mf), (slope, my - slope * mf))
    return [_outer(tree, a, b) for a, b in outers if np.isfinite(a) and np.isfinite(b)]


def _plain_exponents(tree: Tree) -> Tree:
    """The tree with exponents near multiples of 1/2 put there."""
    for at, symbol in enumerate(tree.symbols):
        if symbol == _POW:
            place = tree.children(at)[1]
            exponent = tree.subtree(place)
            if exponent.symbols == (CONSTANT,):
                half = round(2.0 * exponent.constants[0]) / 2.0
                if half and abs(exponent.constants[0] - half) <= NEAR_HALF * abs(half):
                    tree = tree.replace(place, Tree.constant(half))
    return tree


def _outer(tree: Tree, scale: float, offset: float) -> Tree:
    """The tree with a scale, unless it is 1, and an offset, unless it is 0."""
    if scale != 1.0:
        tree = Tree.apply("mul", Tree.constant(scale), tree)
    return Tree.apply("add", tree, Tree.constant(offset)) if offset != 0.0 else tree


def _shorter(tree: Tree) -> list[Tree]:
    """Variants: one node removed, one subtree replaced by a constant, one part approximated."""
    out = approximations(tree)
    for at, symbol in enumerate(tree.symbols):
        out += [tree.replace(at, tree.subtree(child)) for child in tree.children(at)]
        if symbol != CONSTANT and at:
            out.append(tree.replace(at, Tree.constant(1.0)))
    return out

"""The last phase: shorten formulas by greedy descent in description length.

Each round tries to replace every node by one of its arguments or by a constant, and to drop outer
scale and offset; all variants of a round are refitted in one batch on the fit rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_CODE, BY_NAME, CONSTANT, arity
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.selection import description_length
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]


def shorten(
    archive: Archive,
    start: Candidate,
    *,
    rewrite: Callable[[Tree], Tree],
    deadline: Deadline,
    max_rounds: int = 40,
) -> Candidate:
    """Shorten one formula; the result is in the archive, the start stays there too.

    Parameters
    ----------
    archive : Archive
    start : Candidate
    rewrite : callable
        Exact local simplification of a tree.
    deadline : Deadline
    max_rounds : int, default=40
    """
    best = _with_outer(archive, rewrite(start.tree), rewrite)
    if best is None or best[2] > _length(archive, start.tree, start.loss):
        best = (start.tree, start.loss, _length(archive, start.tree, start.loss))
    seen = {best[0].symbols}
    for _ in range(max_rounds):
        variants = {t.symbols: t for t in _shorter(best[0]) if t.symbols not in seen}
        if not variants or deadline.over:
            break
        seen.update(variants)
        batch = list(variants.values())
        fitted = archive.refiner.fit(batch, max_steps=30, deadline=deadline)
        archive.tried["shorten"] += len(batch)
        order = np.argsort(
            [
                _length(archive, t, loss) if np.isfinite(loss) else np.inf
                for t, loss in zip(batch, fitted.loss, strict=True)
            ],
            kind="stable",
        )
        improved = False
        for i in order[:4]:
            if not np.isfinite(fitted.loss[i]):
                continue
            new = _with_outer(archive, batch[i].with_constants(fitted.constants(i)), rewrite)
            if new is not None and new[2] < best[2] - 1e-6:
                best, improved = new, True
        if not improved:
            break
    return archive.add(best[0], best[0], best[1], "shorten")


def _length(archive: Archive, tree: Tree, loss: float) -> float:
    return description_length(tree, loss, archive.variance, archive.n_rows)


def _with_outer(
    archive: Archive, tree: Tree, rewrite: Callable[[Tree], Tree]
) -> tuple[Tree, float, float] | None:
    """The tree with the outer scale and offset that give the least description length."""
    f = evaluate(tree, archive.X)
    if not np.isfinite(f).all():
        return None
    y, w = archive.y, archive.weights
    w = np.ones_like(y) if w is None else w
    w = w / w.sum()
    with np.errstate(all="ignore"):
        mf, my = w @ f, w @ y
        slope = (w @ ((f - mf) * (y - my))) / (w @ (f - mf) ** 2)
        through = (w @ (f * y)) / (w @ f**2)
    outers = ((1.0, 0.0), (through, 0.0), (1.0, my - mf), (slope, my - slope * mf))
    out = None
    for a, b in outers:
        if not (np.isfinite(a) and np.isfinite(b)):
            continue
        whole = tree
        if a != 1.0:
            whole = Tree.apply("mul", Tree.constant(a), whole)
        if b != 0.0:
            whole = Tree.apply("add", whole, Tree.constant(b))
        whole = rewrite(whole)
        loss = float(w @ (evaluate(whole, archive.X) - y) ** 2)
        length = _length(archive, whole, loss) if np.isfinite(loss) else np.inf
        if np.isfinite(length) and (out is None or length < out[2]):
            out = (whole, loss, length)
    return out


def _shorter(tree: Tree) -> list[Tree]:
    """Variants: one node removed, one subtree replaced by a constant, or one part rewritten."""
    out = []
    for at in range(tree.size):
        n = arity(tree.symbols[at])
        for child in tree.children(at):
            out.append(tree.replace(at, tree.subtree(child)))
        if tree.symbols[at] != CONSTANT and at:
            out.append(tree.replace(at, Tree.constant(1.0)))
        if n:
            part = tree.subtree(at)
            out += [
                tree.replace(at, new) for new in (_distributed(part), _out_of_root(part)) if new
            ]
    return out


_MUL, _DIV, _SQRT, _SQUARE = (BY_NAME[n].code for n in ("mul", "div", "sqrt", "square"))
_SUMS = (BY_NAME["add"].code, BY_NAME["sub"].code)


def _distributed(tree: Tree) -> Tree | None:
    """``c * (a u + b v)`` as ``ca u + cb v``; None for anything else."""
    if tree.symbols[0] != _MUL:
        return None
    first, second = tree.args()
    if first.symbols == (CONSTANT,) and second.symbols[0] in _SUMS:
        return _times(first.constants[0], second)
    if second.symbols == (CONSTANT,) and first.symbols[0] in _SUMS:
        return _times(second.constants[0], first)
    return None


def _times(c: float, tree: Tree) -> Tree:
    """``c * tree`` with ``c`` merged into the constants that stand at its terms."""
    symbol = tree.symbols[0]
    if symbol == CONSTANT:
        return Tree.constant(c * tree.constants[0])
    if symbol in _SUMS:
        a, b = tree.args()
        return Tree.apply(BY_CODE[symbol].name, _times(c, a), _times(c, b))
    if symbol == _MUL:
        a, b = tree.args()
        if b.symbols == (CONSTANT,):
            a, b = b, a
        if a.symbols == (CONSTANT,):
            return Tree.apply("mul", Tree.constant(c * a.constants[0]), b)
    return Tree.apply("mul", Tree.constant(c), tree)


def _out_of_root(tree: Tree) -> Tree | None:
    """``sqrt(u**2 * v)`` as ``u * sqrt(v)``: judged on the rows, where ``u`` may be positive."""
    if tree.symbols[0] != _SQRT:
        return None
    (inner,) = tree.args()
    if inner.symbols[0] == _DIV:
        above, below = inner.args()
        if below.symbols[0] == _SQUARE:
            return Tree.apply("div", Tree.apply("sqrt", above), below.subtree(1))
        over = _out_of_root(Tree.apply("sqrt", above))
        return None if over is None else Tree.apply("div", over, Tree.apply("sqrt", below))
    if inner.symbols[0] == _SQUARE:
        return inner.subtree(1)
    factors = _factors(inner)
    roots = [t.subtree(1) for t in factors if t.symbols[0] == _SQUARE]
    rest = [t for t in factors if t.symbols[0] != _SQUARE]
    if not roots or not rest:
        return None
    return _product([*roots, Tree.apply("sqrt", _product(rest))])


def _factors(tree: Tree) -> list[Tree]:
    if tree.symbols[0] != _MUL:
        return [tree]
    return [factor for arg in tree.args() for factor in _factors(arg)]


def _product(trees: list[Tree]) -> Tree:
    out = trees[0]
    for tree in trees[1:]:
        out = Tree.apply("mul", out, tree)
    return out

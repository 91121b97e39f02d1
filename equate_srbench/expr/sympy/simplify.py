"""Simplification with SymPy, accepted only if the values agree numerically."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.sympy.client import SympyWorker, shared_worker
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

_PROBES = 64
_TOLERANCE = 1e-9


def simplify(
    tree: Tree, X: Array, *, time_limit: float = 1.0, worker: SympyWorker | None = None
) -> Tree:
    """Simplify ``tree`` by ``rewrite`` and by SymPy in a worker process.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_columns)
        Rows on which the result must agree, as on 64 further points inside their range.
    time_limit : float, default=1.0
        Seconds for SymPy; 0 uses the own rules only. The first call of a process may find SymPy
        still starting (``warm_up`` avoids that) and then uses the own rules only.
    worker : SympyWorker, optional
        Default: one worker shared by the process.

    Returns
    -------
    Tree
        Equal to ``tree`` within 1e-9 wherever that is finite, with no larger complexity and, at
        equal complexity, with no more nodes; ``tree`` itself if nothing better was found.
    """
    X = np.asarray(X, dtype=np.float64)
    rows = np.concatenate([X, _probes(X)])
    wanted = evaluate(tree, rows)
    best = _better(rewrite(tree), tree, rows, wanted)
    if time_limit <= 0.0 or best.size <= 3:  # nothing of three nodes has a shorter form
        return best
    for form in (worker or shared_worker()).forms(best, time_limit):
        if not form.is_valid() or not _printable(form):
            continue
        best = _better(form, best, rows, wanted)
        best = _better(rewrite(form), best, rows, wanted)
    return best


def warm_up() -> None:
    """Start the SymPy worker in the background, ready for ``simplify``."""
    shared_worker().start()


def close() -> None:
    """Stop the shared SymPy worker; it also ends with this process."""
    shared_worker().close()


def equal_values(a: Array, b: Array) -> bool:
    """Whether ``b`` agrees with ``a`` within 1e-9 wherever ``a`` is finite.

    Parameters
    ----------
    a, b : ndarray of shape (n_rows,)
        At least one value of ``a`` must be finite.
    """
    defined = np.isfinite(a)
    if not defined.any():
        return False
    a, b = a[defined], b[defined]
    # the second term forgives rounding where large terms of a sum cancel
    allowed = _TOLERANCE * np.abs(a) + 1e-13 * np.max(np.abs(a))
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(a - b) <= allowed))


def _better(new: Tree, old: Tree, rows: Array, wanted: Array) -> Tree:
    if _cost(new) < _cost(old) and equal_values(wanted, evaluate(new, rows)):
        return new
    return old


def _cost(tree: Tree) -> tuple[int, int, int]:
    return complexity(tree), tree.size, len(tree.constants)


def _printable(tree: Tree) -> bool:
    return bool(np.all(np.isfinite(tree.constants)))


def _probes(X: Array) -> Array:
    """Random points inside the range of every column, reproducible for a table."""
    if not X.size:
        return np.empty((0, X.shape[1]))
    rng = np.random.default_rng(64)
    share = rng.random((_PROBES, X.shape[1]))
    low, high = X.min(axis=0), X.max(axis=0)
    probes: Array = low * (1.0 - share) + high * share  # the difference could overflow
    return probes

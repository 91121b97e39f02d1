"""What an archive keeps."""

from __future__ import annotations

import numpy as np

from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline

a, b, c = (Tree.variable(j) for j in range(3))
f = Tree.apply


def table(n: int = 120, p: int = 3, seed: int = 0) -> np.ndarray:
    """Uniform columns."""
    return np.random.default_rng(seed).uniform(0.5, 3.0, (n, p))


def test__archive__seen_skeleton__gives_the_same_candidate():
    """Skeletons are refined once."""
    X = table()
    archive = Archive(X, X[:, 0] * 2.0, deadline=Deadline(10.0))
    tree = f("mul", Tree.constant(3.0), a)
    first = archive.refine([tree], "edit")[0]
    again = archive.refine([tree.with_constants([5.0])], "backbone")[0]
    assert first is again
    assert archive.tried == {"edit": 1}


def test__archive__undefined_formula__is_none():
    """A formula that is not finite on every fit row is no candidate."""
    X = table()
    archive = Archive(X, X[:, 0], deadline=Deadline(10.0))
    assert archive.refine([f("log", f("sub", a, b))], "edit") == [None]

"""The trajectory of the search, one row per proposal, and diagnostics computed from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TrajectoryRow:
    """One decoded proposal.

    Attributes
    ----------
    start : int
        Index of the start it descends from; -1 for formulas of the training set.
    step : int
        Gradient step, 0 for the start's own embedding.
    rung : float
        Multiple of the step size.
    predicted_score, score : float
        Score predicted by the evaluator, and score of the refined formula; NaN where undefined
        (no embedding, or the formula is undefined on the rows).
    r2 : float
        On the fit rows; NaN if undefined there.
    tree : Tree or None
        The refined formula over canonical columns; None if undefined. Its text is made when the
        table is read (``to_frame``).
    new_skeleton : bool
        Whether the skeleton was new to the search.
    accepted : bool
        Whether it improved the best score from its start.
    seconds : float
        Since the start of the fit.
    source : str
        ``backbone``, ``ascent`` or ``edit``.
    distance : float, default=NaN
        Frobenius distance of the joint embedding from that of its start; NaN without embedding.
    embedding : ndarray of shape (width,), float16, or None
        Mean of the joint embedding over its rows; not a column of the table. All decodings of one
        embedding share one array.
    """

    start: int
    step: int
    rung: float
    predicted_score: float
    score: float
    r2: float
    tree: Tree | None
    new_skeleton: bool
    accepted: bool
    seconds: float
    source: str
    distance: float = float("nan")
    embedding: NDArray[np.float16] | None = field(default=None, compare=False, repr=False)


#: Columns of ``trajectory_``; ``complexity`` and ``equation`` are read off the tree.
COLUMNS = (
    "start", "step", "rung", "predicted_score", "score", "r2", "complexity", "new_skeleton",
    "accepted", "equation", "seconds", "source", "distance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Diagnostics of the gradient ascent.

    Attributes
    ----------
    flip_rate : float
        Fraction of gradient steps (start and step, without step 0) with at least one new
        skeleton; NaN without steps.
    validity_rate : float
        Fraction of the ascent's proposals that are defined on the rows; NaN without any.
    rank_correlation : float
        Spearman correlation of predicted and true score over the ascent's proposals; NaN with
        fewer than three or if either is constant.
    n_proposals : int
        Number of proposals of the ascent.
    """

    flip_rate: float
    validity_rate: float
    rank_correlation: float
    n_proposals: int


def diagnose(rows: Iterable[TrajectoryRow]) -> Diagnostics:
    """Flip rate, validity rate and rank correlation of the ascent's rows."""
    ascent = [row for row in rows if row.source == "ascent"]
    steps: dict[tuple[int, int], bool] = {}
    for row in ascent:
        if row.step > 0:
            key = row.start, row.step
            steps[key] = steps.get(key, False) or row.new_skeleton
    pairs = np.array([(r.predicted_score, r.score) for r in ascent]).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    return Diagnostics(
        flip_rate=_share(list(steps.values())),
        validity_rate=_share([row.tree is not None for row in ascent]),
        rank_correlation=rank_correlation(pairs[:, 0], pairs[:, 1]),
        n_proposals=len(ascent),
    )


def _share(flags: list[bool]) -> float:
    return sum(flags) / len(flags) if flags else float("nan")


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman correlation with mean ranks for ties; NaN if undefined."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks, ties at their mean (``scipy.stats`` takes a second to import)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = np.cumsum(counts) - 0.5 * (counts - 1)
    return ranks[place]


def to_frame(
    rows: Iterable[TrajectoryRow], describe: Callable[[Tree], tuple[str, int]]
) -> pd.DataFrame:
    """Rows as a DataFrame with ``COLUMNS``, typed even if empty.

    Parameters
    ----------
    rows : iterable of TrajectoryRow
    describe : callable
        Tree -> text in raw names and units, and its complexity. Steps often decode alike: every
        tree is described once.
    """
    import pandas as pd

    known: dict[Tree | None, tuple[str, int]] = {None: ("", 0)}
    values = []
    for row in rows:
        if row.tree is not None and row.tree not in known:
            known[row.tree] = describe(row.tree)
        equation, complexity = known[row.tree]
        read = {"equation": equation, "complexity": complexity}
        values.append([read[c] if c in read else getattr(row, c) for c in COLUMNS])
    frame = pd.DataFrame(values, columns=list(COLUMNS))
    kinds: dict[str, type] = dict.fromkeys(("equation", "source"), str)
    kinds |= {"start": int, "step": int, "complexity": int, "new_skeleton": bool, "accepted": bool}
    floats = ("rung", "predicted_score", "score", "r2", "seconds", "distance")
    return frame.astype({**kinds, **dict.fromkeys(floats, float)})


def embeddings(rows: Iterable[TrajectoryRow]) -> NDArray[np.float32]:
    """Embeddings of the rows as one array.

    Returns
    -------
    ndarray of shape (n_rows, width)
        NaN in rows without one; width 0 if no row has one.
    """
    found = [row.embedding for row in rows]
    width = max((len(vector) for vector in found if vector is not None), default=0)
    none = np.full(width, np.nan, dtype=np.float16)
    out = np.array([none if vector is None else vector for vector in found], dtype=np.float32)
    return out.reshape(len(found), width)


def edit_row(
    tree: Tree, r2: float, score: float, seconds: float, *, accepted: bool, source: str = "edit"
) -> TrajectoryRow:
    """A formula of the edit search or of a family as a row, without start and prediction."""
    return TrajectoryRow(
        start=-1,
        step=0,
        rung=0.0,
        predicted_score=np.nan,
        score=score,
        r2=r2,
        tree=tree,
        new_skeleton=True,
        accepted=accepted,
        seconds=seconds,
        source=source,
    )

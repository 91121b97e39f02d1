"""Recovery: whether a formula is the law behind a table, or only an approximation to it.

The law holds beyond the rows, an approximation does not. So both are evaluated on rows drawn from
ranges half as wide again on each side (thrice either way where a range is log-uniform; a variable
keeps its sign), and a formula that agrees there is the law, in whatever spelling. If it is not much
longer either, it is *short*.

In contrast to ``assess`` nothing is proved and no constant is forgiven, but there is an answer for
every formula that can be read, in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.bench.suites.drawing import Range
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.one_formula import fit_constants
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

_ROWS = 2000
_SEED = 12345
_FEWEST = 50  # rows on which the law must be defined to judge by
_MISSING = 0.01  # share of them on which the formula may be undefined
_QUANTILE = 0.95
_TINY = 1e-12  # of the median size: below, errors are absolute
_LONGER, _MORE = 1.5, 6  # nodes: the larger of the two bounds counts
_REFIT_ROWS = 1000
_REFIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Law:
    """The formula behind a table, and where it is to hold.

    Attributes
    ----------
    formula : str
        In the names of the columns.
    ranges : dict of str to Range
        Column -> the range its values were drawn from, in the order of the columns.
    median, quantile : float, default=1e-6, 1e-4
        Relative errors that the median and the 95 % quantile must stay below.
    """

    formula: str
    ranges: dict[str, Range]
    median: float = 1e-6
    quantile: float = 1e-4


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether a law was recovered.

    Attributes
    ----------
    recovered : bool or None
        Whether the formula agrees with the law on the wider ranges; None if the law itself is
        defined on less than 50 of the 2000 rows drawn from them.
    short : bool or None
        Whether it is recovered and has at most 1.5 times the nodes of the law or 6 more.
    """

    recovered: bool | None
    short: bool | None


def judge(model: str, law: Law, clean: tuple[Array, Array] | None = None) -> Recovery:
    """Judge a formula by the law.

    Parameters
    ----------
    model : str
        Formula in the names of the columns. One that the parser refuses (more than 500 nodes, an
        operator without a place in the table) is not recovered.
    law : Law
    clean : (X, y), arrays of shape (n_rows, n_columns) and (n_rows,), optional
        Rows without noise. The constants of the formula are then refitted to the first 1000 first,
        so that its structure is judged and not the errors that noise left in its constants.

    Returns
    -------
    Recovery

    Raises
    ------
    FormulaError
        If the law cannot be read.
    """
    names = list(law.ranges)
    wanted = parse(law.formula, names)
    try:
        found = parse(model, names)
    except FormulaError:
        return Recovery(False, False)
    if clean is not None:
        found = _refitted(found, *clean)
    holds = _holds(found, wanted, law)
    if holds is None:
        return Recovery(None, None)
    size = complexity(wanted)
    return Recovery(holds, holds and complexity(found) <= max(_LONGER * size, size + _MORE))


def _holds(found: Tree, wanted: Tree, law: Law) -> bool | None:
    rng = np.random.default_rng(_SEED)
    rows = np.column_stack([one.draw_wider(_ROWS, rng) for one in law.ranges.values()])
    truth = evaluate(wanted, rows)
    defined = np.isfinite(truth)
    if np.count_nonzero(defined) < _FEWEST:
        return None
    truth = truth[defined]
    with np.errstate(all="ignore"):
        values = evaluate(found, rows[defined])
        error = np.abs(values - truth)
        error /= np.abs(truth) + _TINY * np.median(np.abs(truth))
    error[values == truth] = 0.0  # also where a law is 0, and so is the median of its size
    missing = ~np.isfinite(error)
    error[missing] = np.inf
    return bool(
        missing.mean() <= _MISSING
        and np.median(error) < law.median
        and np.quantile(error, _QUANTILE) < law.quantile
    )


def _refitted(tree: Tree, X: Array, y: Array) -> Tree:
    """``tree`` with the constants that fit the rows on which it is defined."""
    defined = np.isfinite(evaluate(tree, X)) & np.isfinite(y)
    X, y = X[defined][:_REFIT_ROWS], y[defined][:_REFIT_ROWS]
    if not tree.constants or len(y) <= len(tree.constants):
        return tree
    return fit_constants(tree, X, y, deadline=Deadline(_REFIT_SECONDS)).tree

"""``Sieve``: which of millions of formulas are some view of the target up to scale and offset.

Scale and offset cancel in ratios of differences. On four rows two ratios remain, and a table of
cells holds for each pair of ratios the views that have it: a formula costs the four values and a
look at the table, however many views there are. What passes is fitted on more rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import BLOCK, Application, Enumeration, Ints
from equate_srbench.expr.operators import Operator

Array = NDArray[np.float64]

#: Cells along one ratio, and most targets (bits of a cell).
CELLS, MAX_TARGETS = 8192, 62
#: Relative error of ratios that is always allowed: rounding of formulas that vary little.
_ROUNDING = 1e-6
#: Most that is allowed: with more, too much passes.
_WIDEST = 2e-3


@dataclass(frozen=True, slots=True)
class Passed:
    """Formulas ``op(first, second)`` that may be some target.

    Attributes
    ----------
    op : Operator
    first, second : ndarray of int, shape (n,)
        Positions of the arguments; -1 for the second one of a unary operator.
    targets : ndarray of int, shape (n,)
        A bit for each target.
    """

    op: Operator
    first: Ints
    second: Ints
    targets: Ints


class Sieve:
    """Lets formulas pass that have the differences of some target on four rows.

    Parameters
    ----------
    targets : ndarray of shape (n_targets, 4)
        At most ``MAX_TARGETS``.
    errors : ndarray of shape (n_targets,)
        Error of a target's values.

    Attributes
    ----------
    is_complete : bool
        Whether the errors of all targets are small enough for whatever has them to pass.
    """

    def __init__(self, targets: Array, errors: Array) -> None:
        self.cells = np.zeros((2, CELLS), dtype=np.int64)
        self.is_complete = True
        lead = np.abs(targets[:, 2] - targets[:, 0])
        for v, ratio in enumerate(ratios(targets.T).T):
            for k in range(2):
                size = lead[v] + abs(targets[v, 2 * k + 1] - targets[v, 0])
                if not (size > 0.0 and np.isfinite(ratio[k])):
                    break
                reach = _ROUNDING + 4.0 * errors[v] / size
                self.is_complete &= bool(reach <= _WIDEST)
                reach = min(reach, _WIDEST)
                begin, end = (ratio[k] + reach * np.array([-1.0, 1.0]) + 1.0) * 0.5 * CELLS
                at = slice(max(int(begin), 0), min(int(end), CELLS - 1) + 1)
                self.cells[k, at] |= np.int64(1) << np.int64(v)
        self._block = np.empty((4, BLOCK))
        self._kept = np.zeros((2, BLOCK + 1), dtype=np.int64)

    def passed(self, block: Array) -> tuple[Ints, Ints]:
        """Positions of the formulas of a block (4, n) that pass, and bits of their targets."""
        from equate_srbench.enumeration import enumeration_loops as loops

        loops.sieve(block, block.shape[1], self.cells, *self._kept)
        at, bits = self._kept[:, 1 : 1 + self._kept[0, 0]].copy()
        return at, bits

    def of_jobs(self, formulas: Enumeration, jobs: Iterable[Application]) -> list[Passed]:
        """What passes of blocks of formulas over enumerated ones."""
        head, out = np.ascontiguousarray(formulas.values[:4]), []
        with np.errstate(all="ignore"):
            for job in jobs:
                at, bits = self.passed(np.ascontiguousarray(job.values(head)))
                if len(at):
                    out.append(Passed(job.op, *job.arguments(at), bits))
        return out


def ratios(values: Array) -> Array:
    """The two ratios of differences of four rows, shape (2, n), in -1 .. 1; NaN for a constant."""
    a, lead, b = values[1:4] - values[0]
    with np.errstate(all="ignore"):
        sign = np.where(lead < 0.0, -1.0, 1.0)
        out: Array = sign * np.stack([a, b]) / (np.abs(np.stack([a, b])) + np.abs(lead))
    return out

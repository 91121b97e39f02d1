"""Small formulas with one inner constant: ``sin(c*x)``, ``1/(x + c)``, ``x**c * log(x)``.

The constant is eliminated last: on a grid of its values everything else is linear, so that all
skeletons are fitted to all views by matrix products; Levenberg-Marquardt starts from the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import BLOCK, Application, Enumeration, Ints, jobs
from equate_srbench.enumeration.matching import UnitTargets, standardised
from equate_srbench.expr.operators import BY_NAME, Operator
from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

#: Values of the constant, beside these times and over the sizes of columns.
_GRID = (0.1, 0.25, 0.5, 0.8, 1.5, 2.5, 4.0, 7.0)
#: Constants of a fine grid: up to so many steps of 0.8 radians over the range of a column.
_STEPS = 60
#: How the constant ``c`` meets a formula ``u``, and whether it is the first argument: ``u - c`` and
#: ``u / c`` are as ``u + c`` and ``c u``, ``c ** u`` is as ``exp(c u)``.
_MEETINGS = (("add", False), ("mul", False), ("sub", True), ("div", True), ("pow", False))


@dataclass(frozen=True, slots=True)
class Start:
    """A skeleton that fits a target with a value of its constant.

    Attributes
    ----------
    target : int
    tree : Tree
    error : float
        Share of the target's variance that is left.
    """

    target: int
    tree: Tree
    error: float


class Skeletons:
    """All formulas of up to a number of nodes with one inner constant.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Rows to fit on.
    probes : ndarray of int
        Rows on which skeletons are told apart.
    columns : sequence of int
    operators : sequence of Operator
    most : int
        Largest number of skeletons (before those equal up to scale and offset go).
    largest : int
        Largest number of nodes.
    """

    def __init__(
        self,
        X: Array,
        probes: Ints,
        columns: Sequence[int],
        *,
        operators: Sequence[Operator],
        most: int,
        largest: int,
    ) -> None:
        self.X, self.columns = X, np.array(columns, dtype=np.int64)
        self.scales = np.median(np.abs(X[:, self.columns]), axis=0)
        self.scales[~(self.scales > 0.0)] = 1.0
        # scaled, so that no exponential of a constant times a column overflows there
        told = np.zeros((len(probes), X.shape[1]))
        told[:, self.columns] = X[np.ix_(probes, self.columns)] / self.scales
        inner = 1.372 * float(np.abs(told).max(initial=1.0))  # log(c - x) is defined
        self.formulas = Enumeration(
            told, columns, inner=inner, operators=operators, capacity=8 * most
        )
        self._ranges = {1: range(1)}
        while self.formulas.largest < largest - 2 and self.formulas.count_next() <= most:
            self.formulas.grow()
        self._plain = len(self.formulas)
        #: Number of nodes up to which all skeletons are here.
        self.largest = 2
        for size in range(3, largest + 1):
            blocks = list(self._jobs(size))
            if len(self.formulas) - self._plain + sum(b.end - b.begin for b in blocks) > most:
                break
            begin = len(self.formulas)
            self.formulas.add(blocks)
            self._ranges[size] = range(begin, len(self.formulas))
            self.largest = size
        self.positions = self._unlike()

    def _jobs(self, size: int) -> Iterator[Application]:
        """Blocks of all skeletons of a number of nodes; ``exp(c x)`` before ``exp(x) ** c``."""
        formulas = self.formulas
        if size - 1 in self._ranges:
            for op in formulas.unary:
                yield from jobs(op, self._ranges[size - 1])
        if size - 2 <= formulas.largest:
            for name, first in _MEETINGS:
                plain = formulas.of_size(size - 2)
                run = range(max(plain.start, len(formulas.numbers)), plain.stop)
                yield from jobs(BY_NAME[name], run, 0, is_swapped=first)
        for a in range(1, size - 3):
            for i in formulas.of_size(a):
                for op in formulas.binary:
                    run = self._ranges.get(size - 1 - a, range(0))
                    yield from jobs(op, run, i)
                    if not op.commutative:
                        yield from jobs(op, run, i, is_swapped=True)

    def _unlike(self) -> Ints:
        """Skeletons that differ from all formulas and each other by more than scale and offset."""
        from equate_srbench.enumeration import enumeration_loops as loops

        values = self.formulas.values
        table = np.zeros(1 << (2 * len(self.formulas)).bit_length(), dtype=np.int64)
        kept = np.zeros(BLOCK + 1, dtype=np.int64)
        out = []
        for begin in range(0, len(self.formulas), BLOCK):
            block = np.ascontiguousarray(values[:, begin : begin + BLOCK])
            loops.distinct(block, block.shape[1], loops.UP_TO_AFFINE, table, kept)
            out.append(begin + kept[1 : 1 + kept[0]])
        positions = np.concatenate(out)
        return positions[positions >= self._plain]

    def __len__(self) -> int:
        return len(self.positions)

    def grid(self, *, is_fine: bool) -> Array:
        """Values of the constant that are tried; a fine grid resolves oscillations."""
        sizes = {0}
        for power in np.rint(2.0 * np.log10(self.scales)).astype(int):
            sizes |= {int(power), -int(power)} if abs(power) >= 1 else set()
        values = np.array(sorted(sizes, key=abs)[:5])
        grid = (10.0 ** (values[:, None] / 2.0) * np.array(_GRID)).ravel()
        if is_fine:
            ranges = np.ptp(self.X[:, self.columns], axis=0)
            for octave in np.unique(np.rint(np.log2(ranges)))[:3]:
                steps = 0.8 / 2.0**octave * np.arange(1, _STEPS + 1)
                grid = np.concatenate([grid, steps])
        return np.concatenate([grid, -grid])

    def starts(
        self, targets: Array, weights: Array, most: Sequence[int], *, is_fine: bool = False
    ) -> list[Start]:
        """The best skeletons for each target, with the values of the constant.

        Parameters
        ----------
        targets, weights : ndarray of shape (n_targets, n_rows)
        most : sequence of int, length n_targets
            Number of starts for each target, with different skeletons.
        is_fine : bool, default=False
            Whether the grid resolves oscillations.
        """
        formulas, shape = self.formulas, (len(targets), len(self))
        if not len(self):
            return []
        error, value = np.full(shape, np.inf, dtype=np.float32), np.zeros(shape)
        unit = UnitTargets.of(targets, weights)
        for c in self.grid(is_fine=is_fine):
            numbers = [c, *formulas.numbers[1:]]
            values = formulas.values_on(self.X, len(formulas), numbers)[:, self.positions]
            new = unit.errors(standardised(values)[0])
            better = new < error  # not for NaN
            error[better], value[better] = new[better], c
        out = []
        for t, k in enumerate(most):
            for i in np.argsort(error[t], kind="stable")[:k]:
                if np.isfinite(error[t, i]):
                    out.append(Start(t, self._tree(int(i), value[t, i]), float(error[t, i])))
        return out

    def _tree(self, i: int, c: float) -> Tree:
        """Skeleton ``i`` with a value of its constant."""
        tree, inner = self.formulas.tree(int(self.positions[i])), self.formulas.numbers[0]
        return tree.with_constants([c if v == inner else v for v in tree.constants])

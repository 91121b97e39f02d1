"""A population in flat arrays: for every number of nodes the best formulas that differ.

Selection by size is multi-objective: the best formula of each size is the front of error and size,
every size breeds, and none pays for its length. In a size, formulas differ in their error, which
keeps out copies of one formula with another negligible term (compare the grid of MAP-Elites,
Mouret & Clune 2015). Importing this module compiles (or loads) its entry points.
"""

from __future__ import annotations

import numpy as np
from numba import types

from equate_srbench.edits import breeding, tidying
from equate_srbench.edits.tidying import Floats, Ints
from equate_srbench.expr.operators import CONSTANT
from equate_srbench.refine import Refined, compiling
from equate_srbench.refine.compiling import compiled
from equate_srbench.refine.programs import Programs

#: Relative difference of errors below which formulas count as the same.
NEAR = 0.005
#: Formulas tried per place of a size before a place that is still free is closed.
TRIES = 20
#: Hashes of formulas tried before; an older one gives way to a newer one in its place.
REMEMBERED = 1 << 17
#: Nodes by which a parent may be larger than its children.
MARGIN = 4
#: Free symbols in the workspace of an edit, in units of the largest formula.
_ROOM = 4

_INTS, _FLOATS = types.int64[::1], types.float64[::1]
_VALUES, _TREES = types.float64[:, ::1], types.float64[:, :, ::1]


class Population:
    """The best formulas of every size up to a limit.

    Parameters
    ----------
    columns : sequence of int
        Columns that may appear.
    largest : int
        Largest number of nodes of any formula, ever.
    capacity : int
        Formulas kept per size.
    seed : int
        Of all random draws, 0 .. 2**63 - 1.
    floor : float
        Errors below are alike.

    Attributes
    ----------
    limit : int
        Largest number of nodes of new formulas; at most ``largest``.
    held : ndarray of shape (largest + 1,)
        Number of formulas by size.
    error : ndarray of shape (largest + 1, capacity)
        Unexplained share of the target's variance, ascending by place; inf where nothing is held.
    scale, offset : ndarray of shape (largest + 1, capacity)
    """

    def __init__(
        self, columns: list[int], *, largest: int, capacity: int, seed: int, floor: float
    ) -> None:
        shape = largest + 1, capacity
        self.limit, self.floor = largest, floor
        self.held = np.zeros(largest + 1, dtype=np.int64)
        self.error = np.full(shape, np.inf)
        self.scale, self.offset = np.ones(shape), np.zeros(shape)
        self._trees = np.zeros((shape[0] * shape[1], largest, 2))
        self._offered = np.zeros(largest + 1, dtype=np.int64)
        self._columns = np.array(columns, dtype=np.int64)
        self._state = np.array([seed], dtype=np.uint64)
        self._seen = np.zeros(REMEMBERED, dtype=np.uint64)
        room = _ROOM * (largest + 8)
        self._work = (
            np.zeros((4, room, 2)),
            np.zeros((3, room), dtype=np.uint64),
            np.zeros(room, dtype=np.int64),
        )

    def clear(self) -> None:
        """Forget all formulas, and which were tried."""
        self.held[:], self._offered[:], self._seen[:] = 0, 0, 0
        self.error[:] = np.inf

    def front(self) -> Ints:
        """Sizes whose best formula is better than all smaller ones, ascending."""
        best = self.error[:, 0]
        below = np.minimum.accumulate(np.concatenate([[np.inf], best[:-1]]))
        return np.flatnonzero(best < below)

    def parents(self) -> Ints:
        """Sizes on the front from which formulas within the limit come."""
        front = self.front()
        return front[front <= self.limit + MARGIN]

    def program(self, size: int, place: int = 0) -> Programs:
        """One formula of the population."""
        tree = self._trees[size * self.error.shape[1] + place, :size]
        codes = tree[:, 0].astype(np.int64)
        constants = tree[codes == CONSTANT, 1]
        ends = np.array([0, size]), np.array([0, len(constants)])
        return Programs.of_arrays(codes, ends[0], constants, ends[1])

    def breed(self, given: Programs, n_children: int) -> Programs:
        """Given formulas and random children of the population, tidy and not seen before.

        Parameters
        ----------
        given : Programs
            They come first; those of more than ``limit`` nodes when tidy are left out.
        n_children : int

        Returns
        -------
        Programs
            At most ``len(given) + n_children``.
        """
        small = np.flatnonzero(given.sizes < self._work[0].shape[1] - 2)
        if len(small) < len(given):
            given = given.repeated(small)
        sizes = min(self.limit + MARGIN, len(self.held) - 1) + 1
        n = len(given) + n_children
        codes, constants = np.empty(n * self.limit, dtype=np.int64), np.empty(n * self.limit)
        code_at, constant_at = np.empty(n + 2, dtype=np.int64), np.empty(n + 2, dtype=np.int64)
        breeding.breed(
            self._state, self._seen, self._columns, self._trees[: sizes * self.error.shape[1]],
            self.held[:sizes], self.parents(), given.codes, given.code_at, given.constants,
            n_children, self.limit, codes, code_at, constants, constant_at, *self._work,
        )  # fmt: skip
        code_at, constant_at = code_at[1 : code_at[0] + 2], constant_at[1 : constant_at[0] + 2]
        return Programs.of_arrays(
            codes[: code_at[-1]], code_at, constants[: constant_at[-1]], constant_at
        )

    def bounds(self) -> Floats:
        """Error by size above which a formula is not kept; inf where there is room.

        Where nearly all formulas fit alike, a size may never fill: there is no room for more of
        those after some tries.
        """
        worst = self.error[np.arange(len(self.held)), np.maximum(self.held - 1, 0)]
        full = self.held == self.error.shape[1]
        return np.where(full | (self._offered > TRIES * self.error.shape[1]), worst, np.inf)

    def settle(self, fitted: Refined) -> Ints:
        """Keep what belongs to the best of its size; return the sizes that have a new best."""
        changed = np.zeros(len(self.held), dtype=np.int64)
        programs = fitted.programs
        self._offered += np.bincount(programs.sizes, minlength=len(self.held))
        _settle(
            self._trees, self.error, self.scale, self.offset, self.held,
            programs.codes, programs.code_at, programs.constants, programs.constant_at,
            np.maximum(fitted.unexplained, self.floor), fitted.scale, fitted.offset, changed,
        )  # fmt: skip
        return np.flatnonzero(changed)


@compiled(
    _TREES, _VALUES, _VALUES, _VALUES, _INTS, _INTS, _INTS, _FLOATS, _INTS, _FLOATS, _FLOATS,
    _FLOATS, _INTS, among=(tidying, compiling),
)  # fmt: skip
def _settle(
    pool: Floats, pool_error: Floats, pool_scale: Floats, pool_offset: Floats,
    held: Ints, codes: Ints, code_at: Ints, constants: Floats, constant_at: Ints, error: Floats,
    scale: Floats, offset: Floats, changed: Ints,
) -> None:  # fmt: skip
    """Insert programs by size and error; see ``Population.settle``."""
    capacity = pool_error.shape[1]
    for i in range(error.shape[0]):
        size, e = code_at[i + 1] - code_at[i], error[i]
        row = size * capacity
        known = not e < np.inf
        for smaller in range(1, size):
            known = known or abs(pool_error[smaller, 0] - e) <= NEAR * e
        place = 0
        while place < held[size] and pool_error[size, place] <= e:
            place += 1
        if known or place == capacity:
            continue
        if place > 0 and pool_error[size, place - 1] >= (1.0 - NEAR) * e:
            continue
        last = place  # the one that leaves: the next if it is alike, else the worst
        if place == held[size] or pool_error[size, place] > (1.0 + NEAR) * e:
            last = min(held[size], capacity - 1)
            held[size] = last + 1
        for j in range(last, place, -1):
            pool_error[size, j] = pool_error[size, j - 1]
            pool_scale[size, j] = pool_scale[size, j - 1]
            pool_offset[size, j] = pool_offset[size, j - 1]
            for s in range(size):
                for part in range(2):
                    pool[row + j, s, part] = pool[row + j - 1, s, part]
        pool_error[size, place] = e
        pool_scale[size, place], pool_offset[size, place] = scale[i], offset[i]
        k = constant_at[i]
        for s in range(size):
            symbol = codes[code_at[i] + s]
            pool[row + place, s, 0], pool[row + place, s, 1] = symbol, 0.0
            if symbol == CONSTANT:
                pool[row + place, s, 1] = constants[k]
                k += 1
        if place == 0:
            changed[size] = 1

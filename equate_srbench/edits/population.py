"""A population in flat arrays: for every number of nodes the best formulas that differ.

Selection by size is multi-objective: the best formula of each size is the front of error and size,
every size breeds, and none pays for its length. In a size, formulas differ in their error, which
keeps out copies of one formula with another negligible term (compare the grid of MAP-Elites,
Mouret & Clune 2015). Importing this module compiles (or loads) code.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from equate_srbench.edits import breeding
from equate_srbench.edits.tidying import Floats, Ints, Words
from equate_srbench.expr.operators import CONSTANT
from equate_srbench.refine import Refined
from equate_srbench.refine.compiling import compiled
from equate_srbench.refine.programs import Programs, starts

#: Relative difference of errors below which formulas count as the same.
NEAR = 0.005
#: Formulas tried per place of a size before a place that is still free is closed.
TRIES = 20
#: Hashes of formulas tried before; an older one gives way to a newer one in its place.
REMEMBERED = 1 << 17
#: Nodes by which a parent may be larger than its children.
MARGIN = 4
#: Kinds of children (see ``breeding.breed``) and their shares.
KINDS = np.array([breeding.FRESH, breeding.JOINED, 1, 2, 3])
SHARES = (0.06, 0.1, 0.5, 0.25, 0.09)
#: Shares of parents whose size is the best of three on the front, and is any that is held.
BETTER, OFF_FRONT = 0.6, 0.1
#: Share of formulas with constants that start from other values of them.
PERTURBED = 0.25
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
        self.rng = np.random.default_rng(seed)
        self._state = self.rng.integers(2**63, size=1, dtype=np.uint64)
        self._seen = np.zeros(REMEMBERED, dtype=np.uint64)
        self._room = _ROOM * (largest + 8)
        self._work = (
            np.zeros((4, self._room, 2)),
            np.zeros((3, self._room), dtype=np.uint64),
            np.zeros(self._room, dtype=np.int64),
        )

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
        given = given.repeated(np.flatnonzero(given.sizes < self._room - 2))
        n, width = len(given) + n_children, max(self.limit, given.largest[0])
        children, sizes = np.zeros((n, width, 2)), np.zeros(n, dtype=np.int64)
        sizes[: len(given)] = given.sizes
        old, nodes = children[: len(given)], np.arange(width) < given.sizes[:, None]
        old[nodes, 0] = given.codes
        old[nodes & (old[:, :, 0] == CONSTANT), 1] = given.constants
        hashes = np.zeros(n, dtype=np.uint64)
        work, words, todo = self._work
        breeding.breed(
            self._state, self._columns, self._trees, *self._choose(n), self.error.shape[1],
            self.limit, children, sizes, hashes, work, words, todo,
        )  # fmt: skip
        children = children[:, : self.limit]
        start = self.rng.integers(1, 3, n) * (self.rng.random(n) < PERTURBED)
        start[: len(given)] = 0
        sizes[~np.isfinite(children[:, :, 1]).all(axis=1)] = 0  # a merged divisor may have been 0
        new = self._new(hashes + start.astype(np.uint64), sizes > 0)
        children, sizes = children[new], sizes[new]
        nodes = np.arange(self.limit) < sizes[:, None]
        numbers = nodes & (children[:, :, 0] == CONSTANT)
        constants, counts = children[numbers, 1], numbers.sum(axis=1)
        other = np.repeat(start[new] > 0, counts)
        constants[other] *= self.rng.choice(breeding.CONSTANTS, int(other.sum()))
        codes = children[nodes, 0].astype(np.int64)
        return Programs.of_arrays(codes, starts(sizes), constants, starts(counts))

    def _choose(self, n: int) -> tuple[Ints, Ints]:
        """Rows of two parents, (n, 2), and kinds of ``n`` children.

        Most parents have a size on the front, the better ones more often; of a size, the better of
        two that are drawn.
        """
        rng, front = self.rng, self.parents()
        if len(front) == 0:
            return np.zeros((n, 2), dtype=np.int64), np.full(n, breeding.FRESH)
        kinds = rng.choice(KINDS, n, p=SHARES)
        u, places = rng.random((n, 2)), rng.integers(len(front), size=(3, n, 2))
        any_size = np.flatnonzero(self.held[: self.limit + MARGIN + 1])
        sizes = front[np.where(u < BETTER, places.max(axis=0), places[0])]
        sizes = np.where(u > 1.0 - OFF_FRONT, rng.choice(any_size, (n, 2)), sizes)
        which = (rng.random((2, n, 2)) * self.held[sizes]).astype(np.int64).min(axis=0)
        return sizes * self.error.shape[1] + which, kinds

    def _new(self, hashes: Words, valid: NDArray[np.bool_]) -> Ints:
        """Places of valid hashes that were not seen before; they are from now on."""
        slots = (hashes % np.uint64(len(self._seen))).astype(np.int64)
        valid = valid & (self._seen[slots] != hashes)
        places = np.flatnonzero(valid)
        places = np.sort(places[np.unique(hashes[places], return_index=True)[1]])
        self._seen[slots[places]] = hashes[places]
        return places

    def bounds(self) -> Floats:
        """Error by size above which a formula is not kept; inf where there is room.

        Where nearly all formulas fit alike, a size may never fill: there is no room for more of
        those after some tries.
        """
        worst = self.error[np.arange(len(self.held)), np.maximum(self.held - 1, 0)]
        full = self.held == self.error.shape[1]
        return np.where(full | (self._offered > TRIES * self.error.shape[1]), worst, np.inf)

    def settle(self, fitted: Refined) -> None:
        """Keep what belongs to the best of its size."""
        programs = fitted.programs
        self._offered += np.bincount(programs.sizes, minlength=len(self.held))
        _settle(
            self._trees, self.error, self.scale, self.offset, self.held, programs.codes,
            programs.code_at, programs.constants, programs.constant_at,
            np.maximum(fitted.unexplained, self.floor), fitted.scale, fitted.offset,
        )  # fmt: skip


@compiled(
    _TREES, _VALUES, _VALUES, _VALUES, _INTS, _INTS, _INTS, _FLOATS, _INTS, _FLOATS, _FLOATS,
    _FLOATS,
)  # fmt: skip
def _settle(
    pool: Floats, pool_error: Floats, pool_scale: Floats, pool_offset: Floats, held: Ints,
    codes: Ints, code_at: Ints, constants: Floats, constant_at: Ints, error: Floats, scale: Floats,
    offset: Floats,
) -> None:  # fmt: skip
    """Insert programs by size and error; see ``Population.settle``."""
    capacity = pool_error.shape[1]
    for i in range(error.shape[0]):
        size, e = code_at[i + 1] - code_at[i], error[i]
        known = not e < pool_error[size, capacity - 1]
        for smaller in range(1, size):  # nothing but a shorter one with a negligible term
            known = known or abs(pool_error[smaller, 0] - e) <= NEAR * e
        place = 0
        while not known and pool_error[size, place] <= e:
            place += 1
        if known or (place > 0 and pool_error[size, place - 1] >= (1.0 - NEAR) * e):
            continue
        last = place  # the one that leaves: the next if it is alike, else the worst
        if pool_error[size, place] > (1.0 + NEAR) * e:
            last = held[size] if held[size] < capacity else capacity - 1
            held[size] = last + 1
        row = size * capacity
        for j in range(last, place, -1):
            pool_error[size, j] = pool_error[size, j - 1]
            pool_scale[size, j] = pool_scale[size, j - 1]
            pool_offset[size, j] = pool_offset[size, j - 1]
            for s in range(size):
                pool[row + j, s, 0] = pool[row + j - 1, s, 0]
                pool[row + j, s, 1] = pool[row + j - 1, s, 1]
        pool_error[size, place] = e
        pool_scale[size, place], pool_offset[size, place] = scale[i], offset[i]
        k = constant_at[i]
        for s in range(size):
            pool[row + place, s, 0], pool[row + place, s, 1] = codes[code_at[i] + s], 0.0
            if codes[code_at[i] + s] == CONSTANT:
                pool[row + place, s, 1] = constants[k]
                k += 1

"""Compiled loops over blocks of formulas: one of each set of equal values, and a sieve for targets.

Values of a block have shape (n_rows, n_formulas), so that NumPy's vectorised loops fill a block
and the loops here read it once. Importing this module compiles (or loads) them: import it where it
is first needed.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from equate_srbench.refine.compiling import compiled

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Ints = NDArray[np.int64]

#: What counts as the same: equal values, values equal up to a factor, or up to scale and offset.
EQUAL, UP_TO_SCALE, UP_TO_AFFINE = range(3)
#: Digits that are compared, relative to the largest value; and the smallest relative spread over
#: the rows of a formula that is not a constant.
_DIGITS, _SPREAD = 1e9, 1e-9

_BLOCK = types.float64[:, ::1]
_INTS = types.int64[::1]


@compiled(_BLOCK, types.int64, types.int64, _INTS, _INTS)
def distinct(values: Array, n: int, sameness: int, table: Ints, kept: Ints) -> None:
    """Which of the first ``n`` formulas of a block are new, below 1e150 and not constant.

    ``table`` is an open-addressing hash table of 64-bit keys, its size a power of two; 0 is empty.
    ``kept[0]`` becomes the number of formulas kept, and ``kept[1:]`` their positions.
    """
    mask = table.shape[0] - 1
    count = 0
    for j in range(n):
        shift = values[0, j] if sameness == UP_TO_AFFINE else 0.0
        low = high = values[0, j]
        total = 0.0
        lead = 0.0
        for r in range(values.shape[0]):
            v = values[r, j]
            total += v
            low, high = min(low, v), max(high, v)
            if abs(v - shift) > abs(lead):
                lead = v - shift
        largest = max(abs(low), abs(high))
        if not (abs(total) < np.inf and high - low > _SPREAD * largest and largest < 1e150):
            continue
        key = np.int64(1469598103934665603)
        if sameness == EQUAL:  # the largest value to nine digits, cells not ending at powers of two
            exponent = np.floor(np.log2(1.2345 * abs(lead)))
            key = (key ^ np.int64(exponent)) * np.int64(1099511628211)
            key = (key ^ np.int64(np.rint(lead * np.exp2(-exponent) * _DIGITS))) * np.int64(
                1099511628211
            )
        scale = _DIGITS / lead
        for r in range(values.shape[0]):
            q = np.int64(np.rint((values[r, j] - shift) * scale))
            key = (key ^ q) * np.int64(1099511628211)
            key ^= key >> 29
        key *= np.int64(-7046029254386353131)
        key ^= key >> 32
        if key == 0:
            key = np.int64(1)
        at = key & mask
        while table[at] != 0 and table[at] != key:
            at = (at + 1) & mask
        if table[at] == 0:
            table[at] = key
            count += 1
            kept[count] = j
    kept[0] = count


@compiled(_BLOCK, types.int64, types.int64[:, ::1], _INTS, _INTS)
def sieve(values: Array, n: int, cells: NDArray[np.int64], kept: Ints, targets: Ints) -> None:
    """Which of the first ``n`` formulas of a block may be a target up to scale and offset.

    Three differences of four rows, up to a common factor, are two numbers in -1 .. 1;
    ``cells[0, i] & cells[1, j]`` has a bit for each target with these two. ``kept[0]`` becomes the
    number of formulas with any, ``kept[1:]`` their positions, ``targets[1:]`` the bits.
    """
    count = 0
    half = 0.5 * cells.shape[1] * (1.0 - 1e-12)
    for j in range(n):
        base = values[0, j]
        lead = values[2, j] - base
        a = values[1, j] - base
        p = a / (abs(a) + abs(lead))
        if not abs(p) <= 1.0:  # also NaN
            continue
        sign = -1.0 if lead < 0.0 else 1.0
        bits = cells[0, int((sign * p + 1.0) * half)]
        if bits != 0:
            b = values[3, j] - base
            q = b / (abs(b) + abs(lead))
            if abs(q) <= 1.0:
                bits &= cells[1, int((sign * q + 1.0) * half)]
                if bits != 0:
                    count += 1
                    kept[count], targets[count] = j, bits
    kept[0] = count


_MATRIX32 = types.float32[:, ::1]


@compiled(_MATRIX32, _MATRIX32, _MATRIX32, types.int64, types.int64[:, ::1], _MATRIX32)
def best_entries(
    mean: Array32, square: Array32, product: Array32, begin: int, index: NDArray[np.int64],
    gain: Array32,
) -> None:  # fmt: skip
    """The entries of largest gain ``product**2 / (square - mean**2)`` for each target (row).

    Columns are the entries from number ``begin`` on. ``index`` and ``gain``, of shape (n_targets,
    k), hold the best so far, in order.
    """
    last = index.shape[1] - 1
    for t in range(mean.shape[0]):
        worst = gain[t, last]
        for i in range(mean.shape[1]):
            spread = square[t, i] - mean[t, i] * mean[t, i]
            new = product[t, i] * product[t, i]
            if new > worst * spread:
                new = new / max(spread, np.float32(1e-7))
                if new > worst:
                    place = last
                    while place > 0 and gain[t, place - 1] < new:
                        gain[t, place], index[t, place] = gain[t, place - 1], index[t, place - 1]
                        place -= 1
                    gain[t, place], index[t, place] = new, begin + i
                    worst = gain[t, last]


@compiled(_MATRIX32, types.int64, _MATRIX32, types.int64[:, ::1], _MATRIX32)
def best_partners(
    cross: Array32, begin: int, along: Array32, index: NDArray[np.int64], gain: Array32
) -> None:
    """The best second term of a sum for each first term and target.

    ``cross[h, j]`` is the correlation of terms ``begin + h`` and ``j``, ``along[t, j]`` that of
    term ``j`` with target ``t``; ``gain[t, begin + h]`` becomes the largest squared joint
    correlation of ``begin + h`` and a later term ``index[t, begin + h]``.
    """
    for h in range(cross.shape[0]):
        i = begin + h
        for t in range(along.shape[0]):
            best, at = np.float32(-1.0), i
            c = along[t, i]
            for j in range(i + 1, cross.shape[1]):
                g, d = cross[h, j], along[t, j]
                free = np.float32(1.0) - g * g
                joint = c * c + d * d - np.float32(2.0) * c * d * g
                if joint > best * free and free > np.float32(1e-3):
                    best, at = joint / free, j
            gain[t, i], index[t, i] = best, at


@compiled(_BLOCK, types.int64, _INTS, types.float64[::1], _BLOCK, _INTS, _INTS)
def coplanar(
    values: Array, begin: int, order: Ints, shares: Array, targets: Array, kept: Ints, bits: Ints
) -> None:
    """Which formulas ``w`` from number ``begin`` on make some target ``a w + b u + c``.

    Values are differences to a first row, shape (4, n). Those of ``u`` in row ``order[1 + k]`` are
    ``shares[k]`` times the one in row ``order[0]``, so that ``b u`` cancels; ``targets``, shape
    (n_targets, 3), has what is then left of the targets, of unit size. ``kept`` and ``bits`` are
    filled as by ``sieve``.
    """
    count = 0
    o, p, q, r = order[0], order[1], order[2], order[3]
    f, g, h = shares[0], shares[1], shares[2]
    for j in range(begin, values.shape[1]):
        lead = values[o, j]
        a, b, c = values[p, j] - f * lead, values[q, j] - g * lead, values[r, j] - h * lead
        size = abs(a) + abs(b) + abs(c)
        if not size > 1e-8 * (abs(lead) + abs(values[p, j]) + abs(values[q, j])):
            continue
        near = 1e-6 * size
        found = np.int64(0)
        for t in range(targets.shape[0]):
            x, y, z = targets[t, 0], targets[t, 1], targets[t, 2]
            if (
                abs(a * y - b * x) < near
                and abs(a * z - c * x) < near
                and abs(b * z - c * y) < near
            ):
                found |= np.int64(1) << t
        if found != 0:
            count += 1
            kept[count], bits[count] = j, found
    kept[0] = count

"""Sinusoids and exponentials, damped ones among them, times polynomials of low degree.

Frequencies are peaks of the periodogram of scattered points (Lomb 1976, Scargle 1982), computed by
a fast Fourier transform of the rows on a fine grid, in powers and products of columns. Frequency and
rate are then fitted by variable projection (Golub & Pereyra 1973), with all amplitudes as the linear
part, and amplitudes that are not needed are deleted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_rows import FamilyRows, Proposal, floor_of, is_plain
from equate_srbench.families.least_squares import SparseFit, eliminate
from equate_srbench.families.polynomials import Basis
from equate_srbench.families.term_trees import monomial, weighted_sum
from equate_srbench.problem.target_views import TargetView

Array = NDArray[np.float64]

#: Bins of the grid over the range of an argument, zero padding, and most periods in the range.
BINS, PADDING, MAX_PERIODS = 2048, 4, 160
#: Peaks looked at per view, and steps of variable projection.
N_PEAKS, STEPS = 5, 12
#: Periods over the range that no periodogram of detrended values shows.
LOW = (0.3, 0.6, 1.0, 1.5)
#: Rates of exponentials over the range.
RATES = (-16.0, -6.0, -2.0, -0.7, 0.7, 2.0, 6.0)
#: Waves in one formula.
N_WAVES = 2
VIEWS = ("identity", "log", "square", "inverse")


@dataclass(frozen=True, slots=True)
class Argument:
    """A power or product of columns.

    Attributes
    ----------
    columns, exponents : tuple
    values : ndarray of shape (n_rows,)
        Between -1 and 1 or so, divided by ``unit``.
    unit : float
    """

    columns: tuple[int, ...]
    exponents: tuple[float, ...]
    values: Array
    unit: float

    @property
    def tree(self) -> Tree:
        """The argument in the units of the columns."""
        out = monomial([Tree.variable(j) for j in self.columns], self.exponents)
        assert out is not None
        return out


@dataclass(frozen=True, slots=True)
class Wave:
    """``exp(rate u)`` times sine and cosine of ``frequency u``; frequency 0 is an exponential."""

    argument: Argument
    rate: float
    frequency: float

    def carriers(self) -> list[Array]:
        """Values of cosine and sine parts, or of the exponential."""
        u = self.argument.values
        envelope = np.exp(self.rate * u)
        if self.frequency == 0.0:
            return [envelope]
        return [envelope * np.cos(self.frequency * u), envelope * np.sin(self.frequency * u)]


def propose(rows: FamilyRows) -> list[Proposal]:
    """Polynomials plus polynomials times one or two waves, in a few views."""
    if not rows.columns or rows.n < 12:
        return []
    amplitudes = _amplitudes(rows)
    arguments = list(_arguments(rows))
    out: list[Proposal] = []
    for seen in rows.named(*VIEWS):
        out += _in_view(rows, seen, amplitudes, arguments)
    return out


def _amplitudes(rows: FamilyRows) -> Basis:
    """Polynomials in front of the waves: of degree 2 in one or two columns, else 1."""
    columns = list(rows.columns[:5])
    degree = 2 if len(columns) <= 2 and rows.n >= 60 else 1
    if 3 * (1 + len(columns)) > rows.n // 2:
        degree = 0
    return Basis.of([Tree.variable(j) for j in columns], rows.X[:, columns], degree)


def _arguments(rows: FamilyRows) -> Iterator[Argument]:
    """Columns, their powers, and products and ratios of two."""
    columns = rows.columns[:4]
    wanted: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((j,), (1.0,)) for j in columns]
    for j in columns:
        powers = (2.0, 3.0, 0.5, -1.0) if len(columns) <= 2 else (2.0,)
        wanted += [((j,), (e,)) for e in powers]
    wanted += [((i, j), (1.0, 1.0)) for i, j in permutations(columns, 2) if i < j]
    if len(columns) <= 3:
        wanted += [((i, j), (1.0, -1.0)) for i, j in permutations(columns, 2)]
        wanted += [((i, j), (1.0, 2.0)) for i, j in permutations(columns, 2)]
    for chosen, exponents in wanted:
        values = np.prod(rows.X[:, list(chosen)] ** np.array(exponents), axis=1)
        unit = float(np.abs(values).max())
        if np.isfinite(values).all() and 0.0 < unit < np.inf:
            scaled = values / unit
            if np.ptp(scaled) > 1e-6:
                yield Argument(chosen, exponents, scaled, unit)


def _in_view(
    rows: FamilyRows, seen: TargetView, amplitudes: Basis, arguments: list[Argument]
) -> list[Proposal]:
    weights = seen.weights / seen.weights.max()
    roots = np.sqrt(np.maximum(weights, 1e-8))
    target = seen.target / np.abs(seen.target).max() * roots
    waves: list[Wave] = []
    out: list[Proposal] = []
    fixed = amplitudes.design * roots[:, None]
    previous = math.inf
    for _ in range(N_WAVES):
        found = _best_wave(fixed, amplitudes.design, roots, target, arguments)
        if found is None or found[1] > 0.7 * previous:
            break
        waves.append(found[0])
        previous = found[1]
        carriers = [c for w in waves for c in w.carriers()]
        blocks = [amplitudes.design, *(amplitudes.design * c[:, None] for c in carriers)]
        design = np.concatenate(blocks, axis=1) * roots[:, None]
        if design.shape[1] > rows.n // 2 or not np.isfinite(design).all():
            break
        costs = np.tile(amplitudes.costs(rows.n), len(blocks))
        costs[len(amplitudes.exponents) :] += 5.0
        fits = eliminate(design, target, costs, floor=floor_of(target), kept=0)
        for fit in fits[:2]:
            tree = _tree(fit, waves, amplitudes, seen)
            if tree is not None and len(fit.chosen) <= 12:
                out.append(Proposal(seen.wrap(tree), "wave"))
        fixed = design
        if previous < 1e-18:
            break
    return out


def _best_wave(
    fixed: Array, amplitudes: Array, roots: Array, target: Array, arguments: list[Argument]
) -> tuple[Wave, float] | None:
    """The wave that, with polynomial amplitudes, leaves least, and the share that it leaves."""
    q, _ = np.linalg.qr(fixed)
    rest = target - q @ (q.T @ target)
    total = float(rest @ rest)
    if not total > 0.0:
        return None
    starts = _peaks(rest / roots, amplitudes, arguments)
    starts += [Wave(a, 0.0, math.pi * 2.0 * p / float(np.ptp(a.values)))
               for a in arguments[:2] for p in LOW]  # fmt: skip
    starts += [Wave(a, r / float(np.ptp(a.values)), 0.0) for a in arguments for r in RATES]
    scored = []
    narrow = amplitudes[:, : 1 + min(amplitudes.shape[1] - 1, 3)]
    for i, start in enumerate(starts):
        B = np.concatenate([narrow * c[:, None] for c in start.carriers()], axis=1)
        B = B * roots[:, None]
        B = B - q @ (q.T @ B)
        norms = np.linalg.norm(B, axis=0)
        B = B / np.where(norms > 1e-10, norms, np.inf)
        if not np.isfinite(B).all():
            continue
        c, *_ = np.linalg.lstsq(B, rest, rcond=1e-8)
        left = float(np.sum((rest - B @ c) ** 2)) / total
        scored.append((left * (1.5 if start.frequency == 0.0 else 1.0), i))
    scored.sort()
    best: tuple[Wave, float] | None = None
    tried: set[tuple[int, bool]] = set()
    for _, i in scored:
        start = starts[i]
        key = (id(start.argument), start.frequency == 0.0)
        if key in tried:
            continue
        tried.add(key)
        wave, error = _projected(fixed, amplitudes, roots, target, start)
        if best is None or error < best[1]:
            best = (wave, error)
        if len(tried) >= N_PEAKS or error < 1e-18:
            break
    return best


def _peaks(values: Array, amplitudes: Array, arguments: list[Argument]) -> list[Wave]:
    """Peaks of the periodograms of ``values``, plain and times each column."""
    out: list[tuple[float, Wave]] = []
    linear = amplitudes[:, 1 : 1 + min(amplitudes.shape[1] - 1, 3)]
    modulated = np.stack([values, *(values * c for c in linear.T)])
    modulated = modulated / np.linalg.norm(modulated, axis=1)[:, None]
    for argument in arguments:
        u = argument.values
        width = float(np.ptp(u))
        place = np.minimum((u - u.min()) / width * BINS, BINS - 1).astype(np.int64)
        grid = np.stack([np.bincount(place, weights=m, minlength=BINS) for m in modulated])
        power = np.abs(np.fft.rfft(grid, BINS * PADDING, axis=1)[:, : MAX_PERIODS * PADDING]) ** 2
        power = power.max(axis=0)
        inner = (power[1:-1] >= power[:-2]) & (power[1:-1] >= power[2:])
        peaks = 1 + np.flatnonzero(inner)
        for m in peaks[np.argsort(-power[peaks], kind="stable")[:2]].tolist():
            wave = Wave(argument, 0.0, 2.0 * math.pi * m / (PADDING * width))
            out.append((-float(power[m]), wave))
    ranked = sorted(range(len(out)), key=lambda i: (out[i][0], i))
    return [out[i][1] for i in ranked[:10]]


def _projected(
    fixed: Array, amplitudes: Array, roots: Array, target: Array, wave: Wave
) -> tuple[Wave, float]:
    """Variable projection on rate and frequency by Levenberg-Marquardt with Kaufman's Jacobian."""
    total = float(target @ target)
    m = amplitudes.shape[1]
    u = wave.argument.values
    best, error, damping = wave, math.inf, 1e-3
    state: tuple[Array, Array] | None = None
    for _ in range(STEPS):
        carriers = wave.carriers()
        blocks = [amplitudes * (c * roots)[:, None] for c in carriers]
        B = np.concatenate([fixed, *blocks], axis=1)
        norms = np.linalg.norm(B, axis=0)
        if not np.isfinite(norms).all() or not (norms > 0.0).all():
            break
        q, r = np.linalg.qr(B / norms)
        inside = q.T @ target
        rest = target - q @ inside
        new = float(rest @ rest) / total
        if new < error:
            gained = 1.0 - new / error
            best, error, damping = wave, new, 0.1 * damping
            c, *_ = np.linalg.lstsq(r, inside, rcond=1e-13)
            c = (c / norms)[fixed.shape[1] :]
            slopes = _slopes(wave, carriers, amplitudes, c.reshape(len(carriers), m), u)
            J = slopes * roots[:, None]
            state = J - q @ (q.T @ J), rest
            if error < 1e-26 or gained < 1e-5:
                break
        else:
            damping = 30.0 * max(damping, 1e-6)
        if state is None:
            break
        J, rest = state
        normal = J.T @ J
        normal = normal + damping * np.diag(np.diag(normal)) + 1e-300 * np.eye(len(normal))
        step = np.linalg.solve(normal, J.T @ rest)
        rate = best.rate + float(step[0])
        frequency = best.frequency + (float(step[1]) if len(step) > 1 else 0.0)
        if not abs(rate) < 50.0 or (len(step) > 1 and frequency <= 0.0):
            damping *= 30.0
            rate, frequency = best.rate + 0.1 * float(step[0]), best.frequency
        wave = Wave(wave.argument, rate, frequency)
    return best, error


def _slopes(wave: Wave, carriers: list[Array], amplitudes: Array, c: Array, u: Array) -> Array:
    """Derivative of the fit by rate and, of a wave, by frequency; (n_rows, 1 or 2)."""
    parts = [amplitudes @ row * carrier for row, carrier in zip(c, carriers, strict=True)]
    rate = sum(parts, np.zeros_like(u)) * u
    if wave.frequency == 0.0:
        return rate[:, None]
    turned = amplitudes @ c[1] * carriers[0] - amplitudes @ c[0] * carriers[1]
    return np.stack([rate, turned * u], axis=1)


def _tree(
    fit: SparseFit, waves: list[Wave], amplitudes: Basis, seen: TargetView
) -> Tree | None:
    """Sum of the terms; sine and cosine of one amplitude become one sine with a phase."""
    m = len(amplitudes.exponents)
    unit = float(np.abs(seen.target).max())
    at = dict(zip(fit.chosen.tolist(), (unit * fit.coefficients).tolist(), strict=True))
    parts: list[Tree | None] = []
    values: list[float] = []
    for i in [i for i in at if i < m]:
        if is_plain(seen) and not amplitudes.exponents[i].any():
            continue
        parts.append(amplitudes.part(i))
        values.append(amplitudes.coefficient(i, at[i]))
    block = 1
    for wave in waves:
        width = 1 if wave.frequency == 0.0 else 2
        for i in range(m):
            own = [at.get((block + part) * m + i, 0.0) for part in range(width)]
            if any(own):
                tree, size = _wave_tree(wave, own)
                monomial_part = amplitudes.part(i)
                if monomial_part is not None:
                    tree = Tree.apply("mul", monomial_part, tree)
                parts.append(tree)
                values.append(amplitudes.coefficient(i, size))
        block += width
    return weighted_sum(parts, values)


def _wave_tree(wave: Wave, own: list[float]) -> tuple[Tree, float]:
    """Tree of the carrier and its amplitude."""
    argument, unit = wave.argument.tree, wave.argument.unit
    if wave.frequency == 0.0:
        return _exponential(argument, wave.rate / unit), own[0]
    angle = weighted_sum([argument], [wave.frequency / unit])
    assert angle is not None
    if own[1] == 0.0:
        out, size = Tree.apply("cos", angle), own[0]
    elif own[0] == 0.0:
        out, size = Tree.apply("sin", angle), own[1]
    else:
        phase = math.atan2(own[0], own[1])
        size = math.hypot(*own)
        out = Tree.apply("sin", Tree.apply("add", angle, Tree.constant(phase)))
    turns = wave.rate * float(np.ptp(wave.argument.values))
    if abs(turns) > 1e-6:
        out = Tree.apply("mul", out, _exponential(argument, wave.rate / unit))
    return out, size


def _exponential(argument: Tree, rate: float) -> Tree:
    inner = weighted_sum([argument], [rate])
    return Tree.apply("exp", argument if inner is None else inner)

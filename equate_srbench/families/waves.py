"""Sinusoids and exponentials, damped ones among them, times polynomials of low degree.

Frequencies are peaks of the periodogram of scattered points (Lomb 1976, Scargle 1982), computed by
a fast Fourier transform of the rows on a fine grid, in powers and products of columns. Frequency
and rate are then fitted by variable projection, with all amplitudes as the linear part, and
amplitudes that are not needed are deleted.
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
from equate_srbench.families.projection import Linear, projected
from equate_srbench.families.term_trees import monomial, weighted_sum
from equate_srbench.problem.target_views import TargetView

Array = NDArray[np.float64]

#: Bins of the grid over the range of an argument, zero padding, and most periods in the range.
BINS, PADDING, MAX_PERIODS = 2048, 4, 160
#: Peaks looked at per view, and steps of variable projection of each.
N_PEAKS, FIRST_STEPS = 4, 4
#: Waves that are finished, with and without damping, and steps of that.
N_FINISHED, STEPS = 2, 15
#: Share of the target's mean square that a solved one leaves.
SOLVED = 1e-18
#: Periods over the range that no periodogram of detrended values shows.
LOW = (0.3, 0.6, 1.0, 1.5)
#: Smallest angle over the range: slower waves are polynomials in disguise.
LEAST_ANGLE = 0.8
#: Rates of exponentials over the range.
RATES = (-16.0, -6.0, -2.0, -0.7, 0.7, 2.0, 6.0)
#: Waves in one formula, and most of its amplitudes.
N_WAVES, LONGEST = 2, 12
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
    damped: bool = False

    @property
    def is_exponential(self) -> bool:
        """Whether there is no oscillation."""
        return self.frequency == 0.0

    @property
    def parameters(self) -> list[float]:
        """What is fitted: the frequency of an oscillation, the rate if it has one."""
        if self.is_exponential:
            return [self.rate]
        return [self.frequency, self.rate] if self.damped else [self.frequency]

    def moved(self, values: list[float]) -> Wave | None:
        """The wave with other parameters, taken from the end of ``values``; None out of range."""
        rate = values.pop() if self.damped or self.is_exponential else self.rate
        frequency = 0.0 if self.is_exponential else values.pop()
        width = float(np.ptp(self.argument.values))
        sound = abs(rate) * width < 60.0
        sound = sound and (self.is_exponential or frequency * width > LEAST_ANGLE)
        return Wave(self.argument, rate, frequency, self.damped) if sound else None

    def carriers(self) -> list[Array]:
        """Values of cosine and sine parts, or of the exponential."""
        u = self.argument.values
        if self.is_exponential:
            return [np.exp(self.rate * u)]
        angle = self.frequency * u
        if not self.damped:
            return [np.cos(angle), np.sin(angle)]
        envelope = np.exp(self.rate * u)
        return [envelope * np.cos(angle), envelope * np.sin(angle)]

    def slopes(self, parts: list[Array]) -> list[Array]:
        """Derivatives by the parameters of ``sum(parts * carriers)``; parts are amplitudes."""
        u, carriers = self.argument.values, self.carriers()
        rate = sum((p * c for p, c in zip(parts, carriers, strict=True)), np.zeros_like(u)) * u
        if self.is_exponential:
            return [rate]
        turned = (parts[1] * carriers[0] - parts[0] * carriers[1]) * u
        return [turned, rate] if self.damped else [turned]


def propose(rows: FamilyRows) -> list[Proposal]:
    """Polynomials plus polynomials times one or two waves, in a few views."""
    if not rows.columns or rows.n < 12:
        return []
    arguments = list(_arguments(rows))
    plain = [a for a in arguments if a.exponents == (1.0,)]
    out: list[Proposal] = []
    for degree, among, views in (
        (1, plain, VIEWS),
        (1, arguments, VIEWS[:2]),
        (2, plain, VIEWS[:1]),
    ):
        amplitudes = _amplitudes(rows, degree)
        if amplitudes is None:
            continue
        for seen in rows.named(*views):
            found, error = _in_view(rows, seen, amplitudes, among)
            if error < SOLVED:
                return found + out
            out += found
    return out


def _amplitudes(rows: FamilyRows, degree: int) -> Basis | None:
    """Polynomials in front of the waves; None where there are too many for the rows."""
    columns = list(rows.columns[:5])
    if 3 * math.comb(len(columns) + degree, degree) > min(rows.n // 3, 24):
        return None
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


@dataclass(frozen=True, slots=True)
class _WaveProblem:
    """Weighted target of a view with the amplitudes of all waves.

    ``design``: ndarray of shape (n_rows, n_amplitudes), without weights; ``roots``: of the weights;
    ``target``: weighted, of largest size 1.
    """

    design: Array
    roots: Array
    target: Array

    def columns(self, waves: list[Wave]) -> Array:
        """Weighted polynomial and waves with polynomial amplitudes, (n_rows, n_terms)."""
        carriers = [c for w in waves for c in w.carriers()]
        blocks = [self.design, *(self.design * c[:, None] for c in carriers)]
        return np.concatenate(blocks, axis=1) * self.roots[:, None]


def _in_view(
    rows: FamilyRows, seen: TargetView, amplitudes: Basis, arguments: list[Argument]
) -> tuple[list[Proposal], float]:
    """Proposals with one wave, then with more of them, as long as each explains much."""
    roots = np.sqrt(np.maximum(seen.weights / seen.weights.max(), 1e-8))
    problem = _WaveProblem(
        amplitudes.design, roots, seen.target / np.abs(seen.target).max() * roots
    )
    waves: list[Wave] = []
    out: list[Proposal] = []
    previous = 1.0
    peaks = N_PEAKS if is_plain(seen) else 2
    while len(waves) < (N_WAVES if is_plain(seen) else 1):
        if len(amplitudes.exponents) * (2 * len(waves) + 3) > rows.n // 2:
            break
        found = _best_wave(problem, waves, arguments, peaks)
        if found is None or found[1] > 0.7 * previous:
            break
        waves, previous = found
        design = problem.columns(waves)
        costs = np.tile(amplitudes.costs(rows.n), design.shape[1] // len(amplitudes.exponents))
        costs[len(amplitudes.exponents) :] += 5.0
        floor = floor_of(problem.target)
        for fit in eliminate(design, problem.target, costs, floor=floor, kept=0)[:2]:
            tree = _tree(fit, waves, amplitudes, seen)
            if tree is not None and len(fit.chosen) <= LONGEST:
                out.append(Proposal(seen.wrap(tree), "wave"))
        if previous < SOLVED:
            break
    return out, previous


def _best_wave(
    problem: _WaveProblem, waves: list[Wave], arguments: list[Argument], peaks: int
) -> tuple[list[Wave], float] | None:
    """The waves with the one more that leaves least, and the share of the target that it leaves."""
    fixed = problem.columns(waves)
    q, _ = np.linalg.qr(fixed / np.linalg.norm(fixed, axis=0))
    if not np.isfinite(q).all():
        return None
    rest = problem.target - q @ (q.T @ problem.target)
    if not float(rest @ rest) > 1e-26 * float(problem.target @ problem.target):
        return None
    starts = _peaks(rest / problem.roots, problem.design, arguments)
    starts += [Wave(a, 0.0, math.pi * 2.0 * p / float(np.ptp(a.values)))
               for a in arguments[:2] for p in LOW]  # fmt: skip
    starts += [Wave(a, r / float(np.ptp(a.values)), 0.0) for a in arguments for r in RATES]
    found: list[tuple[float, int, list[Wave]]] = []
    tried: dict[tuple[int, bool], int] = {}
    for i in _ranked(problem, q, rest, starts):
        key = (id(starts[i].argument), starts[i].is_exponential)
        tried[key] = tried.get(key, 0) + 1
        if tried[key] > 2 or len(found) >= peaks:
            continue
        fitted, error = _projected(problem, [*waves, starts[i]], FIRST_STEPS)
        found.append((error, i, fitted))
        if error < SOLVED:
            return fitted, error
    found.sort(key=lambda entry: entry[:2])
    best: tuple[list[Wave], float] | None = None
    for _, _, fitted in found[:N_FINISHED]:
        end = _projected(problem, fitted, STEPS)
        last = end[0][-1]
        if end[1] > SOLVED and not last.is_exponential:
            damped = Wave(last.argument, 1e-3, last.frequency, damped=True)
            slowed = _projected(problem, [*end[0][:-1], damped], STEPS)
            end = slowed if slowed[1] < 0.6 * end[1] else end
        if best is None or end[1] < best[1]:
            best = end
        if best[1] < SOLVED:
            break
    return best


def _ranked(problem: _WaveProblem, q: Array, rest: Array, starts: list[Wave]) -> list[int]:
    """Starts by what they leave as they are, with amplitudes of degree 1 at most."""
    narrow = problem.design[:, : 1 + min(problem.design.shape[1] - 1, 2)]
    scored: list[tuple[float, int]] = []
    for is_exponential in (False, True):
        own = [i for i, start in enumerate(starts) if start.is_exponential == is_exponential]
        if not own:
            continue
        carriers = np.array([starts[i].carriers() for i in own])  # (starts, carriers, rows)
        B = (carriers[:, :, None, :] * (narrow * problem.roots[:, None]).T).reshape(
            len(own), -1, len(rest)
        )
        B = B - (B @ q) @ q.T
        norms = np.linalg.norm(B, axis=2, keepdims=True)
        B = B / np.where((norms > 1e-10) & np.isfinite(norms), norms, np.inf)
        B = np.where(np.isfinite(B), B, 0.0)
        right = B @ rest
        gram = B @ B.transpose(0, 2, 1) + 1e-9 * np.eye(B.shape[1])
        c = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        left = 1.0 - np.sum(c * right, axis=1) / float(rest @ rest)
        scored += zip((left * (1.5 if is_exponential else 1.0)).tolist(), own, strict=True)
    return [i for _, i in sorted(scored)]


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


def _projected(problem: _WaveProblem, waves: list[Wave], steps: int) -> tuple[list[Wave], float]:
    """Rates and frequencies by variable projection, and the share that is left."""
    total = float(problem.target @ problem.target)
    return projected(waves, lambda at: _linearised(problem, at), _moved, total, steps=steps)


def _moved(waves: list[Wave], step: Array) -> list[Wave]:
    """Waves with parameters changed by ``step``; as they were where that is out of range."""
    values = (np.array([p for w in waves for p in w.parameters]) + step).tolist()
    found = [wave.moved(values) for wave in waves[::-1]][::-1]
    return [wave if new is None else new for new, wave in zip(found, waves, strict=True)]


def _linearised(problem: _WaveProblem, waves: list[Wave]) -> tuple[Array, Array] | None:
    """Jacobian by the parameters of the waves, amplitudes projected out, and the residual."""
    B = problem.columns(waves)
    norms = np.linalg.norm(B, axis=0)
    if not np.isfinite(norms).all() or not (norms > 0.0).all():
        return None
    linear = Linear.of(B / norms)
    c, rest = linear.solve(problem.target)
    rows = (c / norms).reshape(-1, problem.design.shape[1])[1:]
    parts = list((problem.design @ rows.T).T)
    slopes: list[Array] = []
    for wave in waves:
        n = 1 if wave.is_exponential else 2
        slopes += wave.slopes(parts[:n])
        parts = parts[n:]
    J = np.stack(slopes, axis=1) * problem.roots[:, None]
    return linear.outside(J), rest


def _tree(fit: SparseFit, waves: list[Wave], amplitudes: Basis, seen: TargetView) -> Tree | None:
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
        width = 1 if wave.is_exponential else 2
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
    if wave.is_exponential:
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
    if wave.damped:
        out = Tree.apply("mul", out, _exponential(argument, wave.rate / unit))
    return out, size


def _exponential(argument: Tree, rate: float) -> Tree:
    inner = weighted_sum([argument], [rate])
    return Tree.apply("exp", argument if inner is None else inner)

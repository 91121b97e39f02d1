"""Detectors: which columns do nothing, and into which groups a law falls apart.

Differences of the surrogate propose, the evidence of a process with these groups decides. A wrong
finding costs time only, since formulas are judged on the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.gaussian_process import Group
from equate_srbench.structure.surrogate import IDENTITY, INVERSE, LOG, VIEWS, Surrogate, View

Array = NDArray[np.float64]
Groups = tuple[Group, ...]

#: Pairs of rows between which differences are taken, and rows of a factor's slices.
N_PAIRS, N_SLICES = 100, 24
#: Evaluations of the likelihood where it starts from the joint process.
REFIT = 25
#: A column whose effect is below this multiple of the surrogate's error may do nothing.
SMALL = 30.0
#: Gain of evidence, in nats, that a finding needs.
LEAST = 3.0
#: Share of the largest gain from which a grouping into fewer groups goes first.
COARSE = 0.8
#: Most steps of the improvement of a grouping, and the score from which a merger is tried.
MOST_MOVES, SCORE = 6, 3.0
#: Gain of evidence, in nats, from which wide columns are not seen by their logarithm.
STRAIGHT = 20.0
#: Views whose groupings are tried: those in which the joint process has most evidence.
MOST_VIEWS = 2


@dataclass(frozen=True, slots=True)
class Part:
    """What a surrogate says about one part of a law.

    Attributes
    ----------
    columns : tuple of int
    values : callable
        Rows (n, n_columns) -> values (n,): a factor up to scale, a summand up to an offset.
    """

    columns: Group
    values: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Finding:
    """A law falls apart.

    Attributes
    ----------
    kind : {"sum", "product"}
    view : View
        In which it does.
    parts : tuple of Part
    gain : float
        Log evidence ratio against the law that does not fall apart, in nats.
    error : float
        Mean squared leave-one-out error of the parts together, as a share of the variance in the
        view.
    """

    kind: str
    view: View
    parts: tuple[Part, ...]
    gain: float
    error: float

    @property
    def is_additive(self) -> bool:
        """Whether the law is a sum in the view: a product is one in the logarithm."""
        return self.kind == "sum" or self.view is LOG

    @property
    def groups(self) -> Groups:
        """Columns of the parts."""
        return tuple(part.columns for part in self.parts)


def differences(
    f: Callable[[Array], Array], X: Array, columns: Sequence[int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Mean squared differences of a function between rows, in one column and mixed in two.

    Parameters
    ----------
    f : callable
    X : ndarray of shape (n_rows, n_columns)
    columns : sequence of int
    rng : numpy Generator

    Returns
    -------
    sums, products : ndarray of shape (len(columns), len(columns))
        ``(f + f_ij - f_i - f_j)^2``, and ``(f f_ij - f_i f_j)^2`` as a share of the size of both;
        the diagonal has ``(f_i - f)^2``.
    """
    m = min(N_PAIRS, len(X))
    A, B = X[rng.permutation(len(X))[:m]], X[rng.permutation(len(X))[:m]]

    def moved(*some: int) -> Array:
        mixed = A.copy()
        mixed[:, some] = B[:, some]
        return f(mixed)

    base, one = moved(), [moved(j) for j in columns]
    k = len(columns)
    sums, products = np.zeros((k, k)), np.zeros((k, k))
    for a in range(k):
        sums[a, a] = products[a, a] = np.mean((one[a] - base) ** 2)
        for b in range(a):
            both = moved(columns[a], columns[b])
            sums[a, b] = sums[b, a] = np.mean((both + base - one[a] - one[b]) ** 2)
            u, v = both * base, one[a] * one[b]
            share = np.sum((u - v) ** 2) / max(np.sum((np.abs(u) + np.abs(v)) ** 2), 1e-300)
            products[a, b] = products[b, a] = share
    return sums, products


def partitions(strength: Array, columns: Sequence[int]) -> Iterator[Groups]:
    """Partitions by single linkage, from single columns to two groups."""
    k = len(columns)
    name = list(range(k))
    order = sorted(((-strength[a, b], a, b) for a in range(k) for b in range(a)))
    for _, a, b in [(0.0, 0, 0), *order]:
        if a != b and name[a] == name[b]:
            continue
        name = [name[b] if n == name[a] else n for n in name]
        found: dict[int, list[int]] = {}
        for place, n in enumerate(name):
            found.setdefault(n, []).append(columns[place])
        if len(found) == 1:
            return
        yield tuple(sorted(tuple(sorted(g)) for g in found.values()))


def active(joint: Surrogate, rng: np.random.Generator) -> Surrogate:
    """The process on the columns that do something: those without which the evidence is less."""
    (columns,) = joint.groups
    effects, _ = differences(joint, joint.X, columns, rng)
    spread = float(np.var(joint(joint.X)))
    for place in np.argsort(np.diag(effects)).tolist():
        effect = float(effects[place, place]) / max(spread, 1e-300)
        if effect > SMALL * joint.error or len(joint.groups[0]) == 1:
            break
        fewer = tuple(j for j in joint.groups[0] if j != columns[place])
        without = joint.refitted([fewer])
        if without.evidence < joint.evidence:
            break
        joint = without
    return joint


def sums(joint: Surrogate, rng: np.random.Generator) -> list[Surrogate]:
    """The two groupings with most evidence in which the view of the target is a sum.

    They may have less evidence than the joint process: one wrong link is enough for that.
    """
    (columns,) = joint.groups
    strength, _ = differences(joint, joint.X, columns, rng)
    tried = [joint.refitted(groups) for groups in partitions(strength, columns)]
    return sorted(tried, key=lambda additive: -additive.evidence)[:2]


def improved(additive: Surrogate, dropped: Sequence[int], rng: np.random.Generator) -> Surrogate:
    """Merge, split and add to groups while the evidence grows."""
    for _ in range(MOST_MOVES):
        better = max(
            [additive.refitted(g) for g in [*_larger(additive, dropped), *_split(additive, rng)]],
            key=lambda other: other.evidence,
            default=additive,
        )
        if better.evidence <= additive.evidence:
            break
        additive = better
    return additive


def _larger(additive: Surrogate, dropped: Sequence[int]) -> list[Groups]:
    """The two groupings with two groups merged, or a column added, that score best."""
    groups = additive.groups
    used = {j for g in groups for j in g}
    unused = [(j,) for j in dropped if j not in used]
    scored = []
    for a, g in enumerate(groups):
        for h in (*groups[:a], *unused):
            merged = tuple(sorted(g + h))
            others = tuple(o for o in groups if o not in (g, h))
            scored.append((additive.process.score(merged), tuple(sorted((*others, merged)))))
    scored += [(additive.process.score(h), tuple(sorted((*groups, h)))) for h in unused]
    scored.sort(reverse=True)
    return [grouping for score, grouping in scored[:2] if score > SCORE and len(grouping) > 1]


def _split(additive: Surrogate, rng: np.random.Generator) -> list[Groups]:
    """The grouping with the weakest link of any group cut."""
    weakest: tuple[float, Groups] | None = None
    for g in additive.groups:
        if len(g) < 2:
            continue
        strength, _ = differences(lambda X, g=g: additive(X, g), additive.X, g, rng)
        *_, halves = partitions(strength, g)
        a, b = ([g.index(j) for j in half] for half in halves)
        link = float(strength[np.ix_(a, b)].max() / np.diag(strength).max())
        if weakest is None or link < weakest[0]:
            others = tuple(o for o in additive.groups if o != g)
            weakest = link, tuple(sorted((*others, *halves)))
    return [] if weakest is None else [weakest[1]]


def product(joint: Surrogate, rng: np.random.Generator) -> list[Finding]:
    """Groupings in which a target that changes its sign is a product.

    Factors start from slices of the surrogate (the first singular vector of its values on rows
    whose other columns are those of some reference rows) and are then fitted in turn to the
    quotient by the others, weighted by the squares of these.
    """
    (columns,) = joint.groups
    _, strength = differences(joint, joint.X, columns, rng)
    target = joint.view.forward(joint.y)
    tried = []
    for groups in partitions(strength, columns):
        factors = [_slices(joint, g, rng) for g in groups]
        whole = np.prod(factors, axis=0)
        scale = float(whole @ target) / max(float(whole @ whole), 1e-300)
        factors[0] = factors[0] * scale
        tried.append((float(np.mean((target - scale * whole) ** 2)), groups, factors))
    least = min((error for error, *_ in tried), default=0.0)
    found = [f for error, *rest in tried if error < 3.0 * least for f in _alternated(joint, *rest)]
    found.sort(key=lambda finding: -finding.gain)
    # a finer grouping that is wrong costs more than a coarser one, whose parts fall apart later
    return sorted(found, key=lambda f: (f.gain < COARSE * found[0].gain, len(f.parts)))[:2]


def _slices(joint: Surrogate, group: Group, rng: np.random.Generator) -> Array:
    """A factor on the rows, up to scale."""
    X = joint.X
    n = len(X)
    rows = rng.permutation(n)[:N_SLICES]
    mixed = np.repeat(X[rows], n, axis=0)  # (n_slices * n, n_columns)
    mixed[:, group] = np.tile(X[:, group], (len(rows), 1))
    values = joint(mixed).reshape(len(rows), n)
    _, _, right = np.linalg.svd(values, full_matrices=False)
    return np.asarray(right[0] * np.sqrt(n))


def _alternated(joint: Surrogate, groups: Groups, values: list[Array]) -> list[Finding]:
    """Factors as processes, fitted in turn."""
    X, y = joint.X, joint.view.forward(joint.y)
    fitted: list[Surrogate | None] = [None] * len(groups)
    errors = [np.inf] * len(groups)
    for _ in range(2):
        for k, group in enumerate(groups):
            others = np.prod([v for i, v in enumerate(values) if i != k], axis=0)
            size = np.sqrt(np.mean(others**2))
            keep = np.abs(others) > 1e-3 * size
            if keep.sum() < 0.8 * len(y):
                return []
            safe = np.where(keep, others, size)
            weights = np.where(keep, others**2, 1e-6 * size**2)
            process = Surrogate(X, np.where(keep, y / safe, 0.0), [group], weights=weights,
                                evaluations=REFIT, logs=joint.logs)  # fmt: skip
            left_out = process.process.left_out * process._spread * others
            errors[k] = float(np.mean(left_out[keep] ** 2)) / float(np.var(y))
            values[k], fitted[k] = process(X), process
    gain = 0.5 * len(y) * float(np.log(joint.error / max(errors)))
    if gain < LEAST:
        return []
    invert = joint.view is not IDENTITY
    parts = tuple(
        Part(g, _inverse(f) if invert else f) for g, f in zip(groups, fitted, strict=True) if f
    )
    return [Finding("product", joint.view, parts, gain, max(errors))]


def _inverse(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda X: 1.0 / f(X)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a table says about its law.

    Attributes
    ----------
    joint : Surrogate
        One process on the columns that do something, in the view with most evidence.
    findings : list of Finding
        Those of most evidence first.
    """

    joint: Surrogate
    findings: list[Finding]


def read(X: Array, y: Array, columns: Sequence[int], rng: np.random.Generator) -> Reading:
    """Read the structure of a law.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Rows to fit surrogates to: some hundred.
    y : ndarray of shape (n_rows,)
    columns : sequence of int
    rng : numpy Generator
    """
    signed = bool((y > 0.0).all() or (y < 0.0).all())
    joints = [
        Surrogate(X, y, [tuple(columns)], view=view)
        for view in VIEWS
        if view is IDENTITY or signed or (view is INVERSE and (y != 0.0).all())
    ]
    joints.sort(key=lambda joint: -joint.evidence)
    joints = [active(joint, rng) for joint in joints[: MOST_VIEWS if signed else 1]]
    found: list[tuple[float, Finding]] = []
    tried = [(additive, joint) for joint in joints for additive in sums(joint, rng)]
    for additive, joint in sorted(tried, key=lambda pair: -pair[0].evidence)[:2]:
        dropped = [j for j in columns if j not in joint.groups[0]]
        better = _straight(improved(additive, dropped, rng))
        gain = better.evidence - joint.evidence
        if gain > LEAST and all(better.groups != f.groups for _, f in found):
            found.append((better.evidence, _as_finding(better, gain)))
    joints[0] = _straight(joints[0])
    if not signed:
        found += [(joints[0].evidence + f.gain, f) for f in product(joints[0], rng)]
    found.sort(key=lambda pair: -pair[0])
    return Reading(joints[0], [finding for _, finding in found])


def _straight(process: Surrogate) -> Surrogate:
    """The same without logarithms of wide columns, if that has clearly more evidence."""
    if not process.is_wide:
        return process
    other = Surrogate(process.X, process.y, process.groups, view=process.view, logs=False)
    return other if other.evidence > process.evidence + STRAIGHT else process


def _as_finding(additive: Surrogate, gain: float) -> Finding:
    is_log = additive.view is LOG
    parts = tuple(Part(g, _component(additive, g, is_log)) for g in additive.groups)
    kind = "product" if is_log else "sum"
    return Finding(kind, additive.view, parts, gain, additive.error)


def _component(additive: Surrogate, group: Group, is_log: bool) -> Callable[[Array], Array]:
    if is_log:
        return lambda X: np.exp(additive(X, group))
    return lambda X: additive(X, group)

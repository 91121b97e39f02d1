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
from equate_srbench.structure.surrogate import IDENTITY, LOG, VIEWS, Surrogate, View

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
#: Most steps of the improvement of a grouping, and the score from which a merger is tried.
MOST_MOVES, SCORE = 8, 3.0
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
    """

    kind: str
    view: View
    parts: tuple[Part, ...]
    gain: float

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
        without = Surrogate(joint.X, joint.y, [fewer], view=joint.view,
                            start=joint.process.scales, evaluations=REFIT)  # fmt: skip
        if without.evidence < joint.evidence:
            break
        joint = without
    return joint


def sums(joint: Surrogate, rng: np.random.Generator, dropped: Sequence[int]) -> list[Surrogate]:
    """Groupings in which the view of the target is a sum, those of most evidence first.

    Parameters
    ----------
    joint : Surrogate
        On one group.
    rng : numpy Generator
    dropped : sequence of int
        Columns that seemed to do nothing, as far as the joint process could tell.
    """
    (columns,) = joint.groups
    strength, _ = differences(joint, joint.X, columns, rng)
    tried = [refitted(joint, groups) for groups in partitions(strength, columns)]
    tried.sort(key=lambda additive: -additive.evidence)
    best = list({a.groups: a for a in (improved(a, dropped, rng) for a in tried[:2])}.values())
    best.sort(key=lambda additive: -additive.evidence)
    return [a for a in best if a.evidence > joint.evidence + LEAST and len(a.groups) > 1]


def refitted(known: Surrogate, groups: Groups) -> Surrogate:
    """A process with other groups on the same rows, started from a known one."""
    return Surrogate(known.X, known.y, groups, view=known.view,
                     start=known.process.scales, evaluations=REFIT)  # fmt: skip


def improved(additive: Surrogate, dropped: Sequence[int], rng: np.random.Generator) -> Surrogate:
    """Merge, split and add to groups while the evidence grows."""
    for _ in range(MOST_MOVES):
        better = max(
            [refitted(additive, g) for g in [*_larger(additive, dropped), *_split(additive, rng)]],
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
    tried = []
    for groups in partitions(strength, columns):
        factors = [_slices(joint, g, rng) for g in groups]
        whole = np.prod(factors, axis=0)
        scale = float(whole @ joint.y) / max(float(whole @ whole), 1e-300)
        factors[0] = factors[0] * scale
        tried.append((float(np.mean((joint.y - scale * whole) ** 2)), groups, factors))
    least = min((error for error, *_ in tried), default=0.0)
    found = [f for error, *rest in tried if error < 3.0 * least for f in _alternated(joint, *rest)]
    return sorted(found, key=lambda finding: -finding.gain)[:2]


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
    X, y = joint.X, joint.y
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
                                evaluations=REFIT)  # fmt: skip
            left_out = process.process.left_out * process._spread * others
            errors[k] = float(np.mean(left_out[keep] ** 2)) / float(np.var(y))
            values[k], fitted[k] = process(X), process
    gain = 0.5 * len(y) * float(np.log(joint.error / max(errors)))
    if gain < LEAST:
        return []
    parts = tuple(Part(g, f) for g, f in zip(groups, fitted, strict=True) if f is not None)
    return [Finding("product", IDENTITY, parts, gain)]


def findings(X: Array, y: Array, columns: Sequence[int], rng: np.random.Generator) -> list[Finding]:
    """All groupings with evidence, best first.

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
        Surrogate(X, y, [tuple(columns)], view=view) for view in (VIEWS if signed else VIEWS[:1])
    ]
    joints.sort(key=lambda joint: -joint.evidence)
    found: list[tuple[float, Finding]] = []
    for whole in joints[:MOST_VIEWS]:
        joint = active(whole, rng)
        if len(joint.groups[0]) < 2:
            continue
        dropped = [j for j in columns if j not in joint.groups[0]]
        for additive in sums(joint, rng, dropped):
            gain = additive.evidence - joint.evidence
            found.append((additive.evidence, _as_finding(additive, gain)))
        if joint.view is IDENTITY and not signed:
            for finding in product(joint, rng):
                found.append((joint.evidence + finding.gain, finding))
    found.sort(key=lambda pair: -pair[0])
    return [finding for _, finding in found]


def _as_finding(additive: Surrogate, gain: float) -> Finding:
    is_log = additive.view is LOG
    parts = tuple(Part(g, _component(additive, g, is_log)) for g in additive.groups)
    return Finding("product" if is_log else "sum", additive.view, parts, gain)


def _component(additive: Surrogate, group: Group, is_log: bool) -> Callable[[Array], Array]:
    if is_log:
        return lambda X: np.exp(additive(X, group))
    return lambda X: additive(X, group)

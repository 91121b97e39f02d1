"""Reading the structure of a law: columns that do nothing, and groups into which it falls apart.

Differences of a surrogate propose; the evidence of a process with these groups decides. A wrong
finding costs time only, since formulas are judged on the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.decomposition import Decomposition, Groups, Part
from equate_srbench.structure.factors import LEAST, product
from equate_srbench.structure.gaussian_process import Group
from equate_srbench.structure.interactions import differences, partitions
from equate_srbench.structure.surrogate import IDENTITY, INVERSE, LINKS, LOG, Surrogate

Array = NDArray[np.float64]

#: A column whose effect is below this multiple of the surrogate's error may do nothing.
SMALL = 30.0
#: Evaluations of the likelihood by which groupings are ranked.
RANKING = 12
#: Most steps of the improvement of a grouping, and the score from which a merger is tried.
MOST_MOVES, SCORE = 6, 3.0
#: Gain of evidence, in nats, from which no other link is tried.
CLEAR = 20.0
#: Gain of evidence, in nats, from which wide columns are not seen by their logarithm.
STRAIGHT = 20.0
#: Views whose groupings are tried: those in which the joint process has most evidence.
MOST_LINKS = 2


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
    """The two groupings with most evidence in which the target is a sum on the link's scale.

    They may have less evidence than the joint process: one wrong cut is enough for that.
    """
    (columns,) = joint.groups
    strength, _ = differences(joint, joint.X, columns, rng)
    tried = [joint.refitted(groups, RANKING) for groups in partitions(strength, columns)]
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
    """The grouping with the group cut whose halves interact least."""
    weakest: tuple[float, Groups] | None = None
    for g in additive.groups:
        if len(g) < 2:
            continue
        strength, _ = differences(partial(additive, group=g), additive.X, g, rng)
        *_, halves = partitions(strength, g)
        a, b = ([g.index(j) for j in half] for half in halves)
        bond = float(strength[np.ix_(a, b)].max() / np.diag(strength).max())
        if weakest is None or bond < weakest[0]:
            others = tuple(o for o in additive.groups if o != g)
            weakest = bond, tuple(sorted((*others, *halves)))
    return [] if weakest is None else [weakest[1]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a table says about its law.

    Attributes
    ----------
    joint : Surrogate
        One process on the columns that do something, with the link of most evidence.
    findings : list of Decomposition
        Those of most evidence first.
    """

    joint: Surrogate
    findings: list[Decomposition]


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
        Surrogate(X, y, [tuple(columns)], link=link)
        for link in LINKS
        if link is IDENTITY or signed or (link is INVERSE and (y != 0.0).all())
    ]
    joints.sort(key=lambda joint: -joint.evidence)
    joints = [active(joint, rng) for joint in joints[: MOST_LINKS if signed else 1]]
    found: list[tuple[float, Decomposition]] = []
    tried: list[tuple[Surrogate, Surrogate]] = []
    for joint in joints:
        if all(additive.evidence < whole.evidence + CLEAR for additive, whole in tried):
            tried += [(additive, joint) for additive in sums(joint, rng)]
    for additive, joint in sorted(tried, key=lambda pair: -pair[0].evidence)[:2]:
        dropped = [j for j in columns if j not in joint.groups[0]]
        better = _straight(improved(additive, dropped, rng))
        gain = better.evidence - joint.evidence
        if gain > LEAST and all(better.groups != f.groups for _, f in found):
            found.append((better.evidence, _as_decomposition(better, gain)))
    joints[0] = _straight(joints[0])
    if not signed:
        found += [(joints[0].evidence + f.gain, f) for f in product(joints[0], rng)]
    found.sort(key=lambda pair: -pair[0])
    return Reading(joints[0], [finding for _, finding in found])


def _straight(process: Surrogate) -> Surrogate:
    """The same without logarithms of wide columns, if that has clearly more evidence."""
    if not process.is_wide:
        return process
    other = Surrogate(process.X, process.y, process.groups, link=process.link, logs=False)
    return other if other.evidence > process.evidence + STRAIGHT else process


def _as_decomposition(additive: Surrogate, gain: float) -> Decomposition:
    is_log = additive.link is LOG
    parts = tuple(Part(g, _component(additive, g, is_log)) for g in additive.groups)
    kind = "product" if is_log else "sum"
    return Decomposition(kind, additive.link, parts, gain, additive.error)


def _component(additive: Surrogate, group: Group, is_log: bool) -> Callable[[Array], Array]:
    if is_log:
        return lambda X: np.exp(additive(X, group))
    return lambda X: additive(X, group)

"""Products of factors that change their sign, where the logarithm is of no use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.decomposition import Decomposition, Groups, Part
from equate_srbench.structure.gaussian_process import Group
from equate_srbench.structure.interactions import differences, partitions
from equate_srbench.structure.surrogate import IDENTITY, REFIT, Surrogate

Array = NDArray[np.float64]

#: Rows of a factor's slices, and sweeps over the factors.
N_SLICES, SWEEPS = 24, 2
#: Groupings whose factors are fitted: those whose slices err least, up to a multiple of the least.
MOST_FITTED, PROMISING = 3, 3.0
#: Share of the largest gain from which a grouping into fewer groups goes first.
COARSE = 0.8
#: Gain of evidence, in nats, that a finding needs.
LEAST = 3.0
#: A quotient is not used where its divisor is below this share of its typical size.
SMALLEST = 1e-3


def product(joint: Surrogate, rng: np.random.Generator) -> list[Decomposition]:
    """Groupings in which a target that changes its sign is a product.

    Factors start from slices of the surrogate (the first singular vector of its values on rows
    whose other columns are those of some reference rows) and are then fitted in turn to the
    quotient by the others, weighted by the squares of these.
    """
    (columns,) = joint.groups
    _, strength = differences(joint, joint.X, columns, rng)
    target = joint.link.forward(joint.y)
    tried: list[tuple[float, Groups, list[Array]]] = []
    for groups in partitions(strength, columns):
        factors = [_slices(joint, g, rng) for g in groups]
        whole = np.prod(factors, axis=0)
        scale = float(whole @ target) / max(float(whole @ whole), 1e-300)
        factors[0] = factors[0] * scale
        tried.append((float(np.mean((target - scale * whole) ** 2)), groups, factors))
    tried = sorted(tried, key=lambda entry: entry[0])[:MOST_FITTED]
    least = tried[0][0] if tried else 0.0
    found = [
        finding
        for error, groups, factors in tried
        if error < PROMISING * least
        for finding in _alternated(joint, groups, factors)
    ]
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


def _alternated(joint: Surrogate, groups: Groups, values: list[Array]) -> list[Decomposition]:
    """Factors as processes, fitted in turn."""
    X, y = joint.X, joint.link.forward(joint.y)
    fitted: list[Surrogate | None] = [None] * len(groups)
    errors = [np.inf] * len(groups)
    for _ in range(SWEEPS):
        for k, group in enumerate(groups):
            others = np.prod([v for i, v in enumerate(values) if i != k], axis=0)
            size = np.sqrt(np.mean(others**2))
            keep = np.abs(others) > SMALLEST * size
            if keep.sum() < 0.8 * len(y):
                return []
            safe = np.where(keep, others, size)
            weights = np.where(keep, others**2, (SMALLEST * size) ** 2)
            process = Surrogate(X, np.where(keep, y / safe, 0.0), [group], weights=weights,
                                evaluations=REFIT, logs=joint.logs)  # fmt: skip
            left_out = process.process.left_out * process._spread * others
            errors[k] = float(np.mean(left_out[keep] ** 2)) / float(np.var(y))
            values[k], fitted[k] = process(X), process
    gain = 0.5 * len(y) * float(np.log(joint.error / max(errors)))
    if gain < LEAST:
        return []
    invert = joint.link is not IDENTITY
    parts = tuple(
        Part(g, _inverse(f) if invert else f) for g, f in zip(groups, fitted, strict=True) if f
    )
    return [Decomposition("product", joint.link, parts, gain, max(errors))]


def _inverse(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda X: 1.0 / f(X)

"""Laws of each family drawn at random, and whether a search recovers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.families.family_search import FamilySearch
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.problem.selection import description_length
from equate_srbench.refine.one_formula import fit_constants
from equate_srbench.runtime.clock import Deadline

Law = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Drawn:
    """A law with the ranges of its columns, and what is added to these."""

    law: Law
    low: np.ndarray
    high: np.ndarray
    at: np.ndarray | float = 0.0

    def rows(self, n: int, rng: np.random.Generator, wider: float = 0.0) -> np.ndarray:
        """Uniform rows; ``wider`` is a share of the range added, half of it at either end.

        Ranges of positive columns stay positive.
        """
        margin = 0.5 * wider * (self.high - self.low)
        low = np.where(self.low > 0.0, np.maximum(self.low - margin, 0.5 * self.low),
                       self.low - margin)  # fmt: skip
        return rng.uniform(low, self.high + margin, (n, len(self.low))) + self.at


def _value(rng: np.random.Generator) -> float:
    """A coefficient of either sign: whole, or with two decimals."""
    size = float(rng.integers(1, 6)) if rng.random() < 0.5 else round(rng.uniform(0.2, 5.0), 2)
    return size if rng.random() < 0.6 else -size


def _ranges(rng: np.random.Generator, k: int, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    if positive:
        low = rng.uniform(0.2, 1.5, k)
        return low, low + rng.uniform(1.0, 4.0, k)
    low = rng.uniform(-3.0, 1.0, k)
    return low, low + rng.uniform(1.0, 4.0, k)


def _exponents(rng: np.random.Generator, k: int, degree: int, n: int) -> list[np.ndarray]:
    found: dict[tuple[int, ...], None] = {}
    while len(found) < n:
        e = np.bincount(rng.integers(0, k, rng.integers(1, degree + 1)), minlength=k)
        found[tuple(e.tolist())] = None
    return [np.array(e) for e in found]


def _polynomial_of(rng: np.random.Generator, k: int, degree: int, n: int) -> Law:
    exponents = _exponents(rng, k, degree, n)
    values = [_value(rng) for _ in exponents]
    offset = _value(rng) if rng.random() < 0.6 else 0.0
    return lambda X: (
        offset + sum(c * np.prod(X**e, axis=1) for c, e in zip(values, exponents, strict=True))
    )


def polynomial(rng: np.random.Generator) -> Drawn:
    """Two to five terms of degree up to 6, 5 or 3 in one to four columns; one in two in a view."""
    k = int(rng.integers(1, 5))
    low, high = _ranges(rng, k, False)
    inner = _polynomial_of(rng, k, (6, 5, 4, 3)[k - 1], int(rng.integers(2, 4 if k == 1 else 6)))
    outer = rng.choice(["", "", "", "exp", "sqrt", "inverse"])
    probe = inner(rng.uniform(low - 0.25 * (high - low), high + 0.25 * (high - low), (2000, k)))
    if outer == "exp":
        return Drawn(lambda X: np.exp(inner(X) / np.ptp(probe) * 4.0), low, high)
    shift = 0.3 * np.ptp(probe) - probe.min()
    if outer == "sqrt":
        return Drawn(lambda X: np.sqrt(inner(X) + shift), low, high)
    if outer == "inverse":
        return Drawn(lambda X: 1.0 / (inner(X) + shift), low, high)
    return Drawn(inner, low, high)


def ratio(rng: np.random.Generator) -> Drawn:
    """Up to three terms above and below, the denominator far from 0."""
    k = int(rng.integers(1, 4))
    low, high = _ranges(rng, k, False)
    degree = (4, 3, 2)[k - 1]
    above = _polynomial_of(rng, k, degree, int(rng.integers(1, 4 if k > 1 else 3)))
    below = _polynomial_of(rng, k, degree, int(rng.integers(1, 4 if k > 1 else 3)))
    probe = below(rng.uniform(low - 0.25 * (high - low), high + 0.25 * (high - low), (2000, k)))
    shift = 0.3 * np.ptp(probe) - probe.min()
    return Drawn(lambda X: above(X) / (below(X) + shift), low, high)


def power(rng: np.random.Generator) -> Drawn:
    """One or two products of real powers, some with an exponential, and an offset."""
    k = int(rng.integers(1, 4))
    low, high = _ranges(rng, k, True)
    n = int(rng.integers(1, 3))
    terms = []
    for _ in range(n):
        e = np.where(rng.random(k) < 0.5, rng.choice([-2, -1, -0.5, 0.5, 1, 1.5, 2, 3], k),
                     np.round(rng.uniform(-2.5, 3.5, k), 2))  # fmt: skip
        terms.append((_value(rng), np.where((rng.random(k) < 0.25) & (k > 1), 0.0, e)))
    if not any(e.any() for _, e in terms):
        return power(rng)
    rate = _value(rng) / 5.0 if n == 1 and rng.random() < 0.4 else 0.0
    offset = _value(rng) if rate == 0.0 and rng.random() < 0.5 else 0.0
    return Drawn(
        lambda X: (
            offset + sum(c * np.prod(X**e, axis=1) for c, e in terms) * np.exp(rate * X[:, 0])
        ),
        low,
        high,
    )


def wave(rng: np.random.Generator) -> Drawn:
    """Sinusoids, exponentials and damped sinusoids, times a column, plus a line."""
    k = int(rng.integers(1, 4))
    low, high = _ranges(rng, k, False)
    kind = rng.choice(["sin", "sin", "exp", "damped", "power", "product", "two"])
    width = float(high[0] - low[0])
    w = round(2.0 * np.pi / width * np.exp(rng.uniform(np.log(0.7), np.log(30.0))), 2)
    phase = round(rng.uniform(0.0, 6.0), 1) if rng.random() < 0.5 else 0.0
    rate = round(rng.choice([-1, 1]) * rng.uniform(1.0, 5.0) / width, 2)
    c, d, s = _value(rng), _value(rng), _value(rng)
    j = int(rng.integers(0, k))
    amplitude = rng.random() < 0.5
    u = {"power": lambda X: X[:, 0] ** 2, "product": lambda X: X[:, 0] * X[:, -1]}.get(
        str(kind), lambda X: X[:, 0]
    )

    def law(X: np.ndarray) -> np.ndarray:
        out = np.sin(w * u(X) + phase)
        if kind == "exp":
            out = np.exp(rate * u(X))
        elif kind == "damped":
            out = out * np.exp(rate * u(X))
        if amplitude:
            out = out * X[:, j]
        if kind == "two":
            out = out + 0.7 * np.cos(1.37 * w * X[:, -1])
        return c * out + d + (s * X[:, j] if s > 0 else 0.0)

    return Drawn(law, low, high)


def ridge(rng: np.random.Generator) -> Drawn:
    """A function of one affine combination of two to five columns, with scale and offset."""
    k = int(rng.integers(2, 6))
    low, high = _ranges(rng, k, False)
    a = np.array([_value(rng) for _ in range(k)])
    corners = np.stack([a * low, a * high])
    wide = 0.25 * np.abs(corners[1] - corners[0]).sum()
    least, most = corners.min(axis=0).sum() - wide, corners.max(axis=0).sum() + wide
    t = lambda X: (X @ a - least) / (most - least)  # noqa: E731
    s = round(rng.uniform(1.0, 4.0), 1)
    shapes: dict[str, Law] = {
        "exp": lambda X: np.exp(s * t(X)),
        "log": lambda X: np.log(0.1 + s * t(X)),
        "sqrt": lambda X: np.sqrt(0.1 + t(X)),
        "inverse": lambda X: 1.0 / (0.2 + t(X)),
        "sin": lambda X: np.sin(2.0 * s * t(X) + 0.4),
        "tanh": lambda X: np.tanh(1.5 * s * (t(X) - 0.4)),
        "logistic": lambda X: 1.0 / (1.0 + np.exp(-2.0 * s * (t(X) - 0.5))),
        "gauss": lambda X: np.exp(-((s * (t(X) - 0.5)) ** 2)),
        "square": lambda X: (t(X) - 0.3) ** 2,
        "arctan": lambda X: np.arctan(3.0 * s * (t(X) - 0.45)),
    }
    shape = shapes[str(rng.choice(list(shapes)))]
    scale, offset = _value(rng), (_value(rng) if rng.random() < 0.5 else 0.0)
    return Drawn(lambda X: scale * shape(X) + offset, low, high)


def _one_column(rng: np.random.Generator, low: float, high: float) -> Law:
    """A function of one column, given as an array of shape (n_rows,)."""
    width = high - low
    w = round(2.0 * np.pi / width * rng.uniform(0.5, 6.0), 2)
    phase = round(rng.uniform(0.0, 6.0), 1) if rng.random() < 0.4 else 0.0
    rate = round(rng.choice([-1, 1]) * rng.uniform(1.0, 4.0) / width, 2)
    middle, narrow = round(rng.uniform(low, high), 1), round(width * rng.uniform(0.15, 0.5), 2)
    shift = round(width * rng.uniform(0.3, 0.8) - low, 2)
    shapes: list[Law] = [
        lambda x: np.sin(w * x + phase), lambda x: np.cos(w * x), lambda x: np.exp(rate * x),
        lambda x: x**2, lambda x: x, lambda x: np.log(x + shift),
        lambda x: np.exp(-((x - middle) ** 2) / (2.0 * narrow**2)), lambda x: 1.0 / (x + shift),
    ]  # fmt: skip
    if low > 0.0:
        p = float(rng.choice([-1.5, -1.0, 0.5, 1.5, 2.3]))
        shapes += [np.log, lambda x: x**p]
    return shapes[int(rng.integers(len(shapes)))]


def product(rng: np.random.Generator) -> Drawn:
    """One or two products of functions of single columns, and an offset."""
    k = int(rng.integers(1, 4))
    low, high = _ranges(rng, k, bool(rng.random() < 0.5))
    terms = []
    for _ in range(int(rng.integers(1, 3))):
        own = rng.permutation(k)[: int(rng.integers(1, min(k, 2) + 1))]
        terms.append((_value(rng), [(j, _one_column(rng, low[j], high[j])) for j in own]))
    offset = _value(rng) if rng.random() < 0.5 else 0.0
    return Drawn(
        lambda X: (
            offset
            + sum(c * np.prod([f(X[:, j]) for j, f in factors], axis=0) for c, factors in terms)
        ),
        low,
        high,
    )


def oscillation(rng: np.random.Generator) -> Drawn:
    """Twenty to a hundred periods in a monomial, times a column in half of them."""
    low, high = _ranges(rng, 2, bool(rng.random() < 0.5))
    e = np.array([(1, 0), (2, 0), (3, 0), (1, 1), (1, 2), (2, 1)][int(rng.integers(6))])
    u = lambda X: np.prod(X**e, axis=1)  # noqa: E731
    width = float(np.ptp(u(rng.uniform(low, high, (2000, 2)))))
    w = round(2.0 * np.pi / width * np.exp(rng.uniform(np.log(20.0), np.log(100.0))), 2)
    phase = round(rng.uniform(0.0, 6.0), 1) if rng.random() < 0.5 else 0.0
    c, d, column = _value(rng), _value(rng), int(rng.integers(0, 4))
    return Drawn(
        lambda X: c * np.sin(w * u(X) + phase) * (X[:, column] if column < 2 else 1.0) + d,
        low,
        high,
    )


def offset(rng: np.random.Generator) -> Drawn:
    """A law of a column minus a large number."""
    inner = [product, wave, power, ridge, polynomial][int(rng.integers(5))](rng)
    k = len(inner.low)
    at = np.zeros(k)
    at[int(rng.integers(k))] = float(rng.choice([1.7e9, 2e3, 4.5e5, -3e6]))
    return Drawn(lambda X: inner.law(X - at), inner.low, inner.high, at)


def nested(rng: np.random.Generator) -> Drawn:
    """Factored forms with real exponents: shifted powers, Hill curves, bumps, exponents."""
    low, high = _ranges(rng, 2, True)
    p, q = np.round(rng.choice([-1, 1], 2) * rng.uniform(0.4, 3.2, 2), 1)
    c, d = np.round((high - low) * rng.uniform(0.1, 1.0, 2), 1) + 0.1
    m, s = np.round(rng.uniform(low, high), 1), np.round((high - low) * rng.uniform(0.2, 0.6, 2), 2)
    scale, offset = _value(rng), (_value(rng) if rng.random() < 0.4 else 0.0)
    shapes: list[Law] = [
        lambda X: (X[:, 0] + c) ** p * X[:, 1] ** q,
        lambda X: (X[:, 0] + c) ** 3 / X[:, 1],
        lambda X: (1.0 + c * X[:, 0]) ** p / (d + X[:, 0]) ** abs(q),
        lambda X: (1.0 + c * X[:, 0]) ** p / (d + X[:, 1]) ** abs(q),
        lambda X: X[:, 0] ** abs(p) / (c ** abs(p) + X[:, 0] ** abs(p)),
        lambda X: X[:, 1] * X[:, 0] / (c + X[:, 0]),
        lambda X: np.exp(-((X[:, 0] - m[0]) ** 2) / (2.0 * s[0] ** 2)),
        lambda X: np.exp(-(((X - m) / s) ** 2).sum(axis=1)),
        lambda X: X[:, 0] ** (p / 2.0 * X[:, 1] + q),
        lambda X: np.log(X[:, 0] + c) * X[:, 1] ** q,
        lambda X: X[:, 1] / (1.0 + np.exp(-(X[:, 0] - m[0]) / (0.5 * s[0]))),
    ]
    shape = shapes[int(rng.integers(len(shapes)))]
    return Drawn(lambda X: scale * shape(X) + offset, low, high)


def grouped(rng: np.random.Generator) -> Drawn:
    """A monomial times a function of another monomial, in three to five columns."""
    k = int(rng.integers(3, 6))
    low, high = _ranges(rng, k, True)
    n = int(rng.integers(2, k + 1))
    inside = np.zeros(k)
    inside[:n] = rng.choice([-2, -1, -1, 1, 1, 2, 0.5], n)
    outside = np.where(np.arange(k) < n, 0.0, rng.choice([-2, -1, 1, 2, 0.5, -0.5], k))
    if rng.random() < 0.5:
        outside[0] = rng.choice([-1, 1, 2])
    u = lambda X: np.prod(X**inside, axis=1)  # noqa: E731
    probe = u(rng.uniform(low, high, (2000, k)))
    unit = float(np.quantile(probe, 0.8))
    a, b = _value(rng), round(rng.uniform(0.3, 2.0), 1)
    w, r = round(rng.uniform(2.0, 6.0) / unit, 3), round(rng.uniform(0.5, 2.0) / unit, 3)
    shapes: list[Law] = [
        lambda u: np.sin(w * u), lambda u: np.exp(-r * u), lambda u: np.sqrt(1.0 + r * u),
        lambda u: np.log(1.0 + r * u), lambda u: 1.0 / (1.0 + r * u),
        lambda u: 1.0 / (np.exp(r * u) - 1.0),
        lambda u: np.tanh(r * u), lambda u: 1.0 - np.exp(-r * u), lambda u: np.cos(w * u) + b,
    ]  # fmt: skip
    shape = shapes[int(rng.integers(len(shapes)))]
    return Drawn(lambda X: a * np.prod(X**outside, axis=1) * shape(u(X)), low, high)


KINDS = {
    "polynomial": polynomial,
    "ratio": ratio,
    "power": power,
    "wave": wave,
    "ridge": ridge,
    "product": product,
    "oscillation": oscillation,
    "offset": offset,
    "nested": nested,
    "grouped": grouped,
}


def searched(
    drawn: Drawn,
    rng: np.random.Generator,
    n: int = 300,
    noise: float = 0.0,
    outliers: float = 0.0,
    **kwargs: object,
) -> Archive:
    """An archive after a family search on rows of the law."""
    X = drawn.rows(n, rng)
    y = drawn.law(X)
    spread = float(np.std(y))
    y = y + noise * spread * rng.normal(size=n)
    far = rng.random(n) < outliers
    y = y + np.where(far, rng.choice([-1.0, 1.0], n) * rng.uniform(5.0, 15.0, n) * spread, 0.0)
    archive = Archive(X, y, deadline=Deadline(60.0))
    search = FamilySearch(archive, list(range(X.shape[1])), rng=np.random.default_rng(0), **kwargs)
    search.run(archive.deadline)
    return archive


def answer(archive: Archive) -> Candidate:
    """The candidate of least description length."""
    return min(
        archive.candidates,
        key=lambda c: description_length(c.tree, c.loss, archive.variance, archive.n_rows),
    )


def holds(archive: Archive, drawn: Drawn, rng: np.random.Generator, limit: float = 1e-6) -> bool:
    """Whether the answer is the law on ranges half as wide again."""
    return _is_law(answer(archive).tree, drawn, rng, limit)


def has_the_terms(
    archive: Archive, drawn: Drawn, rng: np.random.Generator, n: int = 300, first: int = 1
) -> bool:
    """Whether an answer is the law once its constants are fitted to rows without noise.

    ``first``: how many candidates, by description length, are looked at.
    """
    X = drawn.rows(n, rng)
    y = drawn.law(X)
    ranked = sorted(
        archive.candidates,
        key=lambda c: description_length(c.tree, c.loss, archive.variance, archive.n_rows),
    )
    for candidate in ranked[:first]:
        clean = Archive(X, y, deadline=Deadline(60.0))
        fitted = clean.refine([candidate.inner], "family", max_steps=100)[0]
        found = [] if fitted is None else [fitted.tree]
        # whole exponents of columns of both signs have no derivative
        found.append(
            fit_constants(candidate.tree, X, y, held=_whole_exponents(candidate.tree)).tree
        )
        if any(_is_law(tree, drawn, rng, 1e-5) for tree in found):
            return True
    return False


def _whole_exponents(tree: Tree) -> list[int]:
    """Positions of the constants that are whole exponents."""
    out = []
    for i, symbol in enumerate(tree.symbols):
        if symbol == BY_NAME["pow"].code:
            at = tree.children(i)[1]
            place = tree.symbols[:at].count(CONSTANT)
            if tree.symbols[at] == CONSTANT and float(tree.constants[place]).is_integer():
                out.append(place)
    return out


def _is_law(tree: Tree, drawn: Drawn, rng: np.random.Generator, limit: float) -> bool:
    X = drawn.rows(500, rng, wider=0.5)
    y = drawn.law(X)
    with np.errstate(all="ignore"):
        error = np.linalg.norm(evaluate(tree, X) - y) / np.linalg.norm(y - y.mean())
    return bool(error < limit)

"""Short forms of a polynomial: common factors, powers of sums, linear factors, Horner's scheme."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from equate_srbench.expr.algebra.expansion import (
    Polynomial,
    collapsed,
    content,
    divided,
    over,
)
from equate_srbench.expr.algebra.nodes import (
    Form,
    Node,
    UnsafeRewriteError,
    Weighted,
    as_form,
    is_sum,
    product,
    tidy,
    total,
)
from equate_srbench.expr.algebra.terms import add, function, multiply
from equate_srbench.expr.algebra.writing import cost

_LONGEST = 16  # terms for which factors are looked for
_SEVERAL = 8  # terms up to which more than one common factor is tried
_TOLERANCE = 1e-12
_BUDGET = 30  # polynomials per tree for which factors are looked for
_NICE = 8  # characters of a root that counts as one that somebody wrote


class Factoring:
    """Looks for the shortest form of polynomials, and remembers what it found.

    Parameters
    ----------
    price : callable
        What is to be least: ``writing.price`` or ``writing.cost``.
    """

    def __init__(self, price: Callable[[Node], float]) -> None:
        self.price = price
        self._done: dict[tuple[bool, tuple[tuple[Weighted, float], ...]], Node] = {}
        self.budget = _BUDGET

    def shortest(self, polynomial: Polynomial, *, is_factor: bool = False) -> Node:
        """A node of least price among the forms tried; a plain sum where none is shorter.

        As a factor, a product has one node less: its own.
        """
        key = is_factor, tuple(sorted(polynomial.items()))
        done = self._done.get(key)
        if done is None:
            done = self._done[key] = self._shortest(polynomial, is_factor)
        return done

    def _shortest(self, polynomial: Polynomial, is_factor: bool) -> Node:
        best = collapsed(polynomial)
        if not 2 <= len(polynomial) <= _LONGEST or not is_sum(best) or not self.budget:
            return best
        self.budget -= 1
        least = self.price(best)
        for form in self._forms(polynomial):
            price = self.price(form)
            if is_factor and isinstance(form, tuple) and form[0] == "*":
                price -= 1
            if price < least:
                best, least = form, price
        return best

    def _forms(self, polynomial: Polynomial) -> Iterator[Node]:
        shared = content(polynomial)
        if shared:
            rest = over(polynomial, shared)
            yield multiply(product(1.0, shared), self.shortest(rest, is_factor=True))
        for shorter in _binomials(polynomial):
            yield self.shortest(shorter)
        for root, quotient in _linear_factors(polynomial):
            yield multiply(collapsed(root), self.shortest(quotient, is_factor=True))
        if len(polynomial) > 2:
            yield from self._split(polynomial)
            yield from self._grouped(polynomial)

    def _split(self, polynomial: Polynomial) -> Iterator[Node]:
        """``A x + B`` with ``B`` a multiple of ``A`` as ``A (x + B/A)``, where ``x`` is linear."""
        bases = {base for monomial in polynomial for base, _ in monomial}
        for base in sorted(bases):
            inside = {m: c for m, c in polynomial.items() if any(b == base for b, _ in m)}
            if not 2 <= len(inside) < len(polynomial):
                continue
            if any(b == base and e != 1.0 for m in inside for b, e in m):
                continue
            rest = {m: c for m, c in polynomial.items() if m not in inside}
            factor = over(inside, ((base, 1.0),))
            quotient = _multiple(rest, factor)
            if quotient is not None:
                outer = self.shortest(quotient)
                yield multiply(
                    self.shortest(factor, is_factor=True), add((base, 1.0), (outer, 1.0))
                )
                return

    def _grouped(self, polynomial: Polynomial) -> Iterator[Node]:
        """A factor of some terms taken out of them; the rest may contain what it leaves."""
        for factor in _common_factors(polynomial)[: 2 if len(polynomial) <= _SEVERAL else 1]:
            inside: Polynomial = {}
            rest: Polynomial = {}
            for monomial, c in polynomial.items():
                held = any(b == factor[0] and e * factor[1] > 0.0 for b, e in monomial)
                (inside if held else rest)[monomial] = c
            inside = over(inside, (factor,))
            inner = self.shortest(inside, is_factor=True)
            outer = product(1.0, (factor,))
            if rest:
                quotient = _multiple(rest, inside)
                if quotient is not None:
                    yield multiply(inner, add((outer, 1.0), (self.shortest(quotient), 1.0)))
            yield add((multiply(outer, inner), 1.0), (self.shortest(rest), 1.0))


def _multiple(rest: Polynomial, inside: Polynomial) -> Polynomial | None:
    if len(rest) == len(inside):
        ratios = [rest.get(m, 0.0) / c for m, c in inside.items()]
        first = ratios[0]
        alike = all(abs(r - first) <= _TOLERANCE * abs(r) for r in ratios)
        if alike and 1e-200 < abs(first) < 1e200:
            return {(): tidy(first)}
    try:
        return divided(rest, inside)
    except UnsafeRewriteError:
        return None


def _common_factors(polynomial: Polynomial) -> list[tuple[Form, float]]:
    """Factors of several terms, those that save most first."""
    found: dict[tuple[Form, bool], list[float]] = {}
    for monomial in polynomial:
        for base, e in monomial:
            found.setdefault((base, e > 0.0), []).append(e)
    ranked = []
    for (base, _), exponents in found.items():
        if len(exponents) > 1:
            e = min(exponents, key=abs)
            saved = (len(exponents) - 1) * (cost(base) + 1 + 2 * (e != 1.0))
            ranked.append((-saved, base, e))
    return [(base, e) for _, base, e in sorted(ranked)]


# -- powers of sums -----------------------------------------------------------------------------


def _binomials(polynomial: Polynomial) -> Iterator[Polynomial]:
    """``c (u + r v)**n`` in place of its ``n + 1`` terms."""
    highest = max((abs(e) for m in polynomial for _, e in m), default=0.0)
    for n in range(2, 2 + min(3, len(polynomial) - 2, math.ceil(highest))):
        roots = [(_root(m, n), m) for m in polynomial]
        whole = [(r, m) for r, m in roots if r is not None]
        if len(whole) < 2 or len(whole) == len(polynomial) == 2:
            continue
        for i, (u, first) in enumerate(whole):
            for v, last in whole[i + 1 :]:
                found = _binomial(polynomial, n, (u, first), (v, last))
                if found is not None:
                    yield found


def _root(monomial: Weighted, n: int) -> Weighted | None:
    """The ``n``-th root of a monomial; where it is not real, neither is the middle of a power."""
    out: list[tuple[Form, float]] = []
    for base, e in monomial:
        if base[0] == "f" and base[1] == "exp" and e == 1.0:
            if n > 2:
                return None
            out.append((as_form(function("exp", multiply(0.5, base[2]))), 1.0))
        elif (2.0 * e / n).is_integer():
            out.append((base, e / n))
        else:
            return None
    return tuple(sorted(out))


def _between(u: Weighted, v: Weighted, i: int, k: int) -> Weighted:
    powers = {base: i * e for base, e in u}
    for base, e in v:
        powers[base] = powers.get(base, 0.0) + k * e
    return tuple(sorted(powers.items()))


def _binomial(
    polynomial: Polynomial,
    n: int,
    first: tuple[Weighted, Weighted],
    last: tuple[Weighted, Weighted],
) -> Polynomial | None:
    if not first[0]:  # the constant stands behind
        first, last = last, first
    u, v = first[0], last[0]
    left = dict(polynomial)
    c = left.pop(first[1])
    r: float | None = None
    for k in range(1, n + 1):
        monomial = last[1] if k == n else _between(u, v, n - k, k)
        d = left.pop(monomial, None)
        if d is None:
            return None
        if r is None:
            r = tidy(d / (n * c))
            if not 1e-30 < abs(r) < 1e30:
                return None
        wanted = c * math.comb(n, k) * r**k
        if abs(d - wanted) <= _TOLERANCE * abs(wanted):
            continue
        if k < n or v or n == 2 or max(len(repr(r)), len(repr(tidy(d - wanted)))) > _NICE - 2:
            return None
        left[()] = total(d, -wanted)  # (x + r)**n and something
    assert r is not None
    inner = add((product(1.0, u), 1.0), (product(1.0, v), r))
    part = multiply(c, product(1.0, ((inner, float(n)),)) if is_sum(inner) else 1.0)
    if not is_sum(inner) or part == 0.0 or isinstance(part, float):
        return None
    primitive = multiply(*[inner] * n)
    coefficient, rest = _split(multiply(c, primitive))
    if rest in left:
        return None
    left[rest] = coefficient
    return left


def _split(node: Node) -> tuple[float, Weighted]:
    assert isinstance(node, tuple)
    assert node[0] == "*"
    return node[1], node[2]


# -- linear factors -----------------------------------------------------------------------------


def _linear_factors(polynomial: Polynomial) -> Iterator[tuple[Polynomial, Polynomial]]:
    """A linear factor of a polynomial in one part, if its root has few digits."""
    bases = {base for monomial in polynomial for base, _ in monomial}
    if len(bases) != 1 or len(polynomial) < 3:
        return
    (u,) = bases
    exponents = [monomial[0][1] if monomial else 0.0 for monomial in polynomial]
    if not all(e.is_integer() and 0.0 <= e <= 6.0 for e in exponents):
        return
    degree = int(max(exponents))
    row = [0.0] * (degree + 1)
    for e, c in zip(exponents, polynomial.values(), strict=True):
        row[degree - int(e)] = c
    for root in _real_roots(row):
        near = float(f"{root:.9g}")
        if len(repr(near)) <= _NICE and near:
            linear: Polynomial = {((u, 1.0),): 1.0, (): -near}
            quotient = divided(polynomial, linear)
            if quotient is not None:
                yield linear, quotient
                return


def _real_roots(row: list[float]) -> list[float]:
    if len(row) == 3:
        a, b, c = row
        inside = b * b - 4.0 * a * c
        if inside < 0.0 or not math.isfinite(inside):
            return []
        root = math.sqrt(inside)
        return sorted([(-b + root) / (2.0 * a), (-b - root) / (2.0 * a)])
    largest = max(map(abs, row))
    if largest > 1e100 or abs(row[0]) < 1e-9 * largest:
        return []
    roots = np.roots(row)
    return sorted(float(z.real) for z in roots if abs(z.imag) <= 1e-7 * abs(z))

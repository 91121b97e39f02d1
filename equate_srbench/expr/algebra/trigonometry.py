"""Identities of sine and cosine, on polynomials in them (see ``expansion``)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from equate_srbench.expr.algebra.expansion import LONGEST, Polynomial, expanded, merged
from equate_srbench.expr.algebra.nodes import (
    Form,
    Node,
    Weighted,
    as_form,
    factors_of,
    is_sum,
    product,
    scaled,
    split_coefficient,
    tidy,
    total,
)
from equate_srbench.expr.algebra.terms import add, function, multiply, power

_TOLERANCE = 1e-13


def is_circular(polynomial: Polynomial) -> bool:
    """Whether a sine, a cosine or a tangent is among the factors of a polynomial."""
    return any(b[0] == "f" and b[1] in ("sin", "cos", "tan") for m in polynomial for b, _ in m)


def identities(polynomial: Polynomial) -> Iterator[Polynomial]:
    """Equal polynomials by one identity each; which are shorter is for the caller to find out."""
    yield from _eliminated(polynomial)
    yield from _squares(polynomial)
    yield from _double_angles(polynomial)
    yield from _sums_of_angles(polynomial)
    yield from _phases(polynomial)


def _calls(monomial: Weighted, name: str) -> list[tuple[Form, float]]:
    """Arguments and exponents of the factors that are function ``name``."""
    return [(b[2], e) for b, e in monomial if b[0] == "f" and b[1] == name]


def _without(monomial: Weighted, base: Form, e: float) -> Weighted:
    powers = dict(monomial)
    left = powers.pop(base) - e
    if left:
        powers[base] = left
    return tuple(sorted(powers.items()))


def _plus(polynomial: Polynomial, *parts: tuple[Weighted, Weighted, float]) -> Polynomial:
    """The polynomial plus ``c`` times the product of two monomials, for each part."""
    found = dict(polynomial)
    for rest, other, c in parts:
        if c == 0.0:
            continue
        for monomial, d in merged(rest, other).items():
            value = total(found.pop(monomial, 0.0), scaled(c, d))
            if value:
                found[monomial] = value
    return found


def _single(node: Node) -> tuple[float, Weighted]:
    c, rest = split_coefficient(node)
    return c, factors_of(rest)


def _eliminated(polynomial: Polynomial) -> Iterator[Polynomial]:
    """All even powers of sine by cosine, and the other way round; double angles halved before."""
    plain = without_tangents(polynomial)
    halved = _halved(plain)
    for start in (plain,) if halved is None else (plain, without_tangents(halved)):
        for name, other in (("sin", "cos"), ("cos", "sin")):
            squares = [e for m in start for _, e in _calls(m, name) if e >= 2.0 and e.is_integer()]
            found = _substituted(start, name, other) if squares and len(start) > 1 else None
            if found is not None:
                yield found


def without_tangents(polynomial: Polynomial) -> Polynomial:
    """``tan(u)`` as ``sin(u)/cos(u)``."""
    if not any(_calls(monomial, "tan") for monomial in polynomial):
        return polynomial
    found: Polynomial = {}
    for monomial, c in polynomial.items():
        powers = dict(monomial)
        for u, e in _calls(monomial, "tan"):
            del powers["f", "tan", u]
            for name, d in (("sin", e), ("cos", -e)):
                powers["f", name, u] = powers.get(("f", name, u), 0.0) + d
        kept = tuple(sorted((base, e) for base, e in powers.items() if e))
        found[kept] = total(found.get(kept, 0.0), c)
    return {monomial: c for monomial, c in found.items() if c}


def _substituted(polynomial: Polynomial, name: str, other: str) -> Polynomial | None:
    """Even powers of one function by ``1 -`` the square of the other; None if it is too long."""
    found: Polynomial = {}
    for monomial, c in polynomial.items():
        whole = product(1.0, monomial)
        for u, e in _calls(monomial, name):
            if e >= 2.0 and e.is_integer():
                k = 2.0 * (e // 2.0)
                rest = add((1.0, 1.0), (power(("f", other, u), 2.0), -1.0))
                whole = multiply(whole, power(("f", name, u), -k), power(rest, 0.5 * k))
        if not _gathered(found, whole, c):
            return None
    return found


def _gathered(found: Polynomial, node: Node, c: float) -> bool:
    """Add ``c * node``, multiplied out, to ``found``; whether that was short enough."""
    part = expanded(node)
    if part is None or len(found) + len(part) > LONGEST:
        return False
    for m, d in part.items():
        value = total(found.pop(m, 0.0), scaled(c, d))
        if value:
            found[m] = value
    return True


def _halved(polynomial: Polynomial) -> Polynomial | None:
    """``sin(2 u)`` and ``cos(2 u)`` by functions of ``u``, where such are there too."""
    angles = {u for m in polynomial for name in ("sin", "cos") for u, _ in _calls(m, name)}
    if len(angles) < 2:
        return None
    halves = {w: u for u in angles for w in angles if w != u and multiply(2.0, u) == w}
    if not halves:
        return None
    found: Polynomial = {}
    for monomial, c in polynomial.items():
        whole = product(1.0, monomial)
        for name in ("sin", "cos"):
            for w, e in _calls(monomial, name):
                if w not in halves or not e.is_integer() or not 1.0 <= e <= 4.0:
                    continue
                sine: Form = ("f", "sin", halves[w])
                double = (
                    multiply(2.0, sine, ("f", "cos", halves[w]))
                    if name == "sin"
                    else add((1.0, 1.0), (power(sine, 2.0), -2.0))
                )
                whole = multiply(whole, power(("f", name, w), -e), power(double, e))
        if not _gathered(found, whole, c):
            return None
    return found


def _squares(polynomial: Polynomial) -> Iterator[Polynomial]:
    """``a sin(u)**2 + b cos(u)**2 + r``, each times the same, with one of the three gone."""
    seen: set[tuple[Form, Weighted]] = set()
    for monomial in polynomial:
        for name in ("sin", "cos"):
            for u, e in _calls(monomial, name):
                if e < 2.0 or not e.is_integer():
                    continue
                rest = _without(monomial, ("f", name, u), 2.0)
                if (u, rest) not in seen:
                    seen.add((u, rest))
                    yield from _one_square(polynomial, u, rest)


def _one_square(polynomial: Polynomial, u: Form, rest: Weighted) -> Iterator[Polynomial]:
    sine: Weighted = ((("f", "sin", u), 2.0),)
    cosine: Weighted = ((("f", "cos", u), 2.0),)
    left = dict(polynomial)
    a, b, r = (left.pop(_times(rest, part), 0.0) for part in (sine, cosine, ()))
    if (a != 0.0) + (b != 0.0) + (r != 0.0) > 1:
        yield _plus(left, (rest, sine, total(a, -b)), (rest, (), total(r, b)))
        yield _plus(left, (rest, cosine, total(b, -a)), (rest, (), total(r, a)))
        c, double = _single(function("cos", as_form(multiply(2.0, u))))
        middle = tidy(0.5 * a + 0.5 * b)
        yield _plus(left, (rest, double, c * tidy(0.5 * b - 0.5 * a)), (rest, (), total(r, middle)))


def _times(a: Weighted, b: Weighted) -> Weighted:
    found = merged(a, b)
    return next(iter(found)) if len(found) == 1 else (*a, *b)


def _double_angles(polynomial: Polynomial) -> Iterator[Polynomial]:
    """``sin(u) cos(u)`` as ``sin(2 u)/2``, wherever they meet."""
    found: Polynomial = {}
    changed = False
    for monomial, c in polynomial.items():
        cosines = dict(_calls(monomial, "cos"))
        shared = [
            (u, min(e, cosines[u]))
            for u, e in _calls(monomial, "sin")
            if u in cosines and e == cosines[u] and e.is_integer()
        ]
        doubled: Weighted = ()
        rest, factor = monomial, c
        for u, k in shared:
            rest = _without(_without(rest, ("f", "sin", u), k), ("f", "cos", u), k)
            d, double = _single(function("sin", multiply(2.0, u)))
            factor = scaled(factor, (0.5 * d) ** k)
            doubled = _times(doubled, tuple((base, e * k) for base, e in double))
            changed = True
        found = _plus(found, (rest, doubled, factor))
    if changed:
        yield found


def _sums_of_angles(polynomial: Polynomial) -> Iterator[Polynomial]:
    """``sin u cos v + cos u sin v`` as ``sin(u + v)``, and its three relatives."""
    for monomial, c in polynomial.items():
        for kind in ("sin", "cos"):
            first = _calls(monomial, "sin" if kind == "sin" else "cos")
            for u, e in first:
                for v, d in _calls(monomial, "cos"):
                    if e != 1.0 or d != 1.0 or (kind == "cos" and not (u,) < (v,)) or u == v:
                        continue
                    rest = _without(_without(monomial, ("f", kind, u), 1.0), ("f", "cos", v), 1.0)
                    other = "cos" if kind == "sin" else "sin"
                    pair = _times(rest, ((("f", other, u), 1.0), (("f", "sin", v), 1.0)))
                    pair = tuple(sorted(pair))
                    against = polynomial.get(pair)
                    if against is None or abs(abs(against) - abs(c)) > _TOLERANCE * abs(c):
                        continue
                    same = against * c > 0.0
                    sign = (1.0 if same else -1.0) if kind == "sin" else (-1.0 if same else 1.0)
                    angle = add((u, 1.0), (v, sign))
                    left = {m: d for m, d in polynomial.items() if m not in (monomial, pair)}
                    whole = function(kind, angle)
                    factor, call = _single(whole)
                    yield _plus(left, (rest, call, c * factor))


def _phases(polynomial: Polynomial) -> Iterator[Polynomial]:
    """Waves of one argument, but for constants in it, as one sine with a phase."""
    groups: dict[tuple[Form, Weighted], list[tuple[Weighted, float, complex]]] = {}
    for monomial, c in polynomial.items():
        for name in ("sin", "cos"):
            for u, e in _calls(monomial, name):
                if e != 1.0:
                    continue
                shift = u[1] if is_sum(u) else 0.0
                base = add((u, 1.0), (-shift, 1.0)) if shift else u
                rest = _without(monomial, ("f", name, u), 1.0)
                turned = shift + (0.5 * math.pi if name == "cos" else 0.0)
                wave = c * complex(math.cos(turned), math.sin(turned))
                groups.setdefault((as_form(base), rest), []).append((monomial, abs(shift), wave))
    for (u, rest), waves in groups.items():
        if len(waves) < 2 or any(shift > 100.0 for _, shift, _ in waves):
            continue
        wave = sum(z for _, _, z in waves)
        left = {m: c for m, c in polynomial.items() if m not in [w[0] for w in waves]}
        size = abs(wave)
        if size <= 1e-14 * max(abs(z) for _, _, z in waves):
            yield left
            continue
        phase = tidy(math.atan2(wave.imag, wave.real))
        call = function("sin", add((u, 1.0), (phase, 1.0)))
        c, factors = _single(call)
        yield _plus(left, (rest, factors, tidy(c * size)))

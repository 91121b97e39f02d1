"""Polynomials over arbitrary parts: expansion, exact division, common denominators.

A polynomial is a dict from monomials (sorted factors with exponents, as in a product of ``terms``;
``()`` for the constant) to coefficients. Its indeterminates are columns, functions, roots and
powers of negative exponent: all that sums and products are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from equate_srbench.expr.algebra.nodes import (
    Form,
    Node,
    UnsafeRewriteError,
    Weighted,
    factors_of,
    is_centred,
    product,
    scaled,
    split_coefficient,
    terms_of,
    tidy,
    total,
)
from equate_srbench.expr.algebra.terms import add, multiply, power

Polynomial = dict[Weighted, float]

LONGEST = 24  # terms of an expansion
_LARGEST_POWER = 6.0
_VANISHING = 1e-13  # share of the largest coefficient below which a remainder is rounding
_MOST_STEPS = 40
_LIKE_COLUMNS = ("v", "+")


def expanded(node: Node) -> Polynomial | None:
    """``node`` with all products and whole powers of sums multiplied out; None if it is too long.

    Raises
    ------
    UnsafeRewriteError
        If a coefficient leaves the range of doubles.
    """
    if isinstance(node, float):
        return {(): node} if node else {}
    if node[0] == "+":
        found: Polynomial = {(): node[1]} if node[1] else {}
        for term, c in node[2]:
            part: Polynomial | None = {((term, 1.0),): 1.0}
            if term[0] == "*":
                part = expanded(term)
            if part is None or len(part) + len(found) > LONGEST:
                return None
            _accumulate(found, part, c)
        return found
    if node[0] != "*":
        return {((node, 1.0),): 1.0}
    held = tuple((base, e) for base, e in node[2] if not _opens(base, e))
    result: Polynomial | None = {held: node[1]}
    for base, e in node[2]:
        if not _opens(base, e):
            continue
        part = expanded(base)
        for _ in range(int(e)):
            result = None if result is None or part is None else times(result, part)
    return result


def unopened(node: Form) -> Polynomial:
    """The polynomial of a node whose factors stay as they are."""
    constant, terms = terms_of(node)
    found: Polynomial = {(): constant} if constant else {}
    for term, c in terms:
        _accumulate(found, {factors_of(term): 1.0}, c)
    return found


def with_sums_collected(polynomial: Polynomial) -> Iterator[Polynomial]:
    """``(a + b)**2 + 2 a + 2 b`` as a polynomial in ``a + b``, for each sum that is a factor."""
    sums = {base for m in polynomial for base, e in m if base[0] == "+"}
    for base in sorted(sums):
        constant, terms = terms_of(base)
        left = dict(polynomial)
        parts = [left.pop(factors_of(term), 0.0) / d for term, d in terms]
        k = parts[0]
        if not 1e-100 < abs(k) < 1e100 or any(abs(p - k) > _VANISHING * abs(k) for p in parts):
            continue
        _accumulate(left, {(): constant} if constant else {}, -k)
        _accumulate(left, {((base, 1.0),): 1.0}, k)
        yield left


def _opens(base: Form, e: float) -> bool:
    return base[0] == "+" and 1.0 <= e <= _LARGEST_POWER and e.is_integer() and not is_centred(base)


def _accumulate(into: Polynomial, part: Polynomial, c: float) -> None:
    for monomial, d in part.items():
        value = scaled(c, d)
        if monomial in into:
            value = total(into[monomial], value)
            if value == 0.0:
                del into[monomial]
                continue
        into[monomial] = value


def times(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Product of two polynomials; None if it is too long."""
    if len(a) * len(b) > 4 * LONGEST:
        return None
    found: Polynomial = {}
    for m, c in a.items():
        for k, d in b.items():
            _accumulate(found, merged(m, k), scaled(c, d))
    return found if len(found) <= LONGEST else None


def merged(a: Weighted, b: Weighted) -> Polynomial:
    """Product of two monomials: one term, unless factors that meet make a sum."""
    if not a or not b:
        return {a or b: 1.0}
    powers = dict(a)
    for base, e in b:
        if base not in powers:
            if base[0] == "f" and any(other[0] == "f" for other in powers):
                break  # exponentials merge, and sine over cosine
            powers[base] = e
        elif base[0] in _LIKE_COLUMNS:
            both = powers[base] + e
            if base[0] == "+" and both.is_integer() and both >= 0.0:
                break
            if abs(both) > 1e-12:
                powers[base] = tidy(both)
            else:
                del powers[base]
        else:
            break
    else:
        return {tuple(sorted(powers.items())): 1.0}
    node = multiply(product(1.0, a), product(1.0, b))
    c, rest = split_coefficient(node)
    if isinstance(rest, float):
        return {(): c}
    if rest[0] == "+" or any(_opens(base, e) for base, e in factors_of(rest)):
        inner = expanded(rest)
        if inner is None:
            raise UnsafeRewriteError
        return {m: scaled(c, d) for m, d in inner.items()}
    return {factors_of(rest): c}


def collapsed(polynomial: Polynomial) -> Node:
    """The polynomial as a plain sum."""
    return add(*((product(1.0, monomial), c) for monomial, c in polynomial.items()))


def content(monomials: Iterable[Weighted]) -> Weighted:
    """The largest monomial that divides all ``monomials``, negative powers included."""
    shared: dict[Form, float] | None = None
    for monomial in monomials:
        if not monomial:
            return ()
        powers = dict(monomial)
        if shared is None:
            shared = powers
            continue
        for base in list(shared):
            e = powers.get(base, 0.0)
            # of c*sqrt(b) + b*c**2 only c: the rest would grow
            if e * shared[base] <= 0.0 or not (e - shared[base]).is_integer():
                del shared[base]
            elif abs(e) < abs(shared[base]):
                shared[base] = e
        if not shared:
            return ()
    return tuple(sorted((shared or {}).items()))


def over(polynomial: Polynomial, monomial: Weighted) -> Polynomial:
    """The polynomial divided by a monomial that its terms contain."""
    inverse = tuple((base, -e) for base, e in monomial)
    found: Polynomial = {}
    for m, c in polynomial.items():
        powers = dict(m)
        for base, e in inverse:
            left = powers.get(base, 0.0) + e
            if abs(left) > 1e-12:
                powers[base] = tidy(left)
            else:
                powers.pop(base, None)
        key = tuple(sorted(powers.items()))
        found[key] = found.get(key, 0.0) + c
    return found


def divided(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Quotient of two polynomials if the division leaves nothing but rounding, else None."""
    if not b or len(b) < 2 or len(a) < 2:
        return None
    bases = sorted({base for monomial in b for base, _ in monomial})
    others = sorted({base for m in a for base, _ in m} - set(bases))
    places = {base: i for i, base in enumerate([*bases, *others])}

    def key(monomial: Weighted) -> tuple[float, ...]:
        row = [0.0] * len(places)
        for base, e in monomial:
            row[places[base]] = e
        return tuple(row)

    if any(e < 0.0 or not e.is_integer() for m in b for _, e in m):
        return None
    lead = max(b, key=key)
    low = dict(lead)
    left = dict(a)
    quotient: Polynomial = {}
    largest = max(map(abs, a.values()))
    for _ in range(_MOST_STEPS):
        if not left:
            return quotient
        top = max(left, key=key)
        powers = dict(top)
        for base, e in low.items():
            rest = powers.get(base, 0.0) - e
            if rest < 0.0:
                return None
            if rest:
                powers[base] = rest
            else:
                powers.pop(base, None)
        factor = tuple(sorted(powers.items()))
        c = tidy(left[top] / b[lead])
        quotient[factor] = quotient.get(factor, 0.0) + c
        for monomial, d in b.items():
            for m, one in merged(monomial, factor).items():
                if any(base not in places for base, _ in m):
                    return None
                value = left.get(m, 0.0) - c * d * one
                if abs(value) <= _VANISHING * largest or m == top:
                    left.pop(m, None)
                else:
                    left[m] = value
        if len(quotient) > LONGEST:
            return None
    return None


def common_divisor(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """A common divisor of two polynomials in one and the same part (Euclid), or None."""
    bases = {base for p in (a, b) for m in p for base, _ in m}
    if len(bases) != 1:
        return None
    (u,) = bases
    rows = []
    for p in (a, b):
        row = [0.0] * (1 + int(max((m[0][1] if m else 0.0) for m in p)))
        for m, c in p.items():
            e = m[0][1] if m else 0.0
            if e < 0.0 or not e.is_integer() or e > 2 * _LARGEST_POWER:
                return None
            row[int(e)] = c
        rows.append(row)
    first, second = sorted(rows, key=len, reverse=True)
    while len(second) > 1:
        largest = max(map(abs, first))
        rest = list(first)
        for shift in range(len(first) - len(second), -1, -1):
            factor = rest[shift + len(second) - 1] / second[-1]
            for i, c in enumerate(second):
                rest[shift + i] -= factor * c
        rest = rest[: len(second) - 1]
        while rest and abs(rest[-1]) <= 1e-9 * largest:
            rest.pop()
        if not rest:
            top = second[-1]
            return {
                (((u, float(i)),) if i else ()): tidy(c / top)
                for i, c in enumerate(second)
                if abs(c / top) > 1e-12
            }
        first, second = second, rest
    return None


def over_one_denominator(polynomial: Polynomial) -> tuple[Polynomial, Weighted] | None:
    """Numerator and denominator of a sum of fractions; None without fractions, or if too long."""
    below: dict[Form, float] = {}
    for monomial in polynomial:
        for base, e in monomial:
            if e < 0.0:
                below[base] = max(below.get(base, 0.0), -e)
    if not below:
        return None
    denominator = tuple(sorted(below.items()))
    numerator: Polynomial = {}
    for monomial, c in polynomial.items():
        powers = dict(monomial)
        whole: Node = 1.0
        for base, e in denominator:
            left = powers.pop(base, 0.0) + e
            whole = multiply(whole, power(base, left))
        node = multiply(product(c, tuple(sorted(powers.items()))), whole)
        part = expanded(node)
        if part is None or len(part) + len(numerator) > LONGEST:
            return None
        _accumulate(numerator, part, 1.0)
    return numerator, denominator

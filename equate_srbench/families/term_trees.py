"""Trees of monomials, of weighted sums, and of the simple numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.tree import Tree

Array = NDArray[np.float64]

#: Relative distance to a number that is written instead of a coefficient.
NEAR = 1e-7
_POWERS = {0.5: ("sqrt",), 1.0: (), 2.0: ("square",), 3.0: ("cube",)}


def exponents_up_to(n_columns: int, degree: int) -> NDArray[np.int64]:
    """Exponents of all monomials, by total degree, the constant first; (n_terms, n_columns)."""
    out = [np.zeros(n_columns, dtype=np.int64)]
    for d in range(1, degree + 1):
        for chosen in combinations_with_replacement(range(n_columns), d):
            out.append(np.bincount(chosen, minlength=n_columns))
    return np.array(out)


def monomial_values(columns: Array, exponents: NDArray[np.int64]) -> Array:
    """Values of monomials; (n_rows, n_terms).

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n_columns)
    exponents : ndarray of shape (n_terms, n_columns)
        As ``exponents_up_to`` orders them: each is a column times an earlier one.
    """
    out = np.empty((len(exponents), len(columns)))
    place = {tuple(e): i for i, e in enumerate(exponents.tolist())}
    for i, e in enumerate(exponents.tolist()):
        j = next((j for j, power in enumerate(e) if power), None)
        if j is None:
            out[i] = 1.0
            continue
        e[j] -= 1
        before = place.get(tuple(e))
        if before is None:
            out[i] = np.prod(columns ** exponents[i], axis=1)
        else:
            out[i] = out[before] * columns[:, j]
    return out.T


def power_of(base: Tree, exponent: float) -> Tree:
    """``base ** exponent`` with named operators where there are any; not for exponent 0."""
    size = abs(exponent)
    out = base
    if size in _POWERS:
        for name in _POWERS[size]:
            out = Tree.apply(name, out)
    else:
        out = Tree.apply("pow", base, Tree.constant(size))
    return out if exponent > 0 else Tree.apply("inv", out)


def near_exponent(exponent: float) -> float:
    """A quarter, third or hundredth next to the exponent, 0 if it vanishes; else itself."""
    for share in (4.0, 3.0, 100.0):
        near = round(exponent * share) / share
        if abs(near - exponent) < 1e-6:
            return near
    return exponent


def product_of(factors: Sequence[Tree]) -> Tree | None:
    """The product, negative powers as divisions; None if there are no factors."""
    over = [f for f in factors if f.symbols[0] != _INV]
    under = [f.args()[0] for f in factors if f.symbols[0] == _INV]
    top, bottom = _chain("mul", over), _chain("mul", under)
    if bottom is None:
        return top
    return Tree.apply("inv", bottom) if top is None else Tree.apply("div", top, bottom)


def monomial(bases: Sequence[Tree], exponents: Sequence[float]) -> Tree | None:
    """Product of powers; None for the constant."""
    return product_of([power_of(b, e) for b, e in zip(bases, exponents, strict=True) if e != 0])


def weighted_sum(parts: Sequence[Tree | None], coefficients: Sequence[float]) -> Tree | None:
    """``c_0 p_0 + c_1 p_1 + ...``, where part None is 1.

    Returns
    -------
    Tree or None
        None for an empty sum, or where a coefficient is not a finite number other than 0.
    """
    terms: list[tuple[Tree, bool]] = []
    constants: list[tuple[Tree, bool]] = []
    for part, value in zip(parts, coefficients, strict=True):
        c = simple(float(value))
        if not math.isfinite(c) or c == 0.0:
            return None
        if part is None:
            constants.append((Tree.constant(abs(c)), c < 0.0))
        elif abs(c) == 1.0:
            terms.append((part, c < 0.0))
        else:
            terms.append((Tree.apply("mul", Tree.constant(abs(c)), part), c < 0.0))
    ordered = sorted(terms, key=lambda term: term[1]) + constants
    if not ordered:
        return None
    out, negative = ordered[0]
    if negative:
        if len(ordered) > 1 and not ordered[-1][1]:  # c - u
            out, ordered = ordered[-1][0], [*ordered[-1:], *ordered[:-1]]
        else:
            out = Tree.apply("mul", Tree.constant(-1.0), out)
    for term, minus in ordered[1:]:
        out = Tree.apply("sub" if minus else "add", out, term)
    return out


def simple(value: float) -> float:
    """A whole number, half or tenth within ``NEAR`` of ``value``; else ``value``."""
    if not 1e-3 < abs(value) < 1e4:
        return value
    for share in (1.0, 2.0, 10.0):
        near = round(value * share) / share
        if near != 0.0 and abs(near - value) <= NEAR * abs(value):
            return near
    return value


def is_simple(value: float) -> bool:
    """Whether ``simple`` knows the number."""
    return simple(value) in {round(value * share) / share for share in (1.0, 2.0, 10.0)}


def scaled_simply(coefficients: Array) -> Array:
    """Coefficients divided by the one that makes most of them simple, and the most of them 1."""
    best, most = coefficients, -1.0
    for by in coefficients:
        if by == 0.0:
            continue
        divided = coefficients / by
        score = sum(is_simple(c) + (abs(simple(c)) == 1.0) for c in divided.tolist())
        if score > most:
            best, most = divided, score
    return best


def _chain(name: str, parts: Sequence[Tree]) -> Tree | None:
    if not parts:
        return None
    out = parts[0]
    for part in parts[1:]:
        out = Tree.apply(name, out, part)
    return out


_INV = Tree.apply("inv", Tree.variable(0)).symbols[0]

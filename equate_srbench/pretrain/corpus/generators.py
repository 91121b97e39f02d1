"""Random formulas from a mixture of families, none of which contains known formulas.

Every family maps a ``random.Random`` and the columns to use to an expression in normal form
(``normal``). ``MIXTURE`` holds their weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import TypeVar

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.algebra.normal import Expression

Columns = Sequence[int]
T = TypeVar("T")

#: Probabilities of formulas over 1, 2, ... 10 columns.
N_COLUMNS = (0.13, 0.23, 0.24, 0.17, 0.10, 0.06, 0.03, 0.02, 0.01, 0.01)

_EXPONENTS = (
    (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 4.0, -4.0),
    (44, 24, 12, 9, 3, 2, 3, 1, 1, 1),
)
_FUNCTIONS = (
    ("sin", "cos", "exp", "log", "tanh", "sqrt", "square", "cube", "inv", "abs", "arctan", "tan",
     "arcsin", "arccos"),
    (18, 18, 18, 8, 5, 12, 8, 3, 7, 2, 2, 2, 2, 1),
)  # fmt: skip
_TREE_FUNCTIONS = (
    ("sqrt", "inv", "square", "abs", "log", "exp", "sin", "cos", "cube", "tanh", "tan", "arctan"),
    (4, 3, 3, 1, 1.5, 1.5, 1.5, 1.5, 1, 0.7, 0.3, 0.3),
)
_POWERS = {"sqrt": 0.5, "square": 2.0, "cube": 3.0, "inv": -1.0}


def _pick(r: Random, table: tuple[Sequence[T], Sequence[float]]) -> T:
    return r.choices(table[0], table[1])[0]


def coefficient(r: Random, plain: float = 0.6) -> float:
    """A coefficient: 1 with probability ``plain``, else a moderate number of either sign."""
    u = r.random()
    if u < plain:
        return 1.0
    if u < plain + 0.45 * (1.0 - plain):
        value = float(r.choice((2, 2, 2, 3, 4, 5, 0.5, 0.5, 1, 10)))
    elif u < plain + 0.6 * (1.0 - plain):
        value = math.pi * r.choice((0.25, 0.5, 1.0, 2.0, 4.0))
    else:
        value = float(f"{10.0 ** r.uniform(-1.3, 1.3):.3g}")
    return value if r.random() < 0.75 else -value


def function(r: Random, name: str, argument: Expression) -> Expression:
    """Apply a unary operator by name."""
    if name in _POWERS:
        return normal.power(argument, _POWERS[name])
    return normal.apply(name, argument)


def split(r: Random, columns: Columns, n: int) -> list[list[int]]:
    """Random partition of ``columns`` into ``n`` non-empty parts (1 <= n <= len)."""
    order = list(columns)
    r.shuffle(order)
    cuts = [0, *sorted(r.sample(range(1, len(order)), n - 1)), len(order)]
    return [order[a:b] for a, b in pairwise(cuts)]


# -- building blocks ----------------------------------------------------------------------------


def monomial(r: Random, columns: Columns) -> Expression:
    """A product of random powers of all ``columns``."""
    return normal.multiply(
        *(normal.power(normal.variable(j), _pick(r, _EXPONENTS)) for j in columns)
    )


def plain_product(r: Random, columns: Columns) -> Expression:
    """A product of all ``columns`` with exponents 1 and -1."""
    parts = [normal.variable(j) for j in columns]
    return normal.multiply(*(normal.power(p, -1.0) if r.random() < 0.35 else p for p in parts))


def block(r: Random, columns: Columns) -> Expression:
    """Argument of a function: a product, a ratio, a difference, or a short sum."""
    u = r.random()
    if len(columns) == 1 or u < 0.4:
        product = plain_product if r.random() < 0.75 else monomial
        out = normal.scaled(product(r, columns), coefficient(r, 0.7))
        if r.random() < 0.12:
            out = normal.add(out, normal.constant(coefficient(r, 0.4)))
        return out
    left, right = split(r, columns, 2)
    if u < 0.62:
        sign = -1.0 if r.random() < 0.65 else 1.0
        return normal.add(plain_product(r, left), normal.scaled(plain_product(r, right), sign))
    if u < 0.75:
        return squares(r, columns)
    if u < 0.88:
        difference = normal.add(plain_product(r, left), normal.constant(coefficient(r, 0.7)))
        return normal.multiply(difference, normal.power(plain_product(r, right), r.choice((1, -1))))
    return normal.multiply(block(r, left), normal.power(plain_product(r, right), r.choice((1, -1))))


def squares(r: Random, columns: Columns) -> Expression:
    """A sum or difference of squares of small products."""
    n = r.randint(2, min(3, len(columns))) if len(columns) > 1 else 1
    parts: list[Expression] = []
    for part in split(r, columns, n):
        inner = plain_product(r, part)
        if r.random() < 0.2:
            inner = normal.add(inner, normal.scaled(normal.variable(r.choice(columns)), -1.0))
        sign = -1.0 if parts and r.random() < 0.25 else 1.0
        parts.append(normal.scaled(normal.power(inner, 2.0), sign))
    if n == 1 or r.random() < 0.15:
        parts.append(normal.constant(coefficient(r, 0.5)))
    return normal.add(*parts)


def shape(r: Random, columns: Columns, depth: int = 0) -> Expression:
    """A function of a block, sometimes plus or minus a constant, sometimes nested once more."""
    out = function(r, _pick(r, _FUNCTIONS), block(r, columns))
    if r.random() < 0.3:
        one = normal.constant(1.0 if r.random() < 0.75 else abs(coefficient(r, 0.0)))
        out = normal.add(one, normal.scaled(out, coefficient(r, 0.55) * r.choice((1, -1))))
        if r.random() < 0.6:
            out = normal.power(out, r.choice((-1.0, -1.0, -1.0, -0.5, -0.5, 0.5, 2.0, -2.0)))
    elif r.random() < 0.2:
        out = normal.power(out, r.choice((2.0, 2.0, 2.0, -1.0, 0.5, 3.0)))
    if depth == 0 and r.random() < 0.12:
        out = function(r, _pick(r, _FUNCTIONS), normal.scaled(out, coefficient(r, 0.7)))
    return out


def rational_factor(r: Random, columns: Columns) -> Expression:
    """A power of ``1 +- (ratio)`` or of a short sum."""
    if r.random() < 0.5:
        inner = monomial(r, columns) if r.random() < 0.5 else plain_product(r, columns)
        inner = normal.scaled(inner, coefficient(r, 0.6) * r.choice((1, -1)))
        base = normal.add(normal.constant(coefficient(r, 0.8)), inner)
    else:
        n = min(len(columns), r.choice((2, 2, 2, 3)))
        base = normal.add(
            *(normal.scaled(monomial(r, c), coefficient(r, 0.75)) for c in split(r, columns, n))
        )
        if r.random() < 0.2 or n == 1:
            base = normal.add(base, normal.constant(coefficient(r, 0.4)))
    return normal.power(base, r.choice((-1.0, -1.0, -1.0, 1.0, 1.0, -2.0, 2.0, -0.5, 0.5)))


# -- families -----------------------------------------------------------------------------------


def product(r: Random, columns: Columns) -> Expression:
    """A monomial, sometimes with functions of one or two columns."""
    n_inside = r.choices((0, 1, 2), (0.45, 0.4, 0.15))[0]
    inside = set(r.sample(list(columns), min(n_inside, len(columns))))
    parts = [monomial(r, [j for j in columns if j not in inside])]
    for j in inside:
        argument = normal.scaled(normal.variable(j), coefficient(r, 0.7))
        parts.append(function(r, _pick(r, _FUNCTIONS), argument))
    return normal.multiply(*parts)


def sums(r: Random, columns: Columns) -> Expression:
    """Sums of a few products, which may share columns."""
    n = r.choice((2, 2, 2, 3, 3, 4))
    parts = split(r, columns, min(n, len(columns)))
    while len(parts) < n:
        parts.append(r.sample(list(columns), r.randint(1, min(2, len(columns)))))
    terms = []
    for part in parts:
        if r.random() < 0.3:
            part = list({*part, r.choice(columns)})
        term = product if r.random() < 0.35 else (monomial if r.random() < 0.5 else plain_product)
        terms.append(normal.scaled(term(r, part), coefficient(r, 0.5) * r.choice((1, 1, -1))))
    out = normal.add(*terms)
    if r.random() < 0.25:
        out = normal.multiply(
            out, normal.power(normal.variable(r.choice(columns)), r.choice((1, -1)))
        )
    return out


def rational(r: Random, columns: Columns) -> Expression:
    """Quotients of short sums times a monomial, sometimes plus another term."""
    n = r.randint(1, min(3, len(columns)))
    parts = split(r, columns, n)
    factors = [rational_factor(r, parts[0])]
    if n > 1:
        factors.append(plain_product(r, parts[1]) if r.random() < 0.6 else monomial(r, parts[1]))
    elif r.random() < 0.5:
        factors.append(monomial(r, [r.choice(columns)]))
    if r.random() < 0.3:
        factors.append(
            rational_factor(r, r.sample(list(columns), r.randint(1, min(2, len(columns)))))
        )
    out = normal.multiply(*factors)
    if n > 2 or r.random() < 0.25:
        extra = parts[2] if n > 2 else [r.choice(columns)]
        term = normal.scaled(monomial(r, extra), coefficient(r, 0.5) * r.choice((1, -1)))
        out = normal.add(out, term) if r.random() < 0.7 else normal.multiply(out, term)
    return out


def nested(r: Random, columns: Columns) -> Expression:
    """Functions of blocks, combined with products and with one another."""
    n = r.choices((1, 2, 3), (0.3, 0.5, 0.2))[0]
    parts = split(r, columns, min(n, len(columns)))
    out = shape(r, parts[0])
    if len(parts) == 1 and r.random() < 0.4:
        parts.append([r.choice(columns)])
    for part in parts[1:]:
        u = r.random()
        if u < 0.62:
            out = normal.multiply(out, monomial(r, part))
        elif u < 0.75:
            out = normal.multiply(out, shape(r, part, 1))
        elif u < 0.9:
            other = monomial(r, part) if r.random() < 0.6 else shape(r, part, 1)
            out = normal.add(out, normal.scaled(other, coefficient(r, 0.6) * r.choice((1, -1))))
        else:
            out = normal.multiply(out, normal.power(block(r, part), r.choice((1, -1))))
    return out


def random_tree(r: Random, columns: Columns) -> Expression:
    """As in E2E: a random binary tree over the columns with 0 to 3 functions inserted.

    Constants appear at some leaves and arguments only, not everywhere as in E2E.
    """
    leaves = [normal.variable(j) for j in columns]
    for _ in range(r.randint(0, 2)):
        leaves.append(normal.variable(r.choice(columns)))
    if r.random() < 0.3:
        leaves.append(normal.constant(coefficient(r, 0.1)))
    r.shuffle(leaves)
    n_functions = r.choices((0, 1, 2, 3), (0.15, 0.4, 0.3, 0.15))[0]
    while len(leaves) > 1 or n_functions > 0:
        if n_functions and (
            len(leaves) == 1 or r.random() < n_functions / (n_functions + len(leaves))
        ):
            i = r.randrange(len(leaves))
            inner = normal.scaled(leaves[i], coefficient(r, 0.7))
            if r.random() < 0.15:
                inner = normal.add(inner, normal.constant(coefficient(r, 0.4)))
            leaves[i] = function(r, _pick(r, _TREE_FUNCTIONS), inner)
            n_functions -= 1
            continue
        a = leaves.pop(r.randrange(len(leaves)))
        b = leaves.pop(r.randrange(len(leaves)))
        leaves.append(_join(r, a, b))
    return leaves[0]


def _join(r: Random, a: Expression, b: Expression) -> Expression:
    u = r.random()
    if u < 0.3:
        return normal.add(
            normal.scaled(a, coefficient(r, 0.7)), normal.scaled(b, coefficient(r, 0.7))
        )
    if u < 0.5:
        return normal.add(a, normal.scaled(b, -1.0))
    return normal.multiply(a, b) if u < 0.82 else normal.multiply(a, normal.power(b, -1.0))


#: Families and their probabilities.
MIXTURE: dict[Callable[[Random, Columns], Expression], float] = {
    product: 0.17,
    sums: 0.19,
    rational: 0.16,
    nested: 0.30,
    random_tree: 0.18,
}
_FAMILIES, _SHARES = tuple(MIXTURE), tuple(MIXTURE.values())


def draw(r: Random) -> tuple[Expression, int]:
    """Draw a formula, modulo outer scale and offset, and the number of columns of its table.

    Returns
    -------
    expression : Expression
        Not constant.
    n_columns : int, 1 .. 10
        Columns of the table; some may not occur in the formula.
    """
    n = r.choices(range(1, 11), N_COLUMNS)[0]
    idle = min(r.choices((0, 1, 2, 3), (0.8, 0.12, 0.05, 0.03))[0], 10 - n)
    columns = r.sample(range(n + idle), n)
    while True:
        family = r.choices(_FAMILIES, _SHARES)[0]
        try:
            out = normal.strip(family(r, columns))
        except normal.UndefinedConstantError:
            continue
        if out[1] is not None:
            return out, n + idle

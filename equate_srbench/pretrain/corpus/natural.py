"""Formulas as science and engineering write them, beside the general families of ``generators``.

Polynomials and their ratios, nested ratios, logarithms of ratios, saturations, real exponents,
powers of columns, and products of independent groups. As in ``generators`` every family maps a
``random.Random`` and the columns to use to an expression in normal form, and none holds a known
formula.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.algebra.normal import Expression
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.pretrain.corpus import generators
from equate_srbench.pretrain.corpus.generators import (
    Columns,
    coefficient,
    monomial,
    plain_product,
    split,
)

#: Probabilities of formulas over 1, 2, ... 6 columns, and of 0, 1, ... 4 columns beside them.
N_COLUMNS = (0.3, 0.3, 0.2, 0.12, 0.05, 0.03)
N_IDLE = (0.6, 0.2, 0.1, 0.06, 0.04)
_DEGREES = ((2, 3, 4, 5, 6), (0.2, 0.25, 0.25, 0.15, 0.15))


def _terms(r: Random, column: int, degree: int, plain: float) -> list[Expression]:
    """Powers of one column up to ``degree``, most of the lower ones, with coefficients."""
    powers = [k for k in range(1, degree) if r.random() < 0.7]
    x = normal.variable(column)
    return [
        normal.scaled(normal.power(x, float(k)), coefficient(r, plain)) for k in [*powers, degree]
    ]


def _with_rest(r: Random, out: Expression, rest: Columns) -> Expression:
    """``out`` times, sometimes plus, a product of the other columns."""
    if not rest:
        return out
    other = plain_product(r, rest) if r.random() < 0.6 else monomial(r, rest)
    if r.random() < 0.75:
        return normal.multiply(out, other)
    return normal.add(out, normal.scaled(other, coefficient(r, 0.5)))


def polynomial(r: Random, columns: Columns) -> Expression:
    """A polynomial of degree 2 to 6 in one column, or with mixed terms in two."""
    degree = r.choices(*_DEGREES)[0]
    plain = r.choice((1.0, 1.0, 0.6, 0.2))
    first, *others = columns
    terms = _terms(r, first, degree, plain)
    if others and r.random() < 0.5:
        x, y = normal.variable(first), normal.variable(others.pop(0))
        for _ in range(r.randint(1, 3)):
            i, j = r.randint(0, 3), r.randint(1, 3)
            mixed = normal.multiply(normal.power(x, float(i)), normal.power(y, float(j)))
            terms.append(normal.scaled(mixed, coefficient(r, plain)))
    if r.random() < 0.4:
        terms.append(normal.constant(coefficient(r, 0.6)))
    return _with_rest(r, normal.add(*terms), others)


def polynomial_ratio(r: Random, columns: Columns) -> Expression:
    """A ratio of two short polynomials, in the same column or in two."""
    first, *others = columns
    second = others.pop(0) if others and r.random() < 0.5 else first
    above = _terms(r, first, r.randint(1, 4), 0.7)[-3:]
    below = _terms(r, second, r.randint(1, 4), 0.7)[-3:]
    if r.random() < 0.6:
        above.append(normal.constant(coefficient(r, 0.7)))
    below.append(normal.constant(abs(coefficient(r, 0.7))))
    ratio = normal.multiply(normal.add(*above), normal.power(normal.add(*below), -1.0))
    return _with_rest(r, ratio, others)


def nested_ratio(r: Random, columns: Columns) -> Expression:
    """``a / (b + c / (d + e))`` and deeper, of small products and constants."""
    parts = split(r, columns, min(len(columns), r.randint(1, 4)))
    while len(parts) < 3:
        parts.append([r.choice(columns)])
    out = normal.add(plain_product(r, parts[0]), normal.constant(abs(coefficient(r, 0.6))))
    for part in parts[1:]:
        inner = normal.scaled(normal.power(out, -1.0), coefficient(r, 0.7))
        if r.random() < 0.5:
            out = normal.add(plain_product(r, part), inner)
        else:
            product = normal.multiply(inner, plain_product(r, part))
            out = normal.add(normal.constant(coefficient(r, 0.7)), product)
    return normal.power(out, -1.0) if r.random() < 0.5 else out


def log_ratio(r: Random, columns: Columns) -> Expression:
    """The logarithm of a ratio of products or of short sums, times or below others."""
    inside, *outside = split(r, columns, r.randint(1, min(2, len(columns))))
    if len(inside) == 1:
        x, one = normal.variable(inside[0]), normal.constant(abs(coefficient(r, 0.6)))
        above, below = normal.add(x, one), r.choice((x, normal.add(one, normal.scaled(x, -1.0))))
    else:
        left, right = split(r, inside, 2)
        above, below = plain_product(r, left), plain_product(r, right)
        if r.random() < 0.4:
            above, below = normal.add(above, below), r.choice((above, below))
    ratio = normal.multiply(above, normal.power(below, -1.0))
    out = normal.apply("log", ratio)
    if r.random() < 0.2:
        out = normal.power(out, r.choice((2.0, -1.0)))
    return _with_rest(r, out, outside[0] if outside else [])


def saturation(r: Random, columns: Columns) -> Expression:
    """Michaelis-Menten, Hill, exponential approach, tanh or arctan of one column or ratio."""
    inside, *outside = split(r, columns, r.randint(1, min(2, len(columns))))
    x = normal.scaled(plain_product(r, inside[:2]), abs(coefficient(r, 0.5)))
    one = normal.constant(1.0)
    u = r.random()
    if u < 0.3:
        out = normal.multiply(x, normal.power(normal.add(one, x), -1.0))
    elif u < 0.55:
        hill = normal.power(x, r.choice((2.0, 2.0, 3.0, 4.0, real_exponent(r))))
        out = normal.multiply(hill, normal.power(normal.add(one, hill), -1.0))
    elif u < 0.8:
        out = normal.add(one, normal.scaled(normal.apply("exp", normal.scaled(x, -1.0)), -1.0))
    else:
        out = normal.apply(r.choice(("tanh", "tanh", "arctan")), x)
    return _with_rest(r, out, [*inside[2:], *(outside[0] if outside else [])])


def real_exponent(r: Random) -> float:
    """An exponent of two digits that is no multiple of a half, -3.5 to 3.5."""
    while True:
        value = float(f"{r.choice((1.0, -1.0)) * r.uniform(0.1, 3.5):.2g}")
        if (2.0 * value) % 1.0:
            return value


def real_powers(r: Random, columns: Columns) -> Expression:
    """Products of columns with real exponents, sometimes with a second term."""
    parts = split(r, columns, min(len(columns), r.choices((1, 2), (0.65, 0.35))[0]))
    terms = []
    for part in parts:
        powers = [r.random() < 0.65 for _ in part]
        powers[r.randrange(len(part))] = True
        factors = (
            normal.power(normal.variable(j), real_exponent(r) if real else r.choice((1.0, -1.0)))
            for j, real in zip(part, powers, strict=True)
        )
        terms.append(normal.scaled(normal.multiply(*factors), coefficient(r, 0.6)))
    if r.random() < 0.25:
        terms.append(normal.constant(coefficient(r, 0.6)))
    return normal.add(*terms)


def column_powers(r: Random, columns: Columns) -> Expression:
    """A column or a sum to the power of another column, or a number to the power of one."""
    first, *others = columns
    base = normal.variable(first)
    if r.random() < 0.3:
        base = normal.add(normal.constant(1.0), normal.scaled(base, coefficient(r, 0.7)))
    if others and r.random() < 0.8:
        exponent = normal.scaled(normal.variable(others.pop(0)), coefficient(r, 0.75))
        out = normal.apply("exp", normal.multiply(exponent, normal.apply("log", base)))
    else:
        out = normal.apply("exp", normal.scaled(base, coefficient(r, 0.2)))
    if r.random() < 0.3:
        out = normal.add(out, normal.constant(coefficient(r, 0.8) * r.choice((1, -1))))
    return _with_rest(r, out, others)


def groups(r: Random, columns: Columns) -> Expression:
    """A product of two or three functions of separate columns."""
    n = min(3, max(2, len(columns) // 2))
    parts = split(r, columns, min(n, len(columns)))
    while len(parts) < 2:
        parts.append([r.choice(columns)])
    kinds = (generators.shape, generators.rational_factor, _short, saturation, generators.block)
    return normal.multiply(*(r.choice(kinds)(r, part) for part in parts))


def _short(r: Random, columns: Columns) -> Expression:
    """A polynomial of degree 2 or 3 in one column plus a constant."""
    first, *others = columns
    terms = _terms(r, first, r.choice((2, 2, 3)), 0.6)
    terms.append(normal.constant(coefficient(r, 0.5)))
    return _with_rest(r, normal.add(*terms), others)


#: Families and their probabilities.
MIXTURE: dict[Callable[[Random, Columns], Expression], float] = {
    polynomial: 0.2,
    polynomial_ratio: 0.14,
    nested_ratio: 0.1,
    log_ratio: 0.1,
    saturation: 0.12,
    real_powers: 0.12,
    column_powers: 0.06,
    groups: 0.16,
}
_FAMILIES, _SHARES = tuple(MIXTURE), tuple(MIXTURE.values())


def draw(r: Random) -> tuple[Expression, int]:
    """As ``generators.draw``, from the families of this module."""
    n = r.choices(range(1, len(N_COLUMNS) + 1), N_COLUMNS)[0]
    idle = r.choices(range(len(N_IDLE)), N_IDLE)[0]
    columns = r.sample(range(n + idle), n)
    family = r.choices(_FAMILIES, _SHARES)[0]
    while True:
        try:
            out = normal.strip(family(r, columns))
        except normal.UndefinedConstantError:
            continue
        if out[1] is not None:
            return out, n + idle


def spelled(tree: Tree) -> Tree:
    """``tree`` with sixth powers as squares of cubes.

    The compact vocabulary has no token 6: the nearest constant is no integer, and its power of a
    negative number undefined.
    """
    code = BY_NAME["pow"].code
    at = len(tree.symbols)
    while at:
        at -= 1
        if tree.symbols[at] != code:
            continue
        base, exponent = tree.subtree(at).args()
        if exponent.symbols == (CONSTANT,) and exponent.constants[0] == 6.0:
            tree = tree.replace(at, Tree.apply("square", Tree.apply("cube", base)))
    return tree

"""Nodes of ``terms`` as trees, in the shortest spelling, and how many nodes SymPy makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from equate_srbench.expr.algebra import nodes
from equate_srbench.expr.algebra import terms as algebra
from equate_srbench.expr.algebra.nodes import (
    Call,
    Form,
    Node,
    UnsafeRewriteError,
    Weighted,
    as_form,
    is_call,
)
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree

_ROOT_FORMS: dict[float, tuple[str, ...]] = {
    2.0: ("square",), 3.0: ("cube",), 0.5: ("sqrt",), 4.0: ("square", "square"),
    6.0: ("square", "cube"), 9.0: ("cube", "cube"), 8.0: ("square", "square", "square"),
    0.25: ("sqrt", "sqrt"),
}  # fmt: skip
_LOG_POWERS = (0.5, 3.0)  # 0.5*log(x) is one node longer than log(sqrt(x))
_MANY_DIGITS = 12
#: Nodes that a number of many digits counts as, beyond itself, where forms are compared.
LONG = 2.5
_SHORT_BASE = 6  # characters of a base c for which exp(log(c)*x) is written c**x
#: Bases above and below the fraction line, by size of the exponent.
Groups = dict[float, tuple[list[Form], list[Form]]]


# -- cost ---------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def cost(node: Node) -> int:
    """Number of nodes that SymPy makes of a node written as text (see ``complexity``).

    An estimate: ``complexity`` of the written tree is exact.
    """
    if isinstance(node, float):
        return 1
    kind = node[0]
    if kind in ("v", "n"):
        return 1
    if node[0] == "f":
        return 1 + cost(node[2])
    if node[0] == "^":
        return 1 + cost(node[1]) + cost(node[2])
    if node[0] == "u":
        return 1 + sum(cost(arg) for arg in node[2])
    if node[0] == "*":
        return _product_cost(*_rescaled(node[1], node[2]))
    assert node[0] == "+"
    parts = [cost_of_term(term, c) for term, c in node[2]]
    return 1 + sum(parts) + (node[1] != 0.0)


@lru_cache(maxsize=8192)
def price(node: Node) -> float:
    """``cost``, and ``LONG`` for each number of many digits: forms that people write come first."""
    return cost(node) + LONG * _long_numbers(node)


@lru_cache(maxsize=8192)
def _long_numbers(node: Node) -> int:
    if isinstance(node, float):
        return int(_is_long(node))
    if node[0] == "f":
        return _long_numbers(node[2])
    if node[0] == "^":
        return _long_numbers(node[1]) + _long_numbers(node[2])
    if node[0] in ("*", "+"):
        number, weighted = _rescaled(node[1], node[2]) if node[0] == "*" else node[1:]
        parts = sum(_long_numbers(part) for part, _ in weighted)
        return parts + _is_long(number) + sum(_is_long(e) for _, e in weighted)
    return int(node[0] == "n" and _is_long(node[1]))


def _is_long(number: float) -> bool:
    written = repr(number).partition("e")[0]  # a power of ten is no length
    if number.is_integer() or len(written) < _MANY_DIGITS:
        return False
    return not (abs(number) > 1e-3 and (1.0 / number).is_integer())


def cost_of_term(node: Form, c: float) -> int:
    """Nodes of ``c * node`` in a sum."""
    if c == 1.0 or (c == -1.0 and opposite(node) is not None):
        return cost(node)
    if node[0] == "*":
        return _product_cost(*_rescaled(nodes.tidy(c * node[1]), node[2]))
    return 2 + cost(node)


@lru_cache(maxsize=8192)
def opposite(node: Form) -> Form | None:
    """``-node`` in as few nodes as ``node`` (``b - a`` for ``a - b``), or None."""
    if node[0] == "+":
        constant, terms = -node[1], tuple((term, -c) for term, c in node[2])
        units = sum((c == -1.0) - (c == 1.0) for _, c in terms)
        return ("+", constant, terms) if units <= 0 else None
    if node[0] == "*":
        if abs(node[1]) != 1.0:
            return "*", -node[1], node[2]
        for i, (base, e) in enumerate(node[2]):
            other = opposite(base) if e % 2.0 == 1.0 else None
            if other is not None:
                return "*", node[1], (*node[2][:i], (other, e), *node[2][i + 1 :])
    if is_call(node, *algebra.ODD) and node[2][0] == "*" and node[2][1] == 1.0:
        other = opposite(node[2])
        return None if other is None else ("f", node[1], other)
    return None


def _product_cost(coefficient: float, factors: Weighted) -> int:
    n, parts = 0, 0
    if coefficient == -1.0 and opposite(("*", 1.0, factors)) is not None:
        coefficient = 1.0
    if coefficient != 1.0:
        n = parts = 1
    if len(factors) == 1:
        base, e = factors[0]
        if e == 1.0:
            if base[0] == "+":  # SymPy distributes
                extra = 0 if base[1] == 0.0 else 1
                return 1 + extra + sum(cost_of_term(t, c * coefficient) for t, c in base[2])
            return 2 + cost(base) if n else cost(base)
        return 3 + n + cost(base) if n else 2 + cost(base)
    roots: dict[float, int] = {}
    for base, e in factors:
        parts += 1
        n += cost(base)
        if e == 1.0:
            continue
        if e.is_integer() or e in roots:  # roots of one exponent are one root of a product
            if e in roots:
                roots[e] += 1
                parts -= 1
            else:
                n += 2
        else:
            roots[e] = 1
            n += 2
    n += sum(count > 1 for count in roots.values())
    return n + (parts > 1)


# -- writing ------------------------------------------------------------------------------------


class Writer:
    """Writes nodes of ``terms`` as trees."""

    def __init__(self) -> None:
        self._done: dict[Node, Tree] = {}

    def write(self, node: Node) -> Tree:
        """A tree for ``node``: its factors and terms as they are, in the shortest spelling."""
        if isinstance(node, float):
            return Tree.constant(node)
        done = self._done.get(node)
        if done is None:
            done = self._done[node] = self._write(node)
        return done

    def _write(self, node: Form) -> Tree:
        if node[0] == "v":
            return Tree.variable(node[1])
        if node[0] == "n":
            return Tree.constant(node[1])
        if node[0] == "f":
            if node[1] == "exp":
                return self._exponential(node)
            return Tree.apply(node[1], self.write(node[2]))
        if node[0] == "^":
            return Tree.apply("pow", self.write(node[1]), self.write(node[2]))
        if node[0] == "u":
            return Tree.apply(node[1], *(self.write(arg) for arg in node[2]))
        if node[0] == "*":
            return self._product(node[1], node[2])
        return self._sum(node[1], node[2])

    def _exponential(self, node: Call) -> Tree:
        """``exp``, or ``c**x`` if ``c`` has few digits and gives back the factor of ``x``."""
        c, rest = nodes.split_coefficient(node[2])
        if c == -1.0:
            return Tree.apply("inv", Tree.apply("exp", self.write(rest)))
        if len(repr(c)) > _MANY_DIGITS and 0.1 < abs(c) < 10.0:
            base = float(f"{math.exp(c):.14g}")
            if len(repr(base)) <= _SHORT_BASE and nodes.tidy(math.log(base)) == c:
                return Tree.apply("pow", Tree.constant(base), self.write(rest))
        return Tree.apply("exp", self.write(node[2]))

    # -- products ---------------------------------------------------------------------------

    def _product(self, coefficient: float, factors: Weighted) -> Tree:
        coefficient, factors = _beautified(*_rescaled(coefficient, factors))
        if coefficient == -1.0 and (other := opposite(("*", 1.0, factors))) is not None:
            coefficient, factors = 1.0, nodes.factors_of(other)
        groups: Groups = {}
        for base, e in sorted(factors, key=_order_of_factors):
            base, e = self._cheaper_exponential(base, e, len(factors) > 1 or coefficient != 1.0)
            groups.setdefault(abs(e), ([], []))[e < 0.0].append(base)
        above: list[Tree] = []
        below: list[Tree] = []
        sums: list[Tree] = []
        for e, (over, under) in sorted(groups.items()):
            if e == 1.0:
                for base in over:
                    (sums if base[0] == "+" else above).append(self.write(base))
                below += map(self.write, under)
            elif over and under:  # (x/y)**2 is shorter than x**2/y**2
                quotient = Tree.apply("div", self._chain(over), self._chain(under))
                above.append(_power(quotient, e))
            elif over:
                above.append(_power(self._chain(over), e))
            else:
                below.append(_power(self._chain(under), e))
        if coefficient == 1.0 or (len(sums) == 1 and not above and not below):
            above, sums = above + sums, []
        if above and len(repr(coefficient)) > 6 and not _sum_below(groups):
            whole = round(1.0 / coefficient)
            if abs(whole) < 1000 and coefficient * whole == 1.0:
                below.insert(0, Tree.constant(float(whole)))  # x/3, not 0.3333333333333333*x
                coefficient = 1.0
        front = _fraction(coefficient, above, below)
        # SymPy turns 2*(a + b)*c into (2*a + 2*b)*c, but leaves 2*c*(a + b)
        if above or below:
            return _joined("mul", [front, *sums])
        return Tree.apply("mul", front, _joined("mul", sums)) if sums else front

    def _chain(self, bases: Sequence[Form]) -> Tree:
        return _joined("mul", [self.write(base) for base in bases])

    def _cheaper_exponential(self, base: Form, e: float, among: bool) -> tuple[Form, float]:
        """``y/exp(x)`` for ``y*exp(-x)``, which costs two nodes more."""
        if e != 1.0 or not is_call(base, "exp"):
            return base, e
        try:
            opposite: Call = ("f", "exp", as_form(algebra.multiply(-1.0, base[2])))
        except UnsafeRewriteError:
            return base, e
        saved = self.write(base).size - self.write(opposite).size
        return (opposite, -1.0) if saved > (0 if among else 1) else (base, e)

    # -- sums -------------------------------------------------------------------------------

    def _sum(self, constant: float, terms: Weighted) -> Tree:
        ordered = sorted(terms, key=_order_of_terms)
        ordered = [
            (other, 1.0) if c == -1.0 and (other := opposite(node)) is not None else (node, c)
            for node, c in ordered
        ]
        groups: dict[float, list[tuple[Form, float]]] = {}
        for node, c in ordered:
            groups.setdefault(abs(c), []).append((node, c))
        shared = [c for c, members in groups.items() if c != 1.0 and len(members) > 1]
        if not shared:
            return self._plain_sum(constant, [(self._term(node, c), c) for node, c in ordered])
        parts: list[tuple[Tree, float]] = []
        for c, members in groups.items():  # 3*(x + y) for 3*x + 3*y
            if c not in shared:
                parts += [(self._term(node, d), d) for node, d in members]
                continue
            sign = math.copysign(1.0, max(d for _, d in members))
            inside = constant / c if abs(constant) == c and len(terms) == len(members) else 0.0
            inner = self._plain_sum(
                sign * inside, [(self.write(node), sign * d) for node, d in members]
            )
            constant -= inside * c
            parts.append((Tree.apply("mul", Tree.constant(c), inner), sign))
        return self._plain_sum(constant, parts)

    def _term(self, node: Form, c: float) -> Tree:
        if c < 0.0 and c != -1.0 and is_call(node, "log"):  # the minus is worth having the number
            return Tree.apply("mul", Tree.constant(-c), self.write(node))
        return self.write(algebra.multiply(abs(c), node) if abs(c) != 1.0 else node)

    def _plain_sum(self, constant: float, terms: list[tuple[Tree, float]]) -> Tree:
        """Sum of trees, each with the sign of its number."""
        plus: list[Tree] = []
        minus: list[Tree] = []
        for tree, c in terms:
            if _starts_negative(tree):
                tree, c = _negative(tree), -c
            (plus if c > 0.0 else minus).append(tree)
        if plus:
            tree = _joined("add", plus)
        elif constant != 0.0:
            tree, constant = Tree.constant(constant), 0.0
        else:
            tree = _negative(minus[0])
            minus = minus[1:]
        for part in minus:
            tree = Tree.apply("sub", tree, part)
        return Tree.apply("add", tree, Tree.constant(constant)) if constant else tree


def _starts_negative(tree: Tree) -> bool:
    """Whether the first factor of a product is a negative number."""
    return (
        tree.symbols[0] in _PRODUCTS
        and tree.symbols[_first_factor(tree)] == CONSTANT
        and tree.constants[0] < 0.0
    )


def _first_factor(tree: Tree) -> int:
    at = 0
    while tree.symbols[at] in _PRODUCTS:
        at += 1
    return at


def _negative(tree: Tree) -> Tree:
    """``-tree``, its first factor negated if that is a number."""
    at = _first_factor(tree)
    if at and tree.symbols[at] == CONSTANT:
        if tree.constants[0] == -1.0 and tree.symbols[at - 1] == _PRODUCT:  # -1 * u
            return tree.replace(at - 1, tree.subtree(at + 1))
        return tree.with_constants((-tree.constants[0], *tree.constants[1:]))
    return Tree.apply("mul", Tree.constant(-1.0), tree)


_PRODUCT = BY_NAME["mul"].code
_PRODUCTS = frozenset(BY_NAME[name].code for name in ("mul", "div"))


def _order_of_terms(term: tuple[Form, float]) -> tuple[int, int, float, Form]:
    """Terms by their first column, high powers first, functions of it behind."""
    node = term[0]
    powers = nodes.factors_of(node)
    degree = sum(e for base, e in powers if base[0] == "v")
    return _first_column(node), int(any(base[0] != "v" for base, _ in powers)), -degree, node


def _order_of_factors(factor: tuple[Form, float]) -> tuple[int, int, float, Form]:
    """Columns first, then functions, then sums: ``(a - 1)*(a - 2)*(b + c)``."""
    base = factor[0]
    constant = base[1] if base[0] == "+" else 0.0
    return "vnf^*+u".index(base[0]), _first_column(base), -constant, base


@lru_cache(maxsize=8192)
def _first_column(node: Form) -> int:
    if node[0] == "v":
        return node[1]
    parts: tuple[Form, ...] = ()
    if node[0] == "f":
        parts = (node[2],)
    elif node[0] == "^":
        parts = (node[1], node[2])
    elif node[0] == "u":
        parts = node[2]
    elif node[0] != "n":
        parts = tuple(part for part, _ in node[2])
    return min(map(_first_column, parts), default=1000)


def _sum_below(groups: Groups) -> bool:
    return any(base[0] == "+" for base in groups.get(1.0, ([], []))[1])


def _power(base: Tree, e: float) -> Tree:
    forms = _ROOT_FORMS.get(e)
    if forms is None:
        return Tree.apply("pow", base, Tree.constant(e))
    for name in reversed(forms):
        base = Tree.apply(name, base)
    return base


def _joined(name: str, parts: Sequence[Tree]) -> Tree:
    tree = parts[0]
    for part in parts[1:]:
        tree = Tree.apply(name, tree, part)
    return tree


def _fraction(coefficient: float, above: list[Tree], below: list[Tree]) -> Tree:
    """``coefficient * above / below`` as a left-associative chain."""
    if coefficient != 1.0:
        above = [Tree.constant(coefficient), *above]
    if not below:
        return _joined("mul", above) if above else Tree.constant(coefficient)
    under = _joined("mul", below)
    if not above:
        return Tree.apply("inv", under)
    return Tree.apply("div", _joined("mul", above), under)


# -- numbers in their best places -----------------------------------------------------------------


@lru_cache(maxsize=8192)
def _rescaled(coefficient: float, factors: Weighted) -> tuple[float, Weighted]:
    """Numbers moved between the coefficient and the sums, for few nodes, then few digits."""
    for i, (base, e) in enumerate(factors):
        if base[0] != "+" or nodes.is_centred(base):
            continue
        if coefficient == 1.0 and all(abs(c) == 1.0 for _, c in base[2]):
            continue
        best: tuple[tuple[float, int], float, Form]
        alone = len(factors) == 1
        best = _price(coefficient, base[1], base[2], alone), coefficient, base
        for s in _scales(coefficient, base[1], base[2], e):
            try:
                outside = nodes.scaled(coefficient, nodes.number_power(s, -e))
                constant = nodes.scaled(base[1], s)
                terms = tuple((node, nodes.scaled(c, s)) for node, c in base[2])
            except UnsafeRewriteError:
                continue
            found = _price(outside, constant, terms, alone)
            if found < best[0]:
                best = found, outside, ("+", constant, terms)
        coefficient = best[1]
        factors = (*factors[:i], (best[2], e), *factors[i + 1 :])
    return coefficient, factors


def _scales(coefficient: float, constant: float, terms: Weighted, e: float) -> Iterator[float]:
    numbers = {abs(c) for _, c in terms} | ({abs(constant)} - {0.0})
    scales = {1.0 / c for c in numbers}
    if coefficient != 1.0 and 1e-100 < abs(coefficient) < 1e100 and abs(e) in (0.5, 1.0, 2.0, 3.0):
        inside = nodes.tidy(abs(coefficient) ** (1.0 / e))  # 2**0.5 was taken out of 2*x + 3
        scales.add(math.copysign(inside, coefficient if e % 2.0 == 1.0 else 1.0))
    for s in sorted(scales):
        yield s
        if e.is_integer():
            yield -s


def _price(coefficient: float, constant: float, terms: Weighted, alone: bool) -> tuple[float, int]:
    """Nodes, long numbers among them counting more, and digits of ``c * (constant + terms)``."""
    count: float = int(coefficient != 1.0) * (1 + alone)  # and the product with it
    count += LONG * sum(map(_is_long, (coefficient, constant, *(c for _, c in terms))))
    digits = len(repr(coefficient)) if count else 0
    digits += 2 * (coefficient < 0.0) + len(repr(constant)) + all(c < 0.0 for _, c in terms)
    for node, c in terms:
        if c != 1.0:
            count += 1 if node[0] == "*" else 2
            digits += len(repr(abs(c)))
    return count, digits


def _beautified(coefficient: float, factors: Weighted) -> tuple[float, Weighted]:
    """Move the coefficient into a root, exponential or logarithm if that leaves fewer digits.

    ``1.4142135623730951*sqrt(x)`` becomes ``sqrt(2*x)``, ``2.718281828459045*exp(x)`` becomes
    ``exp(x + 1)``: the same number of nodes, and only if it gives back the same double.
    """
    try:
        return _moved_inside(coefficient, factors)
    except UnsafeRewriteError:
        return coefficient, factors


def _moved_inside(coefficient: float, factors: Weighted) -> tuple[float, Weighted]:
    for i, (base, e) in enumerate(factors):
        inner: Node | None = None
        left = 1.0
        if is_call(base, "log") and e == 1.0 and coefficient in _LOG_POWERS:
            inner = ("f", "log", as_form(algebra.power(base[2], coefficient)))
        elif coefficient <= 0.0 or len(repr(coefficient)) < 10:
            continue
        elif is_call(base, "exp") and e == 1.0:
            shift = float(f"{math.log(coefficient):.15g}")
            if math.exp(shift) == coefficient and len(repr(shift)) < 8:
                inner = ("f", "exp", as_form(algebra.add((base[2], 1.0), (shift, 1.0))))
        elif not 1e-150 < coefficient < 1e150:
            continue  # its square is no double
        elif (e == 0.5 or (e == -0.5 and any(d > 0.0 for _, d in factors))) and base[0] != "+":
            square = float(f"{coefficient ** (1.0 / e):.15g}")
            root = math.sqrt(square)
            if coefficient in (root, 1.0 / root) and len(repr(square)) < 8:
                inner = algebra.multiply(square, base)
        if inner is not None:
            return left, (*factors[:i], (as_form(inner), e), *factors[i + 1 :])
    return coefficient, factors

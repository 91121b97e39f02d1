"""Fast rule-based simplification of trees: folds constants, collects like terms and factors.

A tree is converted to sums and products (``terms``) and written back in the shortest form that the
rules here find. This takes a fraction of a millisecond, cheap enough for every candidate of a
search; SymPy (``simplify``) is reserved for the few formulas that users see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from equate_srbench.expr.algebra import terms as algebra
from equate_srbench.expr.algebra.terms import (
    Call,
    Form,
    Node,
    UnsafeRewriteError,
    Weighted,
    as_form,
    is_call,
)
from equate_srbench.expr.tree import Tree

_ROOT_FORMS: dict[float, tuple[str, ...]] = {
    2.0: ("square",), 3.0: ("cube",), 0.5: ("sqrt",), 4.0: ("square", "square"),
    6.0: ("square", "cube"), 9.0: ("cube", "cube"), 8.0: ("square", "square", "square"),
    1.5: ("cube", "sqrt"), 0.25: ("sqrt", "sqrt"),
}  # fmt: skip
Factors = Sequence[tuple[Form, float]]  # bases and exponents
#: Bases above and below the fraction line, by size of the exponent.
Groups = dict[float, tuple[list[Form], list[Form]]]
_LOG_POWERS = (0.5, 3.0)  # 0.5*log(x) is one node longer than log(sqrt(x))


def rewrite(tree: Tree) -> Tree:
    """Simplify ``tree`` by algebraic rules.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    Tree
        With no more nodes, and equal (to rounding) wherever ``tree`` is finite; it may be defined
        at further points, as ``x`` is for ``x**2/x``. Rewriting it again changes nothing. A tree
        whose constants fold to something that is not finite is returned unchanged.

    Examples
    --------
    >>> from equate_srbench.expr.text.parser import parse
    >>> from equate_srbench.expr.text.printing import to_text
    >>> names = ["a", "b"]
    >>> to_text(rewrite(parse("2*a*3*b/a - (-1)*b*a*a + b - b", names)), names)
    'b*(a**2 + 6)'
    """
    seen = {tree}
    while True:
        new = _pass(tree)
        if new.size >= tree.size and new in seen:
            return min(new, tree, key=lambda t: (t.size, len(t.constants), t != tree))
        seen.add(new)
        tree = new


def _pass(tree: Tree) -> Tree:
    try:
        new = _Writer().write(algebra.from_tree(tree))
    except UnsafeRewriteError:
        new = None
    if new is not None and new.size <= tree.size:
        return new
    if tree.size == 1:
        return tree
    out = tree.symbols[:1]
    constants: tuple[float, ...] = ()
    for arg in tree.args():  # a longer whole may still have shorter parts
        short = _pass(arg)
        out, constants = out + short.symbols, constants + short.constants
    return Tree(out, constants)


class _Writer:
    """Writes nodes of ``terms`` as trees."""

    def __init__(self) -> None:
        self._done: dict[Node, Tree] = {}

    def write(self, node: Node) -> Tree:
        """Shortest tree for ``node`` among the forms tried."""
        if isinstance(node, float):
            return Tree.constant(node)
        done = self._done.get(node)
        if done is None:
            done = self._done[node] = self._write(node)
        return done

    def _write(self, node: Form) -> Tree:
        if node[0] == "v":
            return Tree.variable(node[1])
        if node[0] == "f":
            return Tree.apply(node[1], self.write(node[2]))
        if node[0] == "^":
            return Tree.apply("pow", self.write(node[1]), self.write(node[2]))
        if node[0] == "*":
            return self._product(node[1], node[2])
        return self._sum(node[1], node[2])

    # -- products ---------------------------------------------------------------------------

    def _product(self, coefficient: float, factors: Factors) -> Tree:
        coefficient, factors = _beautified(*_sign_absorbed(coefficient, factors))
        groups: Groups = {}
        for base, e in factors:
            base, e = self._cheaper_exponential(base, e, len(factors) > 1 or coefficient != 1.0)
            groups.setdefault(abs(e), ([], []))[e < 0.0].append(base)
        above: list[Tree] = []
        below: list[Tree] = []
        sums: list[Tree] = []
        for e, (over, under) in groups.items():
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
        opposite: Call = ("f", "exp", algebra.multiply(-1.0, base[2]))
        saved = self.write(base).size - self.write(opposite).size
        return (opposite, -1.0) if saved > (0 if among else 1) else (base, e)

    # -- sums -------------------------------------------------------------------------------

    def _sum(self, constant: float, terms: Weighted) -> Tree:
        merged = _joined_logarithms(terms)
        if merged is not None:
            return self.write(algebra.add((constant, 1.0), *merged))
        plain = self._plain_sum(constant, terms)
        grouped = _grouped(terms)
        if grouped is None:
            return plain
        rest, product = grouped
        total = algebra.add((constant, 1.0), *rest, (product, 1.0))
        if isinstance(total, tuple) and total[0] == "+" and len(total[2]) >= len(terms):
            return plain  # nothing gained, and no end to it
        other = self.write(total)
        return other if other.size < plain.size else plain

    def _plain_sum(self, constant: float, terms: Weighted) -> Tree:
        plus = [self.write(algebra.multiply(c, node)) for node, c in terms if c > 0.0]
        minus = [(node, c) for node, c in terms if c < 0.0]
        if plus:
            tree = _joined("add", plus)
        elif constant != 0.0:
            tree, constant = Tree.constant(constant), 0.0
        else:
            tree = self.write(algebra.multiply(minus[0][1], minus[0][0]))
            minus = minus[1:]
        for node, c in minus:
            tree = Tree.apply("sub", tree, self.write(algebra.multiply(-c, node)))
        return Tree.apply("add", tree, Tree.constant(constant)) if constant else tree


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


def _sign_absorbed(coefficient: float, factors: Factors) -> tuple[float, Factors]:
    """``-y*(a - b)`` as ``y*(b - a)``; ``2*y*(1 - b)`` as ``-2*y*(b - 1)``, shorter in SymPy."""
    if coefficient == 1.0:
        return coefficient, factors
    out = list(factors)
    for i, (base, e) in enumerate(factors):
        if base[0] != "+" or e % 2.0 != 1.0:
            continue
        signs = [c for _, c in base[2] if abs(c) == 1.0]
        if coefficient == -1.0:
            turn = base[1] < 0.0 or any(c < 0.0 for _, c in base[2])
        else:
            turn = sum(signs) < 0.0
        if turn:
            out[i] = (as_form(algebra.multiply(-1.0, base)), e)
            coefficient = -coefficient
            if coefficient == 1.0:
                break
    return coefficient, out


def _beautified(coefficient: float, factors: Factors) -> tuple[float, Factors]:
    """Move the coefficient into a root, exponential or logarithm if that leaves fewer digits.

    ``1.4142135623730951*sqrt(x)`` becomes ``sqrt(2*x)``, ``2.718281828459045*exp(x)`` becomes
    ``exp(x + 1)``: the same number of nodes, and only if it gives back the same double.
    """
    for i, (base, e) in enumerate(factors):
        inner: Node | None = None
        left = 1.0
        if is_call(base, "log") and e == 1.0 and coefficient in _LOG_POWERS:
            inner = ("f", "log", algebra.power(base[2], coefficient))
        elif coefficient <= 0.0 or len(repr(coefficient)) < 10:
            continue
        elif is_call(base, "exp") and e == 1.0:
            shift = float(f"{math.log(coefficient):.15g}")
            if math.exp(shift) == coefficient and len(repr(shift)) < 8:
                inner = ("f", "exp", algebra.add((base[2], 1.0), (shift, 1.0)))
        elif not 1e-150 < coefficient < 1e150:
            continue  # its square is no double
        elif e == 0.5 or (e == -0.5 and any(d > 0.0 for _, d in factors)):
            square = float(f"{coefficient ** (1.0 / e):.15g}")
            root = math.sqrt(square)
            if coefficient in (root, 1.0 / root) and len(repr(square)) < 8:
                inner = algebra.multiply(square, base)
        if inner is not None:
            return left, [*factors[:i], (as_form(inner), e), *factors[i + 1 :]]
    return coefficient, factors


def _joined_logarithms(terms: Weighted) -> list[tuple[Node, float]] | None:
    """``c log u - c log v`` as ``c log(u/v)``; None if there is nothing to join."""
    groups: dict[float, list[tuple[Call, float]]] = {}
    for node, c in terms:
        if is_call(node, "log"):
            groups.setdefault(abs(c), []).append((node, c))
    shared = next((c for c, members in groups.items() if len(members) > 1), None)
    if shared is None:
        return None
    members = groups[shared]
    sign = math.copysign(1.0, members[0][1])
    inside = algebra.multiply(
        *(algebra.power(node[2], sign * math.copysign(1.0, c)) for node, c in members)
    )
    rest = [term for term in terms if term not in members]
    return [*rest, (algebra.function("log", inside), sign * shared)]


def _grouped(terms: Weighted) -> tuple[list[tuple[Node, float]], Node] | None:
    """Factor out the most common factor: terms without it, and the product; None if unshared."""
    count: dict[tuple[Form, float], int] = {}
    for node, _ in terms:
        for factor in algebra.factors_of(node):
            count[factor] = count.get(factor, 0) + 1
    if not count:
        return None
    factor = max(count, key=lambda f: count[f])
    if count[factor] < 2:
        return None
    rest: list[tuple[Node, float]] = []
    inner: list[tuple[Node, float]] = []
    for node, c in terms:
        if factor in algebra.factors_of(node):
            inner.append((algebra.multiply(node, algebra.power(factor[0], -factor[1])), c))
        else:
            rest.append((node, c))
    return rest, algebra.multiply(algebra.power(*factor), algebra.add(*inner))

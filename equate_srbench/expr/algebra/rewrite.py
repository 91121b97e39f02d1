"""Simplification of trees by algebra: the shortest equal formula among those tried.

A tree becomes a node of ``terms``, where numbers fold and like terms meet. From the leaves up every
sum and product is then also tried multiplied out (``expansion``), factored (``factoring``), over
one denominator, and with the identities of sine and cosine (``trigonometry``); the form of fewest
nodes in SymPy's count stays. This takes a millisecond, cheap enough for every candidate of a
search; SymPy (``simplify``) is reserved for the few formulas that users see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from equate_srbench.expr.algebra import nodes
from equate_srbench.expr.algebra import terms as algebra
from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.expansion import (
    Polynomial,
    collapsed,
    common_divisor,
    divided,
    expanded,
    over_one_denominator,
    unopened,
    with_sums_collected,
)
from equate_srbench.expr.algebra.exponentials import quotients, with_logarithms_joined
from equate_srbench.expr.algebra.factoring import Factoring
from equate_srbench.expr.algebra.nodes import Form, Node, UnsafeRewriteError, is_call, is_sum
from equate_srbench.expr.algebra.trigonometry import identities, is_circular, without_tangents
from equate_srbench.expr.algebra.writing import Writer, cost, price
from equate_srbench.expr.tree import Tree

_MOST_PASSES = 12
_ROUNDING = 1e-13
_MOST_ROUNDS = 6
_MOST_IDENTITIES = 4
_SHORT_NUMERATOR = 6


def rewrite(tree: Tree) -> Tree:
    """The shortest tree equal to ``tree`` that the rules of algebra find.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    Tree
        Of no larger ``complexity``, and equal to rounding wherever ``tree`` and all its parts are
        finite; it may be defined at further points, as ``x`` is for ``x**2/x``. Rewriting it again
        changes nothing. Where constants fold to something that is not finite, the tree's arguments
        are rewritten one by one.

    Examples
    --------
    >>> from equate_srbench.expr.text.parser import parse
    >>> from equate_srbench.expr.text.printing import to_text
    >>> names = ["a", "b"]
    >>> to_text(rewrite(parse("2*a*3*b/a - (-1)*b*a*a + b - b", names)), names)
    'b*(a**2 + 6)'
    """
    seen = [tree]
    while True:
        new, settled = _pass(tree)
        if settled or len(seen) == _MOST_PASSES:
            return new
        if new in seen:  # a circle of spellings of one length
            return min(seen[seen.index(new) :], key=_price)
        if _is_rounding(new, tree) and _digits(new) >= _digits(tree):
            return tree
        seen.append(new)
        tree = new


def _is_rounding(new: Tree, old: Tree) -> bool:
    """Whether two trees differ in the last digits of constants only."""
    return new.symbols == old.symbols and all(
        math.isclose(a, b, rel_tol=_ROUNDING)
        for a, b in zip(new.constants, old.constants, strict=True)
    )


def _digits(tree: Tree) -> int:
    return sum(len(repr(c)) for c in tree.constants)


def _price(tree: Tree) -> tuple[int, int, int, tuple[int, ...], tuple[float, ...]]:
    return complexity(tree), tree.size, len(tree.constants), tree.symbols, tree.constants


def _pass(tree: Tree) -> tuple[Tree, bool]:
    """One pass: a tree no longer than ``tree``, and whether another pass leaves it alone."""
    given, length = algebra.from_tree(tree), complexity(tree)
    for measure in (price, cost):  # what people write; if that is longer than ``tree``, any form
        simplifier, writer = _Simplifier(measure), Writer()
        node = simplifier.simplified(given)
        new = writer.write(node)
        if complexity(new) <= length:
            return new, simplifier.is_settled and algebra.from_tree(new) == node
    return _by_parts(tree, simplifier, writer), False


def _by_parts(tree: Tree, simplifier: _Simplifier, writer: Writer) -> Tree:
    """The tree with arguments rewritten that do not become longer: the whole did."""
    if tree.size == 1:
        return tree
    out = tree.symbols[:1]
    constants: tuple[float, ...] = ()
    for arg in tree.args():
        short = writer.write(simplifier.simplified(algebra.from_tree(arg)))
        if complexity(short) > complexity(arg):
            short = _by_parts(arg, simplifier, writer)
        out, constants = out + short.symbols, constants + short.constants
    new = Tree(out, constants)
    return new if complexity(new) <= complexity(tree) else tree


class _Simplifier:
    """Finds short forms of nodes and remembers them.

    Parameters
    ----------
    measure : callable
        What is to be least: ``writing.price`` or ``writing.cost``.
    """

    def __init__(self, measure: Callable[[Node], float]) -> None:
        self._measure = measure
        self._done: dict[Form, Node] = {}
        self._factoring = Factoring(measure)
        self._ended = True

    @property
    def is_settled(self) -> bool:
        """Whether no search ended early, so that a simplified node is its own simplification."""
        return self._ended and self._factoring.budget > 0

    def simplified(self, node: Node) -> Node:
        """The shortest form found of ``node``."""
        if isinstance(node, float) or node[0] in ("v", "n"):
            return node
        done = self._done.get(node)
        if done is not None:
            return done
        new: Node = node
        for _ in range(_MOST_ROUNDS):
            before = new
            try:
                new = self._round(new)
            except UnsafeRewriteError:
                self._ended = False
                break
            if new == before or isinstance(new, float):
                break
        else:
            self._ended = False
        self._done[node] = new
        return new

    def _round(self, node: Node) -> Node:
        if isinstance(node, float) or node[0] in ("v", "n"):
            return node
        if node[0] == "f":
            inner = self.simplified(node[2])
            try:
                return algebra.function(node[1], inner)
            except UnsafeRewriteError:
                return algebra.unfolded(node[1], inner)
        if node[0] == "^":
            base = node[1][1] if node[1][0] == "n" else self.simplified(node[1])
            return algebra.raised(base, self.simplified(node[2]))
        if node[0] == "u":
            return algebra.unfolded(node[1], *(self.simplified(arg) for arg in node[2]))
        new = self._with_parts(node)
        if isinstance(new, float) or new[0] not in ("*", "+"):
            return new
        best = self._shortest(new)
        if new[0] == "*" or self._measure(best) < self._measure(new):
            return best
        terms = [(self.simplified(term), c) for term, c in new[2]]
        if all(term is old for (term, _), (old, _) in zip(terms, new[2], strict=True)):
            return best
        new = algebra.add(*terms, (new[1], 1.0))
        return new if isinstance(new, float) or new[0] != "+" else self._shortest(new)

    def _with_parts(self, node: Form) -> Node:
        """A sum or a product whose factors, but not whose terms, are simplified."""
        if node[0] == "*":
            parts = [(self.simplified(base), e) for base, e in node[2]]
            if all(part is old for (part, _), (old, _) in zip(parts, node[2], strict=True)):
                return node
            return algebra.multiply(node[1], *(algebra.power(base, e) for base, e in parts))
        if node[0] != "+":
            return self.simplified(node)
        terms = [(self._with_parts(term), c) for term, c in node[2]]
        if all(term is old for (term, _), (old, _) in zip(terms, node[2], strict=True)):
            return node
        return algebra.add(*terms, (node[1], 1.0))

    def _shortest(self, node: Form) -> Node:
        best: Node = node
        least = self._measure(node)
        if least <= 3:
            return best
        for form in self._forms(node):
            if (measure := self._measure(form)) < least:
                best, least = form, measure
        return best

    def _forms(self, node: Form) -> Iterator[Node]:
        """Equal forms of a sum or a product."""
        try:
            polynomial = expanded(node)
        except UnsafeRewriteError:
            return
        if polynomial is None or not _is_reducible(node, polynomial):
            return
        for source in (self._multiplied_out, self._closed, self._as_product, self._fraction):
            try:
                yield from source(node, polynomial)
            except UnsafeRewriteError:
                continue

    def _multiplied_out(self, node: Form, polynomial: Polynomial) -> Iterator[Node]:
        """Everything multiplied out, then factored."""
        yield self._factoring.shortest(polynomial)
        for other in self._turned(polynomial):
            yield self._factoring.shortest(other)

    def _closed(self, node: Form, polynomial: Polynomial) -> Iterator[Node]:
        """Factors that are sums as they are."""
        closed = unopened(node)
        for other in (closed, *with_sums_collected(closed)):
            yield self._factoring.shortest(other)
        if node[0] == "+":
            yield from with_logarithms_joined(node)

    def _as_product(self, node: Form, polynomial: Polynomial) -> Iterator[Node]:
        """Quotients of exponentials; one sum distributed; ``(x**2 - 1)**3/x**3`` in its power."""
        if node[0] == "*":
            yield from quotients(node)
            for i, (base, e) in enumerate(node[2]):
                if is_sum(base) and e == 1.0 and len(node[2]) > 1:
                    rest = nodes.product(node[1], (*node[2][:i], *node[2][i + 1 :]))
                    terms = ((algebra.multiply(rest, term), c) for term, c in base[2])
                    yield algebra.add((rest, base[1]), *terms)
            group = _of_one_power(node)
            if group is not None:
                inner, e, rest = group
                yield algebra.multiply(rest, algebra.power(self.simplified(inner), e))

    def _turned(self, polynomial: Polynomial) -> Iterator[Polynomial]:
        """The best that identities of sine and cosine make of a polynomial, one after another."""
        if not is_circular(polynomial):
            return
        least = self._measure(collapsed(polynomial))
        for _ in range(_MOST_IDENTITIES):
            best = None
            for other in identities(polynomial):
                if (measure := self._measure(collapsed(other))) < least:
                    best, least = other, measure
            if best is None:
                return
            polynomial = best
            yield polynomial

    def _fraction(self, node: Form, polynomial: Polynomial) -> Iterator[Node]:
        """A sum over one denominator, common divisors cancelled."""
        if not any(e < 0.0 for monomial in polynomial for _, e in monomial):
            return
        found = over_one_denominator(without_tangents(polynomial))
        if found is None:
            return
        numerator, denominator = found
        below: list[Node] = []
        for base, e in denominator:
            part = expanded(base) if base[0] == "+" else None
            while part is not None and e > 0.0:
                reduced = _reduced(numerator, part)
                if reduced is None:
                    break
                numerator, rest = reduced
                below.append(self._over(self._factoring.shortest(rest)))
                e -= 1.0
            if e > 0.0:
                below.append(algebra.power(self._over(base), e))
        if len(numerator) <= _SHORT_NUMERATOR:
            *_, numerator = numerator, *self._turned(numerator)
        above = self._factoring.shortest(numerator)
        whole = algebra.multiply(above, *(algebra.power(part, -1.0) for part in below))
        yield whole
        if isinstance(whole, tuple) and whole[0] == "*":
            yield from quotients(whole)

    def _over(self, node: Node) -> Node:
        """A denominator whose own fractions stand over one denominator."""
        if not nodes.is_sum(node):
            return node
        polynomial = expanded(node)
        found = None if polynomial is None else over_one_denominator(polynomial)
        if found is None:
            return node
        above = self._factoring.shortest(found[0])
        return algebra.multiply(above, algebra.power(nodes.product(1.0, found[1]), -1.0))


def _of_one_power(node: Form) -> tuple[Node, float, Node] | None:
    """Factors of one exponent or its negative, sums among them, to the power 1; rest of them."""
    factors = nodes.factors_of(node)
    powers = {abs(e) for base, e in factors if base[0] == "+" and abs(e) > 1.0}
    for power in sorted(powers):
        inside = [(base, e / power) for base, e in factors if abs(e) == power]
        if len(inside) > 1 and power.is_integer():
            rest = [(base, e) for base, e in factors if abs(e) != power]
            c = nodes.split_coefficient(node)[0]
            return nodes.product(1.0, inside), power, nodes.product(c, rest)
    return None


def _is_reducible(node: Form, polynomial: Polynomial) -> bool:
    """Whether a node has sums to multiply out, terms with common parts, fractions or waves."""
    products = [node] if node[0] == "*" else [term for term, _ in nodes.terms_of(node)[1]]
    if any(base[0] == "+" for part in products for base, _ in nodes.factors_of(part)):
        return True
    if node[0] == "+":
        calls = [term[1] for term, _ in node[2] if term[0] == "f"]
        if "log" in calls or (len(node[2]) > 1 and "exp" in calls):
            return True
    seen: set[Form] = set()
    for monomial in polynomial:
        for base, e in monomial:
            if base in seen or e < 0.0 or is_call(base, "sin", "cos", "tan"):
                return True
        seen.update(base for base, _ in monomial)
    return False


def _reduced(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial] | None:
    """``a/b`` in lower terms, or None."""
    quotient = divided(a, b)
    if quotient is not None:
        return quotient, {(): 1.0}
    quotient = divided(b, a)
    if quotient is not None:
        return {(): 1.0}, quotient
    shared = common_divisor(a, b)
    if shared is None or len(shared) < 2:
        return None
    above, below = divided(a, shared), divided(b, shared)
    return None if above is None or below is None else (above, below)

"""SRBench's model complexity, computed without SymPy.

SRBench's model size is the number of nodes, in preorder, of what ``sympy.parse_expr`` makes of the
model string. SymPy evaluates while it parses: sums and products become n-ary, ``x - y`` is
``Add(x, Mul(-1, y))`` (5 nodes), ``x/y`` is ``Mul(x, Pow(y, -1))`` (5), ``sqrt(x)`` is
``Pow(x, 1/2)`` (3), ``2*(x + y)`` is ``2*x + 2*y`` (7). This module repeats those automatic rules
(SymPy 1.14) on nested tuples, in microseconds; a test holds it against SymPy itself.

A node is a number (int or Fraction: an Integer or Rational of SymPy; float: a Float), or

- ``("v", column)``, ``("f", name, node)``, ``("^", base, exponent)`` with any nodes
- ``("*", coefficient, ((node, number), ...))`` and ``("+", constant, ((node, coefficient), ...))``
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeGuard

import numpy as np

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.text.printing import printed_whole
from equate_srbench.expr.tree import Tree

Number = int | Fraction | float
Weighted = tuple[tuple["Node", Number], ...]  # factors with exponents, terms with coefficients
Variable = tuple[Literal["v"], int]
Call = tuple[Literal["f"], str, "Node"]
Power = tuple[Literal["^"], "Node", "Node"]
Product = tuple[Literal["*"], Number, Weighted]
Sum = tuple[Literal["+"], Number, Weighted]
Form = Variable | Call | Power | Product | Sum
Node = Number | Form

_HALF = Fraction(1, 2)
_POWERS: dict[str, Number] = {"inv": -1, "sqrt": _HALF, "square": 2, "cube": 3}
_ODD = frozenset({"sin", "tan", "arcsin", "arctan", "tanh"})
#: In place of a constant like ``log(-1)``: NaN is not equal to itself, and sums never settle.
_UNDEFINED: Variable = ("v", -1)
_NO_ROWS = np.empty((1, 0))


@lru_cache(maxsize=20_000)
def complexity(tree: Tree) -> int:
    """Number of nodes that SymPy's ``parse_expr`` makes of ``to_text(tree)``.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    int
        Constants count as they are printed; SRBench rounds them to three decimals first, which
        only matters for constants that round to 0 or 1.

    Examples
    --------
    >>> from equate_srbench.expr.text.parser import parse
    >>> [complexity(parse(s, ["x", "y"])) for s in ("x - y", "x/y", "sqrt(x)", "2*(x + y)")]
    [5, 5, 3, 7]
    """
    return _count(_read(tree))


def _read(tree: Tree) -> Node:
    whole = printed_whole(tree)
    stack: list[tuple[Node, Tree | None]] = []  # a node, and the tree of one without columns
    place = len(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            place -= 1
            value = tree.constants[place]
            leaf = Tree.constant(value)
            stack.append((int(value) if whole[place] else value, leaf))
        elif symbol >= VARIABLE:
            stack.append((("v", symbol - VARIABLE), None))
        else:
            op = BY_CODE[symbol]
            args = [stack.pop() for _ in range(op.arity)]
            fixed = [tree for _, tree in args if tree is not None]
            if len(fixed) == op.arity:  # printed with points, so SymPy folds it to one Float
                folded = Tree.apply(op.name, *fixed)
                value = float(evaluate(folded, _NO_ROWS)[0])
                stack.append((value if math.isfinite(value) else _UNDEFINED, folded))
            else:
                stack.append((_operate(op.name, *(node for node, _ in args)), None))
    return stack[0][0]


def _operate(name: str, *args: Node) -> Node:
    if name in ("add", "sub"):
        second = args[1] if name == "add" else _multiply(-1, args[1])
        return _add((args[0], 1), (second, 1))
    if name == "mul":
        return _multiply(*args)
    if name == "div":
        return _multiply(args[0], _power(args[1], -1))
    if name == "pow":
        return _raise(*args)
    if name in _POWERS:
        return _power(args[0], _POWERS[name])
    return _function(name, args[0])


def _is_call(node: Node, *names: str) -> TypeGuard[Call]:
    return isinstance(node, tuple) and node[0] == "f" and node[1] in names


def _is_one(node: Node) -> bool:
    return bool(node == 1) and not isinstance(node, float)  # SymPy keeps the factor 1.0


def _whole(e: Number) -> bool:
    return isinstance(e, int) or (isinstance(e, Fraction) and e.denominator == 1)


def _split(node: Node) -> tuple[Number, Node]:
    if not isinstance(node, tuple):
        return node, 1
    if node[0] == "*":
        return node[1], _product(1, node[2])
    return 1, node


def _factors(node: Node) -> Weighted:
    if not isinstance(node, tuple):
        return ()
    return node[2] if node[0] == "*" else ((node, 1),)


# -- sums, products, powers -----------------------------------------------------------------


def _add(*terms: tuple[Node, Number]) -> Node:
    constant: Number = 0
    collected: dict[Node, Number] = {}
    queue = list(reversed(terms))
    while queue:
        node, c = queue.pop()
        inner, rest = _split(node)
        if not isinstance(rest, tuple):
            constant += c * inner * rest
        elif rest[0] == "+":
            constant += c * inner * rest[1]
            queue += [(term, c * inner * d) for term, d in reversed(rest[2])]
        else:
            collected[rest] = collected.get(rest, 0) + c * inner
    kept = tuple((node, c) for node, c in collected.items() if c != 0)
    if not kept:
        return constant
    if len(kept) == 1 and constant == 0:
        return _multiply(kept[0][1], kept[0][0])
    return "+", constant, kept


def _multiply(*nodes: Node) -> Node:
    coefficient: Number = 1
    powers: dict[Node, Number] = {}
    exponents: dict[Node, Number] = {}  # exp(x)*exp(2*x) is exp(3*x), exp(x)*exp(y) stays
    queue = list(reversed(nodes))
    while queue:
        node = queue.pop()
        if not isinstance(node, tuple):
            coefficient *= node
            continue
        if node[0] == "*":
            coefficient *= node[1]
        for base, e in _factors(node):
            if _is_call(base, "exp") and _is_one(e):
                c, rest = _split(base[2])
                exponents[rest] = exponents.get(rest, 0) + c
                continue
            total = powers.pop(base, 0) + e
            if total == e or not isinstance(base, tuple) or base[0] != "*" or total == 0:
                powers[base] = total
            else:
                queue.append(_power(base, total))
    for rest, c in exponents.items():
        if c != 0:
            powers[("f", "exp", _multiply(c, rest))] = 1
    factors = tuple((base, e) for base, e in powers.items() if e != 0)
    product = _product(coefficient, factors)
    if len(factors) == 1 and not _is_one(coefficient) and coefficient != 0:
        base, e = factors[0]
        if _is_one(e) and isinstance(base, tuple) and base[0] == "+":  # 2*(x + y) = 2*x + 2*y
            terms = tuple((node, coefficient * c) for node, c in base[2])
            return "+", coefficient * base[1], terms
    return product


def _product(coefficient: Number, factors: Weighted) -> Node:
    if coefficient == 0 or not factors:
        return coefficient
    if len(factors) == 1 and _is_one(coefficient) and _is_one(factors[0][1]):
        return factors[0][0]
    return "*", coefficient, factors


def _power(base: Node, e: Number) -> Node:
    if e == 0:
        return 1
    if _is_one(e):
        return base
    if not isinstance(base, tuple):
        return _number_power(base, e)
    if _is_call(base, "exp") and _whole(e):
        return _function("exp", _multiply(e, base[2]))
    if base[0] == "^" and _whole(e):
        return "^", base[1], _multiply(e, base[2])
    if base[0] != "*":
        return "*", 1, ((base, e),)
    coefficient, factors = base[1], base[2]
    if _whole(e):
        parts = [_power(inner, d * e) for inner, d in factors]
        return _multiply(_number_power(coefficient, e), *parts)
    return _root(coefficient, factors, e)


def _root(coefficient: Number, factors: Weighted, e: Number) -> Node:
    """A fractional power of a product, with positive numbers and absolute values taken out."""
    inner, d = factors[0]
    if len(factors) == 1 and _is_one(coefficient):
        if -1 < d < 1 or _is_magnitude(inner):
            return _power(inner, d * e)
        return "*", 1, ((_product(1, factors), e),)
    free = [factor for factor in factors if _is_magnitude(factor[0])]
    held = tuple(factor for factor in factors if not _is_magnitude(factor[0]))
    outside = [_number_power(max(coefficient, -coefficient), e)] if not _is_one(coefficient) else []
    outside += [_power(inner, d * e) for inner, d in free]
    sign = 1 if coefficient > 0 else -1
    if not held and sign > 0:
        return _multiply(*outside)
    return _multiply(*outside, _power_kept(_product(sign, held), e))


def _power_kept(base: Node, e: Number) -> Node:
    if isinstance(base, tuple) and base[0] == "*" and len(base[2]) == 1 and _is_one(base[1]):
        return _root(1, base[2], e)
    return "*", 1, ((base, e),)


def _is_magnitude(node: Node) -> bool:
    return _is_call(node, "abs")


def _number_power(base: Number, e: Number) -> Node:
    """Fold a power of numbers, except roots such as ``sqrt(2)``: SymPy keeps three nodes."""
    exact = not isinstance(base, float) and not isinstance(e, float)
    try:
        if exact and _whole(e):
            whole: Fraction = Fraction(base) ** int(e)
            return whole
        value: float | complex = float(base) ** float(e)
    except (OverflowError, ZeroDivisionError):
        return _UNDEFINED
    if isinstance(value, complex):
        return "*", 1, ((base, e),)
    if not exact:
        return value
    near = Fraction(value).limit_denominator(1000)
    root = Fraction(e).denominator
    found = root < 10 and near**root == Fraction(base) ** Fraction(e).numerator
    return near if found else ("*", 1, ((base, e),))


def _raise(base: Node, exponent: Node) -> Node:
    if not isinstance(exponent, tuple):
        return _power(base, exponent)
    return 1 if _is_one(base) else ("^", base, exponent)


# -- functions ------------------------------------------------------------------------------


def _function(name: str, node: Node) -> Node:
    if not isinstance(node, tuple):
        return _folded(name, node)
    if name == "exp":
        return _exponential(node)
    if name == "abs":
        return _absolute(node)
    if node[0] == "f" and node[1] in ("arcsin", "arccos", "arctan"):
        return _undone(name, node[1], node[2]) or ("f", name, node)
    if (name in _ODD or name == "cos") and _minus_first(node):
        turned = _function(name, _multiply(-1, node))
        return turned if name == "cos" else _multiply(-1, turned)
    return "f", name, node


def _folded(name: str, value: Number) -> Number:
    """Fold a function of a number that is left when columns cancel; 0 and 1 stay exact."""
    result = float(evaluate(Tree.apply(name, Tree.constant(float(value))), _NO_ROWS)[0])
    return int(result) if result in (0.0, 1.0) and not isinstance(value, float) else result


def _exponential(node: Form) -> Node:
    """``exp``, where numbers times logarithms become powers and a Float summand a factor."""
    constant: Number
    terms: Weighted
    constant, terms = (node[1], node[2]) if node[0] == "+" else (0, ((node, 1),))
    outside: list[Node] = []
    rest: list[tuple[Node, Number]] = []
    for term, c in terms:
        d, inner = _split(term)
        if _is_call(inner, "log"):
            outside.append(_power(inner[2], c * d))
        else:
            rest.append((term, c))
    if isinstance(constant, float) and rest:
        outside.append(math.exp(max(-700.0, min(constant, 700.0))))  # SymPy has no underflow
        constant = 0
    left = _add((constant, 1), *rest)
    if left != 0:
        outside.append(("f", "exp", left))
    return _multiply(*outside)


def _absolute(node: Form) -> Node:
    """``Abs``, with numbers, absolute values and exponentials taken out of products."""
    if node[0] == "+":
        return "f", "abs", _multiply(-1, node) if _minus_first(node) else node
    coefficient, _ = _split(node)
    known: list[Node] = [abs(coefficient)]
    unknown: list[tuple[Node, Number]] = []
    for base, e in _factors(node):
        if _is_magnitude(base):
            known.append(_power(base, e))
        elif _is_call(base, "exp") and _is_one(e):
            known.append(("f", "exp", _real_part(base[2])))
        else:
            unknown.append((base, e))
    if not unknown:
        return _multiply(*known)
    return _multiply(*known, ("f", "abs", _product(1, tuple(unknown))))


def _real_part(node: Node) -> Node:
    """Real part: SymPy's symbols are complex, so ``Abs(exp(x))`` is ``exp(re(x))``."""
    if isinstance(node, tuple) and node[0] == "+":
        return "+", node[1], tuple((_real_part(term), c) for term, c in node[2])
    coefficient, rest = _split(node)
    return _multiply(coefficient, rest if _is_magnitude(rest) else ("f", "re", rest))


def _undone(name: str, inverse: str, u: Node) -> Node | None:
    """Compose a trigonometric function with an inverse one; None if SymPy has no rule."""
    if (name, inverse) in (("sin", "arcsin"), ("cos", "arccos"), ("tan", "arctan")):
        return u
    square = _power(u, 2)
    sign = 1 if inverse == "arctan" else -1
    root = _power(_add((1, 1), (square, sign)), _HALF)
    forms = {
        ("sin", "arccos"): lambda: root,
        ("cos", "arcsin"): lambda: root,
        ("tan", "arcsin"): lambda: _multiply(u, _power(root, -1)),
        ("tan", "arccos"): lambda: _multiply(root, _power(u, -1)),
        ("sin", "arctan"): lambda: _multiply(u, _power(root, -1)),
        ("cos", "arctan"): lambda: _power(root, -1),
    }
    form = forms.get((name, inverse))
    return None if form is None else form()


def _minus_first(node: Form) -> bool:
    """SymPy's ``could_extract_minus_sign``: by most signs, then by that of the leading term."""
    if node[0] != "+":
        return bool(_split(node)[0] < 0)
    signs = [c < 0 for _, c in node[2]] + ([node[1] < 0] if node[1] != 0 else [])
    if 2 * sum(signs) != len(signs):
        return bool(2 * sum(signs) > len(signs))
    bases = sorted({base for term, _ in node[2] for base, _ in _factors(term)}, key=_order)

    def monomial(term: tuple[Node, Number]) -> list[Number]:
        exponents = dict(_factors(term[0]))
        return [exponents.get(base, 0) for base in bases]

    leading: Number = max(node[2], key=monomial)[1]
    return leading < 0


def _order(node: Node) -> tuple[int, str]:
    """Sort key in SymPy's order of generators: columns, then sums and powers, then functions."""
    if not isinstance(node, tuple):
        return 0, ""
    rank = {"v": 1, "*": 2, "+": 3, "^": 4, "f": 5}[node[0]]
    return rank, f"x_{node[1]}" if rank == 1 else repr(node[1:])


# -- counting -------------------------------------------------------------------------------


def _count(node: Node) -> int:
    if not isinstance(node, tuple) or node[0] == "v":
        return 1
    if node[0] == "f":
        return 1 + _count(node[2])
    if node[0] == "^":
        return 1 + _count(node[1]) + _count(node[2])
    if node[0] == "*":
        return _count_product(node[1], node[2])
    parts = [] if node[1] == 0 else [1]
    for term, c in node[2]:
        d, rest = _split(term)
        parts.append(_count_product(c * d, _factors(rest)))
    return parts[0] if len(parts) == 1 else 1 + sum(parts)


def _count_product(coefficient: Number, factors: Weighted) -> int:
    parts = [] if _is_one(coefficient) else [1]
    parts += [_count(base) + (0 if _is_one(e) else 2) for base, e in factors]
    return parts[0] if len(parts) == 1 else 1 + sum(parts)

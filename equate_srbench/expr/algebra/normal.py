"""Normal form of expressions, in which the training corpus is drawn and deduplicated.

An expression is a pair ``(coefficient, node)``, or ``(value, None)`` for a constant. A node is a
nested tuple, so that nodes hash and compare by plain tuple order:

- ``("v", column)``
- ``("f", name, expression)`` a function of one argument
- ``("p", ((node, exponent), ...))`` a product of powers, sorted
- ``("s", ((node, coefficient), ...), constant)`` a sum, sorted, its first coefficient 1

The constructors below merge like terms, pull coefficients out and fold constants, so that equal
functions mostly become equal nodes. Square roots of powers take the positive
branch (``sqrt(x**2)`` becomes ``x``): fine for drawing formulas, since their values are computed
from the normal form itself, but not a proof of equality.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal

from equate_srbench.expr.operators import BY_CODE, BY_NAME, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree

Variable = tuple[Literal["v"], int]
Call = tuple[Literal["f"], str, "Expression"]
Product = tuple[Literal["p"], tuple[tuple["Node", float], ...]]
Sum = tuple[Literal["s"], tuple[tuple["Node", float], ...], float]
Node = Variable | Call | Product | Sum
Expression = tuple[float, Node | None]

_ODD = frozenset({"sin", "tan", "arcsin", "arctan", "tanh"})
_EVEN = frozenset({"cos", "abs"})
_FOLD: dict[str, Callable[[float], float]] = {
    "exp": math.exp, "log": math.log, "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "tanh": math.tanh, "abs": abs,
}  # fmt: skip


class UndefinedConstantError(ValueError):
    """Raised if a constant subexpression has no finite real value (``log(-1)``, ``1/0``)."""


def constant(value: float) -> Expression:
    """A constant expression."""
    return float(value), None


def variable(column: int) -> Expression:
    """The expression ``x_column``."""
    return 1.0, ("v", column)


def add(*expressions: Expression) -> Expression:
    """Add expressions: like terms are merged, and the first coefficient inside is 1."""
    total = 0.0
    terms: dict[Node, float] = {}
    for coefficient, node in expressions:
        if node is None:
            total += coefficient
        elif node[0] == "s":
            total += coefficient * node[2]
            for inner, c in node[1]:
                terms[inner] = terms.get(inner, 0.0) + coefficient * c
        else:
            terms[node] = terms.get(node, 0.0) + coefficient
    kept = sorted((node, c) for node, c in terms.items() if abs(c) > 1e-12)
    if not kept:
        return total, None
    if len(kept) == 1 and total == 0.0:
        return kept[0][1], kept[0][0]
    lead = kept[0][1]
    return lead, ("s", tuple((node, c / lead) for node, c in kept), total / lead)


def scaled(expression: Expression, factor: float) -> Expression:
    """``factor * expression``."""
    return expression[0] * factor, expression[1]


def multiply(*expressions: Expression) -> Expression:
    """Multiply expressions: equal bases and exponentials are merged."""
    coefficient = 1.0
    powers: dict[Node, float] = {}
    exponents: list[Expression] = []
    for c, node in expressions:
        coefficient *= c
        if node is None:
            continue
        for base, e in node[1] if node[0] == "p" else ((node, 1.0),):
            if base[0] == "f" and base[1] == "exp":
                exponents.append(scaled(base[2], e))
            else:
                powers[base] = powers.get(base, 0.0) + e
    if exponents:
        c, node = apply("exp", add(*exponents))
        coefficient *= c
        if node is not None:
            powers[node] = powers.get(node, 0.0) + 1.0
    if coefficient == 0.0:
        return 0.0, None
    factors = tuple(sorted((base, e) for base, e in powers.items() if e != 0.0))
    if not factors:
        return coefficient, None
    if len(factors) == 1 and factors[0][1] == 1.0:
        return coefficient, factors[0][0]
    return coefficient, ("p", factors)


def power(expression: Expression, exponent: float) -> Expression:
    """Raise an expression to a constant exponent.

    Raises
    ------
    UndefinedConstantError
        For a constant without a finite real power.
    """
    c, node = expression
    if exponent == 1.0:
        return expression
    if c < 0.0 and node is not None and exponent != int(exponent):
        # the minus sign stays inside the root: sqrt(1 - x) is not sqrt(x - 1)
        terms, total = (node[1], node[2]) if node[0] == "s" else (((node, 1.0),), 0.0)
        node = ("s", tuple((inner, -t) for inner, t in terms), -total)
        c = -c
    try:
        value = float(c**exponent)
    except (ZeroDivisionError, OverflowError, TypeError) as error:
        raise UndefinedConstantError(f"{c} ** {exponent}") from error
    if isinstance(c**exponent, complex) or not math.isfinite(value):
        raise UndefinedConstantError(f"{c} ** {exponent}")
    if node is None:
        return value, None
    factors = node[1] if node[0] == "p" else ((node, 1.0),)
    return multiply((value, None), (1.0, ("p", tuple((b, e * exponent) for b, e in factors))))


def apply(name: str, argument: Expression) -> Expression:
    """Apply function ``name``; signs are taken out and inverse pairs cancelled.

    Raises
    ------
    UndefinedConstantError
        For a constant outside the function's domain.
    """
    c, node = argument
    if node is None:
        try:
            return constant(_FOLD[name](c))
        except (ValueError, OverflowError) as error:
            raise UndefinedConstantError(f"{name}({c})") from error
    sign = 1.0
    if c < 0.0 and name in _ODD:
        sign, c = -1.0, -c
    elif c < 0.0 and name in _EVEN:
        c = -c
    if name == "abs":
        return (c, node) if _never_negative(node) else (c, ("f", "abs", (1.0, node)))
    if name == "log":
        return _log(c, node)
    if name == "exp" and node[0] == "f" and node[1] == "log":
        return power(node[2], c)
    if name == "exp" and node[0] == "s" and node[2] != 0.0 and abs(c * node[2]) < 50.0:
        rest = add(*((c * t, inner) for inner, t in node[1]))
        outside = math.exp(c * node[2])
        # terms that vanish beside the constant leave none behind
        return (outside, ("f", "exp", rest)) if rest[1] else constant(outside)
    return sign, ("f", name, (c, node))


def _never_negative(node: Node) -> bool:
    if node[0] == "p":
        return all(e % 2.0 in (0.0, 0.5) for _, e in node[1])
    return node[0] == "f" and node[1] in ("exp", "abs")


def _log(c: float, node: Node) -> Expression:
    """``log(c * node)``, with a positive factor and a single power taken out."""
    if node[0] == "f" and node[1] == "exp" and c > 0.0:
        return add(constant(math.log(c)), node[2])
    outside = 0.0
    if c > 0.0:
        outside, c = math.log(c), 1.0
    if node[0] == "p" and len(node[1]) == 1 and c == 1.0:
        base, exponent = node[1][0]
        return add(constant(outside), (exponent, ("f", "log", (1.0, base))))
    return add(constant(outside), (1.0, ("f", "log", (c, node))))


def strip(expression: Expression) -> Expression:
    """Remove outer scale and offset, which a fit finds in closed form."""
    node = expression[1]
    if node is not None and node[0] == "s":
        return 1.0, add(*((c, inner) for inner, c in node[1]))[1]
    return 1.0, node


def substitute(expression: Expression, values: dict[int, Expression]) -> Expression:
    """Replace columns by expressions."""
    c, node = expression
    if node is None:
        return expression
    if node[0] == "v":
        return scaled(values.get(node[1], (1.0, node)), c)
    if node[0] == "f":
        return scaled(apply(node[1], substitute(node[2], values)), c)
    if node[0] == "p":
        parts = [power(substitute((1.0, base), values), e) for base, e in node[1]]
        return scaled(multiply(*parts), c)
    parts = [scaled(substitute((1.0, inner), values), t) for inner, t in node[1]]
    return scaled(add(constant(node[2]), *parts), c)


# -- from and to trees ------------------------------------------------------------------------


def from_tree(tree: Tree) -> Expression:
    """Normal form of ``tree``.

    Raises
    ------
    UndefinedConstantError
        When a constant subexpression is undefined, or a power has a variable exponent over a
        negative constant base.
    """
    values = list(tree.constants)
    stack: list[Expression] = []
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(constant(values.pop()))
        elif symbol >= VARIABLE:
            stack.append(variable(symbol - VARIABLE))
        else:
            op = BY_CODE[symbol]
            stack.append(_operate(op.name, [stack.pop() for _ in range(op.arity)]))
    return stack[0]


def _operate(name: str, args: list[Expression]) -> Expression:
    first = args[0]
    if name == "pow":
        if args[1][1] is None:
            return power(first, args[1][0])
        return apply("exp", multiply(args[1], apply("log", first)))
    if name in _POWERS:
        return power(first, _POWERS[name])
    if name == "add":
        return add(*args)
    if name == "sub":
        return add(first, scaled(args[1], -1.0))
    if name == "mul":
        return multiply(*args)
    if name == "div":
        return multiply(first, power(args[1], -1.0))
    return apply(name, first)


_POWERS = {"inv": -1.0, "sqrt": 0.5, "square": 2.0, "cube": 3.0}


def to_tree(expression: Expression) -> Tree:
    """Canonical tree of an expression: one training target per function."""
    return _emit(*expression)


def _emit(c: float, node: Node | None) -> Tree:
    if node is None:
        return Tree.constant(c)
    factors = [] if c == 1.0 else [Tree.constant(c)]
    if node[0] == "v":
        factors.append(Tree.variable(node[1]))
    elif node[0] == "f":
        factors.append(Tree.apply(node[1], _emit(*node[2])))
    elif node[0] == "s":
        factors.append(_emit_sum(node))
    else:
        up, down = _fraction(node)
        if not down:
            factors += up
        elif up:
            factors.append(Tree.apply("div", _chain("mul", up), _chain("mul", down)))
        elif factors:
            return Tree.apply("div", factors[0], _chain("mul", down))
        else:
            return Tree.apply("inv", _chain("mul", down))
    return _chain("mul", factors)


def _emit_sum(node: Sum) -> Tree:
    """A sum as positive terms minus negative terms."""
    plus = [_emit(c, inner) for inner, c in node[1] if c > 0.0]
    minus = [_emit(-c, inner) for inner, c in node[1] if c < 0.0]
    if node[2] > 0.0:
        plus.append(Tree.constant(node[2]))
    elif node[2] < 0.0:
        minus.append(Tree.constant(-node[2]))
    if not plus:
        return _chain("mul", [Tree.constant(-1.0), _chain("add", minus)])
    total = _chain("add", plus)
    return Tree.apply("sub", total, _chain("add", minus)) if minus else total


def _chain(name: str, parts: list[Tree]) -> Tree:
    """Join ``parts`` by a commutative operator, in the order of ``Tree.canonical``."""
    if len(parts) == 1:
        return parts[0]
    code = BY_NAME[name].code
    while any(part.symbols[0] == code for part in parts):
        parts = [p for part in parts for p in (part.args() if part.symbols[0] == code else [part])]
    parts = sorted(parts, key=lambda t: (-t.size, t.symbols, t.constants))
    symbols: tuple[int, ...] = ()
    constants: tuple[float, ...] = ()
    for part in parts[:-1]:
        symbols += (code, *part.symbols)
        constants += part.constants
    return Tree(symbols + parts[-1].symbols, constants + parts[-1].constants)


def _fraction(node: Product) -> tuple[list[Tree], list[Tree]]:
    """Numerator and denominator, factors with equal exponents under one power."""
    groups: dict[float, tuple[list[Tree], list[Tree]]] = {}
    for base, exponent in node[1]:
        size = abs(exponent)
        # x**1.5 is x * sqrt(x): the root joins the other roots
        halves = (math.floor(size), 0.5) if size % 1.0 == 0.5 and size < 4.0 else (size,)
        for part in halves:
            if part:
                pair = groups.setdefault(part, ([], []))
                pair[0 if exponent > 0.0 else 1].append(_emit(1.0, base))
    up: list[Tree] = []
    down: list[Tree] = []
    for exponent in sorted(groups):
        above, below = groups[exponent]
        if exponent == 1.0:
            up += above
            down += below
        elif above and below:
            ratio = Tree.apply("div", _chain("mul", above), _chain("mul", below))
            up.append(_raised(ratio, exponent))
        elif above:
            up.append(_raised(_chain("mul", above), exponent))
        else:
            down.append(_raised(_chain("mul", below), exponent))
    return up, down


def _raised(base: Tree, exponent: float) -> Tree:
    if exponent == 0.5:
        return Tree.apply("sqrt", base)
    if exponent == 2.0:
        return Tree.apply("square", base)
    if exponent == 3.0:
        return Tree.apply("cube", base)
    if exponent == 4.0:
        return Tree.apply("square", Tree.apply("square", base))
    return Tree.apply("pow", base, Tree.constant(exponent))


# -- comparison -------------------------------------------------------------------------------


def skeleton_key(expression: Expression) -> str:
    """Hash of an expression up to scale, offset, constants, order and column names.

    Columns are told apart by where they occur (one round of colour refinement), which is the
    same for every renaming. Formulas that this cannot tell apart share a key, so a comparison
    by key errs on the side of calling two skeletons equal.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    node = strip(expression)[1]
    if node is None:
        return _digest("c")
    places: dict[int, list[str]] = {}
    _walk(node, "", places)
    colours = {column: "|".join(sorted(paths)) for column, paths in places.items()}
    ranks = {colour: str(i) for i, colour in enumerate(sorted(set(colours.values())))}
    return _digest(_word(node, {column: ranks[colour] for column, colour in colours.items()}))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _word(node: Node, colours: dict[int, str]) -> str:
    """Text of a node: children sorted, coefficients and constants as wildcards."""
    if node[0] == "v":
        return "x" + colours.get(node[1], "")
    if node[0] == "f":
        return f"{node[1]}({_word(_argument(node), colours)})"
    if node[0] == "p":
        return "*(" + ",".join(sorted(_word(b, colours) + _exponent(e) for b, e in node[1])) + ")"
    end = "+c)" if node[2] != 0.0 else ")"
    return "+(" + ",".join(sorted(_word(inner, colours) for inner, _ in node[1])) + end


def _argument(call: Call) -> Node:
    node = call[2][1]
    assert node is not None  # functions of constants are folded
    return node


def _exponent(e: float) -> str:
    return f"^{e:g}" if (2.0 * e).is_integer() and abs(e) <= 4.0 else "^c"


def _walk(node: Node, path: str, places: dict[int, list[str]]) -> None:
    """Collect, for each column, the paths to its occurrences (as text of the nodes passed)."""
    if node[0] == "v":
        places.setdefault(node[1], []).append(path)
        return
    path = f"{path}/{_word(node, {})}"
    if node[0] == "f":
        _walk(_argument(node), path, places)
    elif node[0] == "p":
        for base, e in node[1]:
            _walk(base, path + _exponent(e), places)
    else:
        for inner, _ in node[1]:
            _walk(inner, path, places)

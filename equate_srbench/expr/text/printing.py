"""Printing of trees as formula text (for SymPy and our parser) and as NumPy and C source.

A tree is printed in one pass from right to left over its symbols, on a stack of ``Piece``.
Brackets are left out only where the reader of the text rebuilds the same operation on the same
operands, so the parsed text computes bitwise what the tree computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import BY_CODE, CONSTANT, OPERATORS, VARIABLE
from equate_srbench.expr.text.names import plain_names
from equate_srbench.expr.tree import Tree

_SUM, _PRODUCT, _CALL = 1, 2, 4
_WHOLE = 1e15  # whole numbers below are printed without a point and an exponent

Templates = Mapping[int, tuple[str, int]]

_SYMPY: Templates = {op.code: (op.sympy, op.level) for op in OPERATORS}
_NUMPY: Templates = {op.code: (op.numpy, op.level) for op in OPERATORS}
_C_NAMES = {"abs": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_C_FORMS = {
    "pow": ("pow({0}, {1})", _CALL),
    "square": ("pow({0}, 2.0)", _CALL),
    "cube": ("pow({0}, 3.0)", _CALL),
    "inv": ("1.0 / {0}", _PRODUCT),
}
_C: Templates = {
    op.code: _C_FORMS.get(
        op.name,
        (op.numpy, op.level)
        if op.arity == 2
        else (f"{_C_NAMES.get(op.name, op.name)}({{0}})", _CALL),
    )
    for op in OPERATORS
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one subtree.

    Attributes
    ----------
    text : str
    level : int
        Binding strength: 1 sum, 2 product or leading minus, 3 power, 4 name, number or call.
    value : float or None
        The number, for a leaf constant: its text depends on what stands around it.
    fixed : bool
        Whether no column occurs in the subtree.
    negated : Piece or None
        The text of minus the subtree, if that is shorter by a minus sign.
    """

    text: str
    level: int = _CALL
    value: float | None = None
    fixed: bool = False
    negated: Piece | None = None

    def at(self, level: int) -> str:
        """The text, in parentheses unless it binds at least as strongly as ``level``."""
        return self.text if self.level >= level else f"({self.text})"


def number_text(value: float, *, whole: bool = True) -> str:
    """Shortest decimal text that reads back as exactly ``value``.

    Parameters
    ----------
    value : float
    whole : bool, default=True
        Print 2.0 as ``2``.

    Raises
    ------
    FormulaError
        For NaN and infinities, which have no text that every reader knows.
    """
    if not math.isfinite(value):
        raise FormulaError(f"the constant {value} cannot be printed; constants must be finite")
    if whole and _is_whole(value):
        return str(int(value))
    return repr(float(value))


def to_text(tree: Tree, names: Sequence[str]) -> str:
    """Print ``tree`` as text for SymPy and our parser, which restores it bit for bit.

    Parameters
    ----------
    tree : Tree
        With finite constants.
    names : sequence of str
        One identifier per column (see ``names.plain_names``).

    Raises
    ------
    FormulaError
        For a constant that is not finite, or a column without a name.

    Examples
    --------
    >>> from equate_srbench.expr.tree import Tree
    >>> x, y = Tree.variable(0), Tree.variable(1)
    >>> to_text(Tree.apply("sub", x, Tree.apply("square", Tree.apply("add", x, y))), ["a", "b"])
    'a - (a + b)**2'
    """
    return render(tree, names, _SYMPY)


def to_numpy(tree: Tree, names: Sequence[str]) -> str:
    """NumPy source of a function ``f(X)`` with ``X`` of shape (n_rows, n_columns).

    Parameters
    ----------
    tree : Tree
    names : sequence of str
        Column names, used as variable names where Python allows it.

    Returns
    -------
    str
        A module's text that imports NumPy and defines ``f``.
    """
    plain = plain_names(names, reserved={"np", "f", "X"})
    lines = ["import numpy as np", "", "", "def f(X):"]
    lines += [f"    {plain[j]} = X[:, {j}]" for j in tree.columns]
    body = render(tree, plain, _NUMPY)
    lines.append(f"    return {body}" if tree.columns else f"    return np.full(len(X), {body})")
    return "\n".join(lines) + "\n"


def to_c(tree: Tree, names: Sequence[str]) -> str:
    """C99 source of ``double f(const double *x)`` for one row of columns.

    Parameters
    ----------
    tree : Tree
    names : sequence of str
        Column names, given in a comment.
    """
    used = ", ".join(f"x[{j}] = {names[j]!r}" for j in tree.columns).replace("*/", "* /")
    cells = [f"x[{j}]" for j in range(len(names))]
    body = render(tree, cells, _C, whole=False)
    return (
        f"#include <math.h>\n\n/* {used} */\ndouble f(const double *x) {{\n    return {body};\n}}\n"
    )


def render(tree: Tree, names: Sequence[str], templates: Templates, *, whole: bool = True) -> str:
    """Print ``tree`` with one template and binding level per operator code."""
    stack: list[Piece] = []
    values = list(tree.constants)
    plain = printed_whole(tree) if whole else [False] * len(values)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(_number(values.pop(), plain.pop()))
        elif symbol >= VARIABLE:
            stack.append(Piece(_name(names, symbol - VARIABLE)))
        else:
            args = [stack.pop() for _ in range(BY_CODE[symbol].arity)]
            stack.append(_combine(symbol, args, templates))
    return stack[0].text


def printed_whole(tree: Tree) -> list[bool]:
    """Which constants are printed as integers, in the tree's order.

    Factors under a root are printed as ``sqrt(2.0*x)``: of ``sqrt(2*x)`` SymPy makes
    ``sqrt(2)*sqrt(x)``, which is longer. Trees without columns are printed with points as well
    (see ``_combine``), but those are not looked for here.
    """
    out: list[bool] = []
    values = iter(tree.constants)
    # for each node to come: 0 free, 1 the root's own argument, 2 a factor of it
    stack = [0]
    for symbol in tree.symbols:
        state = stack.pop()
        if symbol == CONSTANT:
            value = next(values)
            out.append(_is_whole(value) and (state < 2 or abs(value) == 1.0))
        elif symbol < VARIABLE:
            op = BY_CODE[symbol]
            below = 2 if state and op.name in _MONOMIALS else 0
            if op.name in ("sqrt", "pow"):
                below = 1
            # the last argument is read last; an exponent is not under the root
            stack += [0 if op.name == "pow" else below, below] if op.arity == 2 else [below]
    return out


_MONOMIALS = frozenset({"mul", "div", "inv", "square", "cube"})


def _is_whole(value: float) -> bool:
    if abs(value) >= _WHOLE or not value.is_integer():
        return False
    return value != 0.0 or _positive(value)


def _combine(symbol: int, args: list[Piece], templates: Templates) -> Piece:
    fixed = all(arg.fixed for arg in args)
    if fixed:
        # with points SymPy computes 2.0**9.0 as a float at once; 9**(9**9) would never end
        args = [a if a.value is None else _number(a.value, whole=False) for a in args]
    name = BY_CODE[symbol].name
    template, level = templates[symbol]
    if name in ("add", "sub"):
        piece = _sum(name, args, templates)
    elif name == "mul" and args[0].value == -1.0:
        piece = Piece(f"-{args[1].at(_PRODUCT + 1)}", _PRODUCT, negated=args[1])
    elif name in ("mul", "div"):
        left, right = args[0], args[1].at(_PRODUCT + 1)
        opposite = left.negated
        if opposite is not None:
            opposite = Piece(template.format(opposite.at(_PRODUCT), right), _PRODUCT)
        piece = Piece(template.format(left.at(_PRODUCT), right), _PRODUCT, negated=opposite)
    elif level == _CALL:
        piece = Piece(template.format(*(arg.text for arg in args)), _CALL)
    elif name == "inv":
        piece = Piece(template.format(args[0].at(_PRODUCT + 1)), _PRODUCT)
    else:  # powers: the base, and a written exponent, in brackets unless they are one word
        piece = Piece(template.format(*(arg.at(_CALL) for arg in args)), level)
    return replace(piece, fixed=fixed)


def _sum(name: str, args: list[Piece], templates: Templates) -> Piece:
    """Print a + (-2 b) as ``a - 2*b``, which rounds to the same bits."""
    left, right = args
    while right.negated is not None:
        name, right = ("sub" if name == "add" else "add"), right.negated
    code = _ADD if name == "add" else _SUB
    return Piece(templates[code][0].format(left.at(_SUM), right.at(_PRODUCT)), _SUM)


_ADD = next(op.code for op in OPERATORS if op.name == "add")
_SUB = next(op.code for op in OPERATORS if op.name == "sub")


def _number(value: float, whole: bool) -> Piece:
    text = number_text(value, whole=whole)
    if _positive(value):
        return Piece(text, _CALL, value, fixed=True)
    return Piece(text, _PRODUCT, value, True, Piece(text[1:], _CALL, -value, fixed=True))


def _positive(value: float) -> bool:
    return math.copysign(1.0, value) > 0.0


def _name(names: Sequence[str], column: int) -> str:
    if column >= len(names):
        raise FormulaError(f"the formula uses column {column}, but only {len(names)} have names")
    return names[column]

"""Parser of formula text: an allow-list over Python's syntax tree; no code is executed.

SymPy's ``parse_expr`` executes code found in its input, this parser cannot. Every type of node that
is not listed here is rejected, and size, depth, digits and exponents are limited.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_NAME
from equate_srbench.expr.text.names import FUNCTIONS
from equate_srbench.expr.tree import Tree

MAX_CHARACTERS = 20_000
MAX_NODES = 500
MAX_DEPTH = 60
MAX_DIGITS = 400  # in one number; 1.8e308 without an exponent has 309
MAX_EXPONENT = 10_000.0

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_MOST_SUGGESTED = 40  # names listed in an error
_CHAINS = (frozenset({"add", "sub"}), frozenset({"mul", "div"}))
_NUMBERS = {"pi": math.pi, "E": math.e, "e": math.e}
_MODULES = frozenset({"np", "numpy", "math", "torch", "sympy"})
_HINTS = {
    ast.BitXor: "'^' is not a power here: write ** instead",
    ast.FloorDiv: "'//' is not supported: write / for division",
    ast.Mod: "'%' is not supported",
    ast.MatMult: "'@' is not supported: write * for a product",
    ast.Compare: "comparisons are not supported: give one side of the equation",
    ast.BoolOp: "'and' and 'or' are not supported",
    ast.Subscript: "'[...]' is not supported: write the column's name, for example x_0",
    ast.Lambda: "'lambda' is a keyword of Python: rename the column",
    ast.Tuple: "a comma outside a function call: write one formula, with a decimal point",
}


def parse(text: str, columns: Sequence[str]) -> Tree:
    """Parse formula text.

    Parameters
    ----------
    text : str
        A formula in Python's syntax: ``+ - * / **``, numbers, column names, ``pi`` and ``E``, and
        the functions of the operator table in SymPy's, NumPy's and our own spelling
        (``Abs``, ``asin``, ``np.sin``, ``ln``, ``pow(x, 2)``).
    columns : sequence of str
        Names of columns 0, 1, ...; they win over ``pi`` and ``E``.

    Returns
    -------
    Tree
        As written, apart from the normal form of powers and signs: ``x**2``, ``x**3``, ``x**0.5``
        and ``x**-1`` become square, cube, sqrt and inv, ``1/x`` becomes inv, ``-x`` becomes
        ``-1*x`` and ``x - 2`` becomes ``x + (-2)``.

    Raises
    ------
    FormulaError
        Naming what is wrong, the limit, and the way out.

    Examples
    --------
    >>> parse("2*sin(a)**2 + b", ["a", "b"])
    Tree(add mul 2 square sin x_0 x_1)
    """
    if not isinstance(text, str):
        raise FormulaError(f"expected formula text, got {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"{len(text)} characters, at most {MAX_CHARACTERS}: shorten the formula")
    if re.search(rf"[\d_]{{{MAX_DIGITS + 1}}}", text):
        raise FormulaError(f"a number with more than {MAX_DIGITS} digits: write it as 1.23e45")
    if len(re.findall(r"\w+", text)) > 3 * MAX_NODES:  # 1.5e-7 is three words, np.sin two
        raise FormulaError(f"more than {MAX_NODES} nodes: simplify or split the formula")
    root = _syntax(text)
    names = {unicodedata.normalize("NFKC", name): j for j, name in enumerate(columns)}
    tree = _Reader(names).read(root, 1)
    if tree.size > MAX_NODES:
        raise FormulaError(f"{tree.size} nodes, at most {MAX_NODES}: simplify or split the formula")
    return tree


def _syntax(text: str) -> ast.expr:
    """Python's syntax tree of ``text``, without executing it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning for 1(2) and such
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        place = f" at character {error.offset}" if error.offset else ""
        raise FormulaError(f"not a formula{place} ({error.msg}): {_short(text)}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or f"nested too deeply, at most {MAX_DEPTH} levels"
        raise FormulaError(f"not a formula ({reason}): {_short(text)}") from None


class _Reader:
    """Converts allowed syntax nodes to trees; ``names`` maps column names to positions."""

    def __init__(self, names: Mapping[str, int]) -> None:
        self._names = names

    def read(self, node: ast.expr, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise FormulaError(f"nested more than {MAX_DEPTH} levels deep: simplify the formula")
        if isinstance(node, ast.BinOp):
            return self._chain(node, depth)
        if isinstance(node, ast.UnaryOp):
            return self._signed(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._word(node)
        if isinstance(node, ast.Constant):
            return _number(node.value)
        raise FormulaError(_refusal(node))

    def _chain(self, node: ast.BinOp, depth: int) -> Tree:
        """Read ``a + b - c`` from the left in a loop, as one level of nesting."""
        spine: list[tuple[str, ast.expr]] = []
        name = _operator(node.op)
        family = next((f for f in _CHAINS if name in f), frozenset())
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            here = _operator(left.op)
            if spine and here not in family:
                break
            spine.append((here, left.right))
            left = left.left
        tree = self.read(left, depth + 1)
        for here, right in reversed(spine):
            tree = combine(here, tree, self.read(right, depth + 1))
        return tree

    def _signed(self, node: ast.UnaryOp, depth: int) -> Tree:
        if isinstance(node.op, ast.UAdd):
            return self.read(node.operand, depth + 1)
        if not isinstance(node.op, ast.USub):
            raise FormulaError(f"'{_symbol(node.op)}' is not supported")
        inner = self.read(node.operand, depth + 1)
        if inner.size == 1 and inner.constants:
            return Tree.constant(-inner.constants[0])
        return Tree.apply("mul", Tree.constant(-1.0), inner)

    def _call(self, node: ast.Call, depth: int) -> Tree:
        word = _function(node.func)
        name = FUNCTIONS.get(word)
        if name is None:
            raise FormulaError(f"unknown function '{_short(word)}'{_suggestion(word, FUNCTIONS)}")
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            raise FormulaError(f"{word}() takes positional arguments only")
        wanted = BY_NAME[name].arity
        if len(node.args) != wanted:
            raise FormulaError(f"{word}() takes {wanted} argument(s), got {len(node.args)}")
        args = [self.read(arg, depth + 1) for arg in node.args]
        return combine(name, *args) if wanted == 2 else Tree.apply(name, *args)

    def _word(self, node: ast.Name | ast.Attribute) -> Tree:
        if isinstance(node, ast.Attribute):
            word = _function(node)
        else:
            word = node.id
            if word in self._names:
                return Tree.variable(self._names[word])
        if word in _NUMBERS and (word != "e" or isinstance(node, ast.Attribute)):
            return Tree.constant(_NUMBERS[word])
        if word in FUNCTIONS:
            raise FormulaError(f"function '{word}' without parentheses: write {word}(...)")
        raise FormulaError(f"unknown name '{_short(word)}'{_suggestion(word, self._names)}")


def combine(name: str, left: Tree, right: Tree) -> Tree:
    """Apply a binary operator in the parser's normal form of powers, inverses and differences.

    Raises
    ------
    FormulaError
        For a constant exponent beyond ``MAX_EXPONENT``.
    """
    value = right.constants[0] if right.size == 1 and right.constants else None
    if name == "sub" and value is not None:
        return Tree.apply("add", left, Tree.constant(-value))
    if name == "div" and left.size == 1 and left.constants == (1.0,):
        return Tree.apply("inv", right)
    if name != "pow":
        return Tree.apply(name, left, right)
    if not right.columns:  # x**(1/3): in floating point, so that 9**9**9 cannot take long
        value = float(evaluate(right, np.empty((1, 0)))[0])
        if not abs(value) <= MAX_EXPONENT:
            raise FormulaError(f"exponent {value:.6g}, at most {MAX_EXPONENT:.0f} in size")
        right = Tree.constant(value)
    special = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -1.0: "inv"}.get(value or 0.0)
    return Tree.apply(special, left) if special else Tree.apply("pow", left, right)


def _operator(op: ast.operator) -> str:
    name = _BINARY.get(type(op))
    if name is None:
        raise FormulaError(_HINTS.get(type(op), f"'{_symbol(op)}' is not supported"))
    return name


def _function(node: ast.expr) -> str:
    """Name of the called function; ``np.sin`` is ``sin``, other attributes are rejected."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in _MODULES:
            return node.attr
        raise FormulaError(
            f"'.{_short(node.attr)}' is not supported: only functions such as np.sin may have a dot"
        )
    raise FormulaError("only named functions can be called: write * for a product")


def _number(value: object) -> Tree:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormulaError(f"{_short(repr(value))} is not a real number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FormulaError("a number beyond 1.8e308 is out of range of float64")
    return Tree.constant(number)


def _refusal(node: ast.expr) -> str:
    known = _HINTS.get(type(node))
    return known or f"{type(node).__name__} is not part of a formula"


def _symbol(op: ast.operator | ast.unaryop) -> str:
    marks = {"Invert": "~", "Not": "not", "LShift": "<<", "RShift": ">>", "BitOr": "|"}
    return marks.get(type(op).__name__, "&" if isinstance(op, ast.BitAnd) else type(op).__name__)


def _suggestion(word: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word[:50], list(known)[:1000], n=1)
    if close:
        return f": did you mean '{close[0]}'?"
    more = ", ..." if len(known) > _MOST_SUGGESTED else ""
    return f": known are {', '.join(list(known)[:_MOST_SUGGESTED])}{more}" if known else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

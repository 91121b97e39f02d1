"""LaTeX for display: rounded numbers, fractions, subscripts and Greek letters.

Only what matplotlib's mathtext, MathJax and KaTeX all typeset is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.text.names import plain_names
from equate_srbench.expr.text.printing import Piece
from equate_srbench.expr.tree import Tree

_SUM, _PRODUCT, _FRACTION, _CALL = 1, 2, 3, 4
_NUMBER = re.compile(r"[\d.,eE+\s-]+")
_GREEK = frozenset(
    """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau
    upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    """.split()  # noqa: SIM905 - a list of quoted words is harder to read
)
_ESCAPES = {
    "\\": r"\backslash ", "~": r"\sim ", "^": r"\hat{\ }", " ": r"\ ", "_": r"\_", "%": r"\%",
    "&": r"\wedge ", "#": r"\sharp ", "{": r"\{", "}": r"\}", "$": r"\$", "'": r"\prime ", '"': "",
}  # fmt: skip


def to_latex(tree: Tree, names: Sequence[str], digits: int = 4) -> str:
    r"""LaTeX of ``tree``, without dollar signs.

    Parameters
    ----------
    tree : Tree
    names : sequence of str
        Column names as the user wrote them.
    digits : int, default=4
        Significant digits of the constants.

    Examples
    --------
    >>> from equate_srbench.expr.tree import Tree
    >>> x = Tree.variable(0)
    >>> print(to_latex(Tree.apply("div", Tree.constant(0.5), Tree.apply("sqrt", x)), ["T_0"]))
    \frac{0.5}{\sqrt{T_{0}}}
    """
    stack: list[Piece] = []
    values = list(tree.constants)
    # a name that reads as a number, or not at all, is typeset as formula text has it
    shown = [
        plain if not name.strip() or not name.isprintable() or _NUMBER.fullmatch(name) else name
        for name, plain in zip(names, plain_names(names), strict=True)
    ]
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            stack.append(_number(values.pop(), digits))
        elif symbol >= VARIABLE:
            stack.append(Piece(name_latex(shown[symbol - VARIABLE])))
        else:
            op = BY_CODE[symbol]
            stack.append(_combine(op.name, op.latex, [stack.pop() for _ in range(op.arity)]))
    return stack[0].text


def _combine(name: str, template: str, args: list[Piece]) -> Piece:
    if name in ("add", "sub"):
        return _sum(name, *args)
    if name == "mul":
        return _product(*args)
    if name == "div":
        if args[0].negated is not None:
            positive = _combine(name, template, [args[0].negated, args[1]])
            return Piece(f"-{positive.text}", _PRODUCT, negated=positive)
        return Piece(template.format(args[0].text, args[1].text), _FRACTION)
    if name == "inv":
        return Piece(template.format(args[0].text), _FRACTION)
    if name in ("pow", "square", "cube"):
        base = _bracketed(args[0], _CALL)
        return Piece(template.format(base, *(arg.text for arg in args[1:])), _FRACTION)
    return Piece(template.format(args[0].text), _CALL)


def _sum(name: str, left: Piece, right: Piece) -> Piece:
    while right.negated is not None:
        name, right = ("sub" if name == "add" else "add"), right.negated
    sign = "+" if name == "add" else "-"
    # a + (b + c) needs no brackets for a reader, a - (b + c) does
    return Piece(f"{left.text} {sign} {_bracketed(right, _SUM if name == 'add' else 2)}", _SUM)


def _product(left: Piece, right: Piece) -> Piece:
    if left.value == -1.0:
        return Piece(f"-{_bracketed(right, _PRODUCT)}", _PRODUCT, negated=right)
    if left.negated is not None:
        positive = _product(left.negated, right)
        return Piece(f"-{positive.text}", _PRODUCT, negated=positive)
    first = _bracketed(left, _PRODUCT)
    second = _bracketed(right, _FRACTION if right.negated is not None else _PRODUCT)
    dot = r" \cdot " if second[0].isdigit() else r"\,"
    return Piece(f"{first}{dot}{second}", _PRODUCT)


def _bracketed(piece: Piece, level: int) -> str:
    return piece.text if piece.level >= level else rf"\left({piece.text}\right)"


def _number(value: float, digits: int) -> Piece:
    if value < 0.0:
        positive = _number(-value, digits)
        return Piece(f"-{positive.text}", _PRODUCT, value, True, positive)
    if value == int(value) and value < 1e6:
        return Piece(str(int(value)), _CALL, value, fixed=True)
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    if not exponent:
        return Piece(mantissa, _CALL, value, fixed=True)
    power = f"10^{{{int(exponent)}}}"
    text = power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    return Piece(text, _PRODUCT, value, fixed=True)


def name_latex(name: str) -> str:
    """LaTeX of a column name, with Greek letters and subscripts (``sigma_x``, ``T2``)."""
    parts = [part for part in name.split("_") if part]
    if not parts:
        return rf"\mathrm{{{_escape(name)}}}"
    digits = re.fullmatch(r"([^\W\d]+)(\d+)", parts[0])
    if digits and len(parts) == 1:
        parts = [digits[1], digits[2]]
    if len(parts) == 1:
        return _word(parts[0])
    return f"{_word(parts[0])}_{{{', '.join(_word(part) for part in parts[1:])}}}"


def _word(word: str) -> str:
    if word in _GREEK:
        return f"\\{word}"
    if word.isdigit() or (len(word) == 1 and word.isascii() and word.isalpha()):
        return word
    return rf"\mathrm{{{_escape(word)}}}"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)

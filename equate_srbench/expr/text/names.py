"""Column names as identifiers in formula text.

Tables have columns called ``x 1``, ``lambda`` or ``exp``; a formula text that Python's grammar and
SymPy can read has not. Plain names keep every name that can be kept and change the others.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Sequence

from equate_srbench.expr.operators import OPERATORS

#: Spellings that the parser accepts beside the names of the operator table, by operator name.
ALIASES: dict[str, str] = {
    "Abs": "abs", "fabs": "abs", "absolute": "abs", "asin": "arcsin", "acos": "arccos",
    "atan": "arctan", "ln": "log", "Pow": "pow", "power": "pow", "reciprocal": "inv",
    "pow2": "square", "pow3": "cube", "subtract": "sub", "multiply": "mul", "divide": "div",
    "Add": "add", "Mul": "mul",
}  # fmt: skip

#: Every function name of formula text; a column cannot bear one, or ``exp(exp)`` had no meaning.
FUNCTIONS: dict[str, str] = {op.name: op.name for op in OPERATORS} | ALIASES


def default_names(n_columns: int) -> tuple[str, ...]:
    """Default names ``x_0 .. x_{n-1}`` of columns without names."""
    return tuple(f"x_{j}" for j in range(n_columns))


def plain_names(
    names: Sequence[str], reserved: Collection[str] = FUNCTIONS.keys()
) -> tuple[str, ...]:
    """Distinct identifiers for column names, equal to the names wherever possible.

    Parameters
    ----------
    names : sequence of str
        Column names of a table.
    reserved : collection of str, default=names of functions
        Identifiers that mean something else in the target language.

    Returns
    -------
    tuple of str
        ``"x 1"`` becomes ``x_1``, ``"lambda"`` becomes ``lambda_``, ``"2nd"`` becomes ``x2nd``;
        a further underscore keeps a changed name apart from the others.
    """
    kept = {name for name in names if is_plain(name, reserved)}
    out: list[str] = []
    used = set(kept)
    for i, name in enumerate(names):
        if name in kept and name not in names[:i]:
            out.append(name)
            continue
        plain = _identifier(name) or f"x_{i}"
        while plain in used or not is_plain(plain, reserved):
            plain += "_"
        used.add(plain)
        out.append(plain)
    return tuple(out)


def _identifier(name: str) -> str:
    """``name`` reduced to the characters of an identifier; "" if there are none."""
    text = unicodedata.normalize("NFKC", name)
    # a regular expression's \w has digits that identifiers have not
    plain = re.sub("\0+", "_", "".join(c if f"a{c}".isidentifier() else "\0" for c in text))
    if not plain.strip("_"):
        return ""
    if not plain.isidentifier():
        plain = unicodedata.normalize("NFKC", f"x{plain}")  # an accent may come first
    return plain


def is_plain(name: str, reserved: Collection[str] = FUNCTIONS.keys()) -> bool:
    """Whether ``name`` can be used in formula text unchanged."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and name not in reserved
        and name == unicodedata.normalize("NFKC", name)  # Python reads identifiers as NFKC
    )

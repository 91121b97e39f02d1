"""Text formatting of numbers and formulas, shared by pages, figures, notebooks and terminals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d*(?:e[+-]?\d+)?|(?<![\w.])\d+e[+-]?\d+", re.IGNORECASE)
_MAX_FORMULA_LENGTH = 160  # characters of a formula in a table
_MAX_LABEL_LENGTH = 32  # characters of a column name on an axis


def r2_text(value: float) -> str:
    """Format R2 with as many digits as distinguish it from 1.

    Examples
    --------
    >>> r2_text(0.5), r2_text(0.99995), r2_text(1 - 3e-9), r2_text(1.0)
    ('0.5000', '0.99995', '1 - 3.0e-09', '1 (exact)')
    """
    error = 1.0 - value
    if not math.isfinite(error):
        return "undefined"
    if error < 1e-15:
        return "1 (exact)"
    if error < 1e-6:
        return f"1 - {error:.1e}"
    if error < 1e-3:
        return f"{value:.7f}".rstrip("0")
    return f"{value:.4f}"


def short_formula(text: str, digits: int = 5) -> str:
    """Round the decimals of a formula to ``digits`` significant digits, for display only.

    Examples
    --------
    >>> short_formula("0.99934582301938471*distance**1.5 + exp(x_12)")
    '0.99935*distance**1.5 + exp(x_12)'
    """
    return _DECIMAL.sub(lambda number: f"{float(number.group()):.{digits}g}", text)


def formula_excerpt(text: Any) -> str:
    """Round a formula to four significant digits and truncate it to the width of a table.

    Examples
    --------
    >>> formula_excerpt("1.23456789*x"), formula_excerpt(None)
    ('1.235*x', '')
    """
    short = short_formula("" if pd.isna(text) else str(text), 4)
    return short if len(short) <= _MAX_FORMULA_LENGTH else f"{short[:_MAX_FORMULA_LENGTH]} …"


def significant(digits: int = 4) -> Callable[[Any], str]:
    """Formatter of numbers with ``digits`` significant digits; missing values become a dash.

    Examples
    --------
    >>> significant(3)(3.14159), significant()(float("nan"))
    ('3.14', '-')
    """
    return lambda value: "-" if pd.isna(value) else f"{float(value):.{digits}g}"


def percent(value: Any) -> str:
    """Format a share as a percentage; missing values become a dash.

    Examples
    --------
    >>> percent(0.125), percent(None)
    ('12.5 %', '-')
    """
    return "-" if pd.isna(value) else f"{100 * float(value):.1f} %"


def r2_rounded(value: Any) -> str:
    """Format R2 with four decimals; a fit without a result becomes a dash.

    Examples
    --------
    >>> r2_rounded(0.98765), r2_rounded(float("-inf"))
    ('0.9877', '-')
    """
    return "-" if pd.isna(value) or not math.isfinite(value) else f"{float(value):.4f}"


def setting_text(value: float | str) -> str:
    """Format the value of a setting, a number or a word.

    Examples
    --------
    >>> setting_text(0.1), setting_text("auto")
    ('0.1', 'auto')
    """
    return value if isinstance(value, str) else f"{value:g}"


def joined(names: Iterable[str]) -> str:
    """Join names as in a sentence.

    Examples
    --------
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    *rest, last = list(names) or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def axis_label(name: str) -> str:
    """Make a column name fit for an axis: printable, on one line, at most 32 characters."""
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= _MAX_LABEL_LENGTH else name[: _MAX_LABEL_LENGTH - 1] + "…"

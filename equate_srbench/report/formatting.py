"""Numbers and formulas as short text, for pages and terminals alike."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"(?<![\w.])\d+\.\d*(?:e[+-]?\d+)?|(?<![\w.])\d+e[+-]?\d+", re.IGNORECASE)


def r2_text(value: float) -> str:
    """R2 with as many digits as tell it from 1.

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
    """Formula text with its decimals cut to ``digits`` significant digits, for reading only.

    Examples
    --------
    >>> short_formula("0.99934582301938471*distance**1.5 + exp(x_12)")
    '0.99935*distance**1.5 + exp(x_12)'
    """
    return _NUMBER.sub(lambda number: f"{float(number.group()):.{digits}g}", text)

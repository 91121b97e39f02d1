"""Numbers and formulas as short text."""

from __future__ import annotations

import pytest

from equate_srbench.report.formatting import r2_text, short_formula


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.25, "-0.2500"),
        (0.98765, "0.9877"),
        (0.99995, "0.99995"),
        (1 - 3e-9, "1 - 3.0e-09"),
        (1.0, "1 (exact)"),
        (float("nan"), "undefined"),
        (float("-inf"), "undefined"),
    ],
)
def test__r2_text__value__tells_it_from_one(value: float, text: str) -> None:
    """No R2 below 1 is printed as 1."""
    assert r2_text(value) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.30000000000000004 + x", "0.3 + x"),
        ("1.2345678e-12*x**2", "1.2346e-12*x**2"),
        ("x_1.5", "x_1.5"),
        ("12345678*x", "12345678*x"),
        ("exp(x2)*-7.25", "exp(x2)*-7.25"),
    ],
)
def test__short_formula__decimals__are_cut(text: str, short: str) -> None:
    """Only decimals lose digits; whole numbers and names stay."""
    assert short_formula(text) == short

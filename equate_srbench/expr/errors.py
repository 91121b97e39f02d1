"""Exceptions about formulas."""

from __future__ import annotations


class FormulaError(ValueError):
    """Raised for text or tokens that are not a formula, or a formula without the wanted form."""

"""Errors about formulas."""

from __future__ import annotations


class FormulaError(ValueError):
    """Text or tokens that are not one complete formula, or a formula that has no such form."""

"""Formulas as text and code, and names of columns."""

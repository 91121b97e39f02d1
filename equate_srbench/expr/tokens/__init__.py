"""Formulas as token sequences."""

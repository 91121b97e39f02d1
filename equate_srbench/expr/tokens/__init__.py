"""Vocabularies: formulas and numbers as token sequences."""

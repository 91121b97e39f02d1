"""Formulas as text, source code, LaTeX, HTML and JSON, and names of columns."""

"""Fits and benchmark rows as plain tables, the input of figures and pages."""

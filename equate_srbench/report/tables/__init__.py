"""Fits and benchmark rows as plain tables, from which figures and pages are made."""

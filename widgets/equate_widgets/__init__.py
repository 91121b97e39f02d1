"""Panels for Jupyter."""

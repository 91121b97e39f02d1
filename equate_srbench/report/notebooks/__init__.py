"""Parameterised notebooks: which there are, how they run, what they display."""

"""Families of formulas that linear algebra solves at once, proposed before any random search."""

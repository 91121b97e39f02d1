"""The synthetic corpus: random formulas and tables, without benchmark formulas."""

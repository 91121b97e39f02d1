"""The synthetic corpus: random formulas and tables, without the benchmarks' formulas."""

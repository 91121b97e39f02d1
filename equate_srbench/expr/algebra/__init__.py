"""Algebra on expression trees: simplification, SRBench's complexity, and a normal form."""

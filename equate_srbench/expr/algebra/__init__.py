"""Rules on formulas: simplification, size as SRBench counts it, and a normal form."""

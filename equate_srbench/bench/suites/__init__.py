"""Suites of datasets: SRBench's, simulated ones, and the user's own files."""

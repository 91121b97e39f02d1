"""Benchmark of methods over datasets: protocol, metrics, stored rows, statistics."""

"""Baseline methods with scikit-learn's interface."""

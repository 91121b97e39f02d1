"""The SRBench entry: its estimator, a check of SRBench's contract, and the export."""

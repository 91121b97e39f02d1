"""One table and what is known about it: canonical rows, scaling, candidates, selection, domain."""

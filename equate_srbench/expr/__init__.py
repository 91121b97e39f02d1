"""Expression trees: operators, evaluation, algebra, text formats, SymPy and token sequences."""

"""A formula: operators, tree, evaluation; algebra, text, SymPy and tokens in rooms of their own."""

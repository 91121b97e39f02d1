"""SymPy: trees to its objects and back, and simplification in a child process."""

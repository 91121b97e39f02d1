"""The foundation model: a table of numbers in, candidate formulas out."""

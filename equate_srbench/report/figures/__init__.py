"""All figures, drawn from plain data."""

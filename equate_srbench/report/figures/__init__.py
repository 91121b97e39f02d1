"""Every figure, from plain data only."""

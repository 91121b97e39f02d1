"""The report of one fit: page, terminal output, folder of results."""

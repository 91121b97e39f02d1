"""Reports for people: figures, HTML pages, terminal output and notebooks."""

"""What a person sees of a fit: figures, one HTML page, the lines in a terminal, files on disk."""

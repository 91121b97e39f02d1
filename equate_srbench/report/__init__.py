"""What a person sees: figures, pages, terminal output and notebooks."""

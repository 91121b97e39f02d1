"""The method: quadruples of one dataset, their joint embedding, ascent on it, proposals."""

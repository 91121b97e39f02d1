"""Structure of a law, read from a smooth surrogate; parts found alone and joined."""

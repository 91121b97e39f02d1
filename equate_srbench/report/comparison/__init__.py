"""The comparison of methods over benchmark rows."""
